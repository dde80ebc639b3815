"""`witan council …`: several models on one problem: who sat, what they proposed, who won, and whether it helped."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from bus.errors import Missing, WitanError
from bus.ids import fresh_id
from cli.config import Settings
from cli.councils import COUNCIL, MOMENT, council_of, diff_of, in_short, side_by_side
from cli.exits import BUDGET, FAILED, OK
from cli.ids import TASK, task_of
from cli.listing import Listing
from cli.money import usd
from cli.options import placed
from cli.output import Form, clean, formatted, print_change, print_json, print_one, print_rows, talk
from cli.reading import Views, print_answer

if TYPE_CHECKING:
    from actors.council.problem import Problem

STRATEGIES = ("majority", "weighted", "best_reasoning", "test_winner", "consensus")
LISTED = ("council", "phase", "kind", "stage", "outcome", "by_whom", "strategy", "candidates", "missing", "cost_usd",
          "ms", "helped", "convened", "reason")  # fmt: skip
FACTS = ("council", "task", "phase", "failure", "kind", "question", "stage", "members", "judge", "note", "size",
         "strategy", "outcome", "winner", "by_whom", "reason", "helped", "helped_why", "cost_usd", "ms", "by_hand",
         "convened", "ended")  # fmt: skip
SCORES = ("candidate", "model", "persona", "won", "total", "correctness", "reasoning", "testing", "stated", "applies",
          "syntax", "types", "tests", "likes", "judge_points", "missing", "cost_usd", "ms")  # fmt: skip
EXCERPT_CHARS = 2000


@click.group("council", cls=Listing)
def verb() -> None:
    """Several models on one problem: who sat, what they proposed, who won and why, and whether it helped.

    A task that its agents cannot do asks a council by itself, after `council_after_retries` retries and a review.
    """


@verb.command("list")
@click.option("--task", metavar="ID", type=TASK, help="Only those of this task.")
@click.option("--limit", type=click.IntRange(0), default=50, help="So many councils, the newest first; 50 if not said.")
@placed
@formatted
def listed(task: str | None, limit: int, settings: Settings, form: Form) -> None:
    """Print every council: what about, how far it is or how it ended, what it cost, whether it helped."""
    about = task_of(settings, task) if task else None
    print_answer(Views(settings).ask("councils", {"task": about, "limit": limit}), form, LISTED)


@verb.command("show")
@click.argument("council", metavar="ID", type=COUNCIL)
@click.option("--diff", "candidate", metavar="CANDIDATE", help="Print what this candidate, like m1, would change.")
@placed
@formatted
def show(council: str, candidate: str | None, settings: Settings, form: Form) -> None:
    """Print council ID, or the newest of task ID: the problem, members and who was left out, candidates side by side.

    Each candidate has its scores by criterion from 0 to 1, its total from 0 to 100, what came of trying it, what the
    judge said, and its cost. Who won, why, and whether it helped stands above. With --json one object; with --csv the
    candidates.

    witan council show 01JD-c1 --diff m2
    """
    views = Views(settings)
    facts = council_of(views, council)
    candidates = views.ask("candidates", {"council": facts["council"], "limit": 1000}).dicts
    if candidate:
        _print_diff(settings, facts, candidates, candidate)
        return
    facts["left_out"] = json.loads(facts["left_out"] or "[]")
    problem = _problem(settings, facts)
    match form:
        case Form.JSON:
            import msgspec

            print_json({"council": facts, "problem": msgspec.to_builtins(problem), "candidates": candidates})
        case Form.CSV:
            columns = list(candidates[0]) if candidates else list(SCORES)
            print_rows(columns, [[row[name] for name in columns] for row in candidates], form)
        case Form.TABLE:
            _print_council(facts, problem, candidates)


@verb.command("wins")
@click.option(
    "--by",
    "cut",
    type=click.Choice(["model", "kind", "problem-type", "pair", "model-kind"]),
    default="model",
    help="By model, by the problem's kind (problem-type), by both, or by pairs that sat together; model if not said.",
)
@click.option("--kind", metavar="KIND", help="Only problems of this kind, like wrong_result.")
@click.option("--since", metavar="WHEN", type=MOMENT, help="Only councils that ended since: 2026-11-20, 7d, 24h, 90m.")
@click.option("--limit", type=click.IntRange(0), default=100, help="So many rows; 100 if not said.")
@placed
@formatted
def wins(cut: str, settings: Settings, form: Form, **filters: Any) -> None:
    """Print who won how often, and what that was worth.

    `rate` is wins of `sample`; between `low` and `high` it lies with a chance of nine in ten. A model wins when its own
    proposal did; of a pair, `name` wins when it was right and `other` was not; a kind, when there was an answer.
    `solved` of `seen` were right when they were tried; `helped` of `known` answers made the phase go well, and one of
    these costs `usd_per_resolution`. `judge_right` of `judged`: what the judge liked best won and helped.
    """
    asked = {"cut": "kind" if cut == "problem-type" else cut, **filters}
    answer = Views(settings).ask("council_wins", asked)
    print_answer(in_short(answer) if form is Form.TABLE else answer, form)


@verb.command("convene")
@click.argument("task", metavar="ID", type=TASK)
@click.option(
    "--strategy", type=click.Choice(STRATEGIES), help="How the winner is chosen; as suits the problem if not."
)
@click.option(
    "--member",
    "--members",
    "members",
    metavar="MODEL",
    multiple=True,
    help="Ask this one: provider/model, provider, family or glob. Repeatable, or with commas.",
)
@click.option("--size", type=click.Choice(["minimal", "standard", "full"]), help="At most 2, 3 or 5 models.")
@click.option("--reason", default="", help="What they should look at; kept with the event.")
@click.option("--wait", "stay", is_flag=True, help="Stay until it has ended: 0 with an answer, 1 without, 4 no money.")
@click.option("--id", "id", help="Repeat this command under its id: it is executed once.")
@placed
@formatted
def convene(task: str, stay: bool, id: str | None, settings: Settings, form: Form, **wish: Any) -> int:
    """Let a council look at task ID, which waits for a person. What it finds goes back to the task's agent.

    witan council convene 01JD --member deepseek --member gpt --strategy best_reasoning --wait
    """
    from cli.reach import send

    body = {name: value for name, value in wish.items() if value}
    body["members"] = [name.strip() for each in wish["members"] for name in each.split(",") if name.strip()]
    task = task_of(settings, task)
    answer = send(settings, "cmd.council.convene", {"task_id": task, **body}, id or fresh_id())
    council = str(answer["council"])
    if not stay:
        print_one({"task_id": task, **{name: value for name, value in answer.items() if name != "ok"}}, form)
        talk(f"Follow it with `witan watch {task}`; see it with `witan council show {council}`.")
        return OK
    from cli.sitting import stay_with

    ended = stay_with(settings, council, float(answer["until_s"]))
    print_one({"council": council, **ended}, form)
    talk(f"See it with `witan council show {council}`.")
    return {"answered": OK, "no_money": BUDGET}.get(str(ended["outcome"]), FAILED)


def _problem(settings: Settings, facts: dict[str, Any]) -> "Problem | None":
    """The problem as the members were told it; None where nobody knows it, or it cannot be fetched now."""
    if not facts["problem"]:
        return None
    import msgspec

    from actors.council.problem import Problem
    from bus.blobs import note_in
    from cli.contents import fetched

    try:
        content = note_in(facts["problem"]) or fetched(settings, [facts["problem"]]).get(facts["problem"])
        return msgspec.json.decode(content, type=Problem) if content else None
    except (WitanError, msgspec.MsgspecError) as error:
        talk(f"The problem's text cannot be read now: {error}")
        return None


def _print_council(facts: dict[str, Any], problem: "Problem | None", candidates: list[dict[str, Any]]) -> None:
    told = {**facts, "members": ", ".join(facts["members"] or []), "cost_usd": usd(facts["cost_usd"])}
    if problem and told["question"]:
        told["question"] = _first_line(told["question"])
    print_one({name: told[name] for name in FACTS if told[name] not in (None, "", False)}, Form.TABLE)
    if problem:
        lines = {"files": ", ".join(each.path for each in problem.files), "tested by": problem.tests}
        print_one({name: value for name, value in lines.items() if value}, Form.TABLE)
        click.echo(f"\nthe error\n{clean(_excerpt(problem.error))}")
    if candidates:
        print_rows(*side_by_side(candidates, SCORES), Form.TABLE, title="candidates")
        for row in candidates:
            _print_words(row)
    if facts["left_out"]:
        rows = [[each.get("model"), each.get("why")] for each in facts["left_out"]]
        print_rows(["left out", "why"], rows, Form.TABLE)
    if any(row["solution"] for row in candidates):
        talk(f"What one would change: witan council show {facts['council']} --diff {facts['winner'] or 'm1'}")


def _print_words(row: dict[str, Any]) -> None:
    """What a candidate said, and what was said of it."""
    said = {
        "says": row["explanation"],
        "not passed": ", ".join(row["failures"] or []),
        "the judge": row["judge_reason"],
        "because": row["reason"],
    }
    for name, text in said.items():
        if text:
            click.echo(f"{row['candidate']} {name}: {clean(_excerpt(text))}")


def _first_line(text: str) -> str:
    """What failed; the rest stands below as the error."""
    first, _, more = text.strip().partition("\n")
    return f"{first} …" if more else first


def _excerpt(text: str) -> str:
    if len(text) <= EXCERPT_CHARS:
        return text
    half = EXCERPT_CHARS // 2
    return f"{text[:half]}\n[… {len(text) - EXCERPT_CHARS} characters are left out: --json has them …]\n{text[-half:]}"


def _print_diff(settings: Settings, facts: dict[str, Any], candidates: list[dict[str, Any]], wanted: str) -> None:
    from actors.council.problem import read_proposal
    from cli.contents import fetched

    made = {row["candidate"]: row["solution"] for row in candidates if row["solution"]}
    if wanted not in made:
        known = ", ".join(made) or "none"
        raise Missing(f"the council {facts['council']} has no candidate {wanted!r}", f"Its candidates: {known}.")
    found = fetched(settings, [made[wanted]])
    if made[wanted] not in found:
        raise Missing(f"the proposal {made[wanted]} is not in the blob store any more")
    show = print_change if sys.stdout.isatty() else click.echo
    for line in diff_of(read_proposal(found[made[wanted]]), _problem(settings, facts)):
        show(line)
