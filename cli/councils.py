"""One council as a person looks at it: which one is meant, what it was about, and what a candidate would change."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from bus.errors import Missing, WitanError
from cli.money import usd

if TYPE_CHECKING:
    from actors.council.problem import Problem, Proposal
    from cli.reading import Answer, Views

LOOKED_AT_MAX = 10_000
CANDIDATES = 8
_ago = re.compile(r"(\d{1,6})(m|h|d|w)").fullmatch
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class CouncilId(click.ParamType[str]):
    """A council's id, its task's, or the beginning of one; the shell completes it from the newest councils."""

    name = "id"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from cli.config import load
        from cli.reading import Views

        try:
            rows = Views(load().settings, quiet=True).ask("councils", {"limit": 200}).dicts
        except WitanError:
            return []
        fitting = [row for row in rows if row["council"].startswith(incomplete)]
        return [
            CompletionItem(row["council"], help=f"{row['outcome'] or row['stage']}: {row['phase']}") for row in fitting
        ]


class Moment(click.ParamType[str]):
    """A time, or how long ago it was: `2026-11-20`, `2026-11-20T12:00`, `90m`, `24h`, `7d`; kept in UTC."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if found := _ago(text):
            moment = datetime.now(UTC) - timedelta(**{UNITS[found[2]]: int(found[1])})
        else:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                self.fail(f"{text[:80]!r} is no time; say 2026-11-20, 2026-11-20T12:00Z or 7d", param, ctx)
        at = moment.astimezone(UTC) if moment.tzinfo else moment
        return at.strftime("%Y-%m-%dT%H:%M:%S")


COUNCIL, MOMENT = CouncilId(), Moment()


def council_of(views: "Views", beginning: str) -> dict[str, Any]:
    """The one council that is meant: by its id, by its task's newest, or by the beginning of either."""
    for name in ("council", "task"):
        if rows := views.ask("councils", {name: beginning, "limit": 1}).dicts:
            return rows[0]
    known = views.ask("councils", {"limit": LOOKED_AT_MAX}).dicts
    fitting = [row for row in known if row["council"].startswith(beginning)]
    if fitting and len({row["task"] for row in fitting}) == 1 and not beginning.startswith(f"{fitting[0]['task']}-"):
        return fitting[0]
    if len(fitting) == 1:
        return fitting[0]
    some = ", ".join(row["council"] for row in (fitting or known)[:CANDIDATES]) or "none"
    if not fitting:
        raise Missing(f"there is no council {beginning!r}", f"The newest councils: {some}. All: `witan council list`.")
    raise Missing(f"{len(fitting)} councils begin with {beginning!r}: {some}", "Type one more letter.")


def diff_of(proposal: "Proposal", problem: "Problem | None") -> Iterator[str]:
    """What the proposal would change, line by line; where the file is not known, the piece that it replaces."""
    before = {each.path: each.text for each in problem.files} if problem else {}
    after: dict[str, str] = {}
    for change in proposal.changes:
        known = after.get(change.path, before.get(change.path))
        if not change.old:
            after[change.path] = change.new
        elif known is not None and known.count(change.old) == 1:
            after[change.path] = known.replace(change.old, change.new)
        else:
            yield from _differing(change.path, change.old, change.new)
    for path, text in after.items():
        yield from _differing(path, before.get(path, ""), text)


def _differing(path: str, old: str, new: str) -> Iterator[str]:
    yield from unified_diff(old.splitlines(), new.splitlines(), f"a/{path}", f"b/{path}", lineterm="")


def side_by_side(candidates: Sequence[dict[str, Any]], wanted: Sequence[str]) -> tuple[list[str], list[list[object]]]:
    """A column for each candidate, a row for each criterion that says something of any."""
    shown = [name for name in wanted if any(row[name] not in (None, [], "") for row in candidates)]
    rows = [[name, *(_cell(name, row[name]) for row in candidates)] for name in shown if name != "candidate"]
    return ["", *(row["candidate"] for row in candidates)], rows


def _cell(name: str, value: object) -> object:
    if isinstance(value, list):
        return ", ".join(f"{each:g}" for each in value)
    if isinstance(value, float):
        return usd(value) if name == "cost_usd" else round(value, 2)
    return value


def in_short(answer: "Answer") -> "Answer":
    """Who won how often, for a table: what was counted stands beside what it is of."""
    rows = []
    for row in answer.dicts:
        known = row["sample"] > 0
        told = {
            **{name: row[name] for name in ("name", "other", "kind", "sittings")},
            "wins": _of(row["wins"], row["sample"]),
            "rate": f"{row['rate']:.2f} ({row['low']:.2f} to {row['high']:.2f})" if known else None,
            "solved": _of(row["solved"], row["seen"]),
            "helped": _of(row["helped"], row["known"]),
            "cost_usd": usd(row["cost_usd"]),
            "usd_per_resolution": usd(row["usd_per_resolution"]),
            "judge_right": _of(row["judge_right"], row["judged"]),
        }
        rows.append(told)
    shown = [name for name in (rows[0] if rows else ("name",)) if any(row[name] is not None for row in rows)]
    if all(row["kind"] in ("all", row["name"]) for row in rows):
        shown = [name for name in shown if name != "kind"]
    return answer._replace(columns=shown, rows=[[row[name] for name in shown] for row in rows])


def _of(count: int, sample: int) -> str | None:
    return f"{count} of {sample}" if sample else None
