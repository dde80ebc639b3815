"""A provider that wants a person's help (wrong key, no credit, nobody there) is left out, and another one is asked."""

from typing import Any

from actors.decider import Done
from actors.treasurer.asking import Model, Standing, Survey, Surveyed
from actors.treasurer.health import subject_of
from actors.treasurer.standings import looked_again
from actors.treasurer.thinking import FRESH_S, SURVEY
from bus.messages.call import CallStarted, ModelFailed
from bus.messages.provider import BreakerOpened
from tests.buying_ground import LOCAL, PAID, ROOMY, Desk

CHEAP = Model("deepseek", "deepseek-chat", False, 64_000, 8192)
MINI = PAID._replace(name="gpt-4o-mini")
WRONG = "openai answers 401: Incorrect API key provided"


def failure(desk: Desk) -> ModelFailed:
    (failed,) = desk.events(ModelFailed)
    assert isinstance(failed, ModelFailed)
    return failed


def found(desk: Desk, *models: Model, **why: str) -> None:
    """Another look: these are there, and the others are not, for these reasons."""
    usable = [Standing(name, True, "it is there") for name in sorted({model.provider for model in models})]
    off = [Standing(name, False, reason) for name, reason in why.items()]
    desk.hears(Done(SURVEY, Surveyed(list(models), usable + off)))


def asked(desk: Desk) -> list[Any]:
    return [each for each in desk.done() if isinstance(each, Survey)]


def test_a_provider_whose_key_is_wrong_is_left_out_with_all_its_models_and_another_one_is_asked() -> None:
    desk = Desk(PAID, MINI, CHEAP)
    assert desk.asks().prompt.model == "gpt-4o-mini"
    assert failure(desk.fails("help", WRONG)).failure == "model_error"
    assert [event.model for event in desk.events(BreakerOpened)] == ["gpt-4o-mini"]
    for turn, tries in ((1, 1), (2, 0)):
        assert desk.asks(turn, tries).provider == "deepseek"
        desk.says("So.")


def test_when_the_last_one_refuses_a_person_is_told_what_to_type() -> None:
    desk = Desk(PAID, MINI, CHEAP)
    desk.asks()
    desk.fails("help", WRONG)
    desk.asks(1, 1)
    last = failure(desk.fails("help", "deepseek answers 402: Insufficient Balance"))
    assert last.failure == "help" and "402" in last.reason and "`witan auth status`" in last.reason


def test_of_a_local_provider_only_the_model_rests_that_could_not_be_asked() -> None:
    desk = Desk(LOCAL, ROOMY)
    assert desk.asks().prompt.model == LOCAL.name
    assert failure(desk.fails("help", "model not found")).failure == "model_error"
    assert desk.asks(1, 1).prompt.model == ROOMY.name


def test_a_local_server_that_is_gone_does_not_stop_a_run_while_a_paid_model_is_there() -> None:
    desk = Desk(LOCAL, PAID)
    desk.asks()
    assert failure(desk.fails("help", "nothing answers at http://127.0.0.1:11434")).failure == "model_error"
    assert desk.asks(1, 1).provider == "openai"
    desk.says("So.")
    assert desk.asks(2).provider == "openai", "it rests"


def test_a_look_says_who_is_well_again() -> None:
    desk = Desk(PAID, CHEAP)
    desk.now_s += 1
    assert desk.asks().provider == "deepseek"
    desk.fails("help", "deepseek answers 402: Insufficient Balance")
    found(desk, PAID, CHEAP)
    desk.now_s += 3600
    assert desk.asks(1, 1).provider == "openai", "it failed for this very reply"
    desk.says("So.")
    assert desk.asks(2).provider == "deepseek"


def test_now_and_then_somebody_looks_again_and_a_server_that_was_started_later_is_found() -> None:
    desk = Desk(PAID)
    assert desk.asks().provider == "openai" and asked(desk) == []
    desk.says("So.")
    desk.now_s += FRESH_S + 1
    assert desk.asks(2).provider == "openai" and len(asked(desk)) == 1, "nobody waits for it"
    desk.says("So.")
    assert desk.asks(3).provider == "openai" and asked(desk) == []
    found(desk, PAID, LOCAL)
    desk.says("So.")
    assert desk.asks(4).provider == "ollama"
    assert "local first" in desk.events(CallStarted)[0].reason


def test_whoever_does_not_answer_a_look_is_not_given_up_for_that() -> None:
    desk = Desk(LOCAL, PAID)
    found(desk, PAID, ollama="no answer within 3 s")
    assert desk.asks().provider == "ollama"
    before = Surveyed([LOCAL], [Standing("ollama", True, "it answers")])
    silent = Surveyed([], [Standing("ollama", False, "no answer within 3 s")])
    assert looked_again(before, silent) == before
    assert looked_again(silent, silent) == silent
    assert looked_again(silent, before) == before
    assert looked_again(before, Surveyed([ROOMY], before.standings)).models == [ROOMY]


def test_a_model_without_a_name_that_could_be_typed_is_not_asked_and_stops_nobody() -> None:
    odd = [PAID._replace(name=name) for name in ("", " ", "a\nb", "\x1b[31mred")]
    longest = PAID._replace(name="x" * 300)
    desk = Desk(*odd, longest, PAID)
    assert desk.asks().prompt.model == PAID.name
    desk.says("So.")
    assert looked_again(Surveyed([], []), Surveyed(odd, [])).models == []
    assert subject_of("openai", "") != subject_of("openai", "x")
