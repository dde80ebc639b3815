"""Who can be asked, as one look after another tells it, and as those who refuse tell it in between."""

from actors.treasurer.asking import Model, Surveyed


def looked_again(before: Surveyed, found: Surveyed) -> Surveyed:
    """What is known after another look. Whoever could be used and does not answer this time is not given up for that:
    the one who looks is hurried, and whoever cannot be reached says so when it is asked."""
    could = {each.provider: each for each in before.standings if each.usable}
    kept = {each.provider for each in found.standings if not each.usable and each.provider in could}
    models = [each for each in found.models if each.provider not in kept and _has_a_name(each)]
    return Surveyed(
        models + [each for each in before.models if each.provider in kept],
        [could[each.provider] if each.provider in kept else each for each in found.standings],
    )


def refused_by(surveyed: Surveyed, provider: str, why: str) -> Surveyed:
    """It refuses everybody, because of the key or the account: it cannot be used until somebody looks again."""
    told = [each._replace(usable=False, why=why) if each.provider == provider else each for each in surveyed.standings]
    return surveyed._replace(standings=told)


def others_than(surveyed: Surveyed, refusing: Model) -> bool:
    """Whether anybody else is there; a local provider refuses for one of its models, any other one for all of them."""
    usable = {each.provider for each in surveyed.standings if each.usable}
    return any(
        each.provider in usable and (each != refusing if refusing.local else each.provider != refusing.provider)
        for each in surveyed.models
    )


def _has_a_name(model: Model) -> bool:
    """Servers list what they like; what has no name that could be typed is not asked."""
    return bool(model.name.strip()) and model.name.isprintable()
