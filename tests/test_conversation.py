"""Hundreds of small conversations, each decided by a seed, each held to every promise about runs, calls and effects."""

import os
from typing import Any

import pytest

from bus.envelope import Commit, Record, encode, link
from bus.messages import exec, run, step
from bus.messages.base import Excerpt, ToolCall
from bus.messages.call import ModelReplied
from bus.messages.guardian import FreezeAcknowledged
from bus.messages.workspace import WorkspaceMerged, WorkspaceOpened
from tests import checkers
from tests.conversation import TURNS_MAX, World
from tests.conversation_checkers import everything_wrong
from tests.conversation_work import expected

SEEDS = int(os.environ.get("SEEDS", "150"))


def left_in_mind(world: World) -> list[str]:
    """What an actor still keeps when nothing is going on any more."""
    executor, treasurer = (world.actors[name].decider for name in ("executor", "treasurer"))
    kept: dict[str, Any] = {name: getattr(executor, name) for name in ("known", "lines", "first", "aside", "closing")}
    kept |= {"ordered": executor.ordered, "asked": treasurer.busy, "runs": treasurer.known}
    for name, actor in world.actors.items():
        kept |= {f"{name} held": actor.held, f"{name} unfinished": actor.unfinished}
        if name.startswith("agents"):
            kept |= {f"{name} active": actor.decider.active, f"{name} aside": actor.decider.aside}
    return [f"{name}: {what}" for name, what in kept.items() if what]


def wrong_trees(world: World) -> tuple[list[str], int]:
    """A task that one run finished has the files that its script makes, however often anybody died."""
    wrong, compared = [], 0
    ends: dict[str, run.RunEvent] = {}
    spoilt: set[str] = set()
    for told in checkers.told(world.log.records):
        if isinstance(told.event, run.RunFinished):
            ends[told.subject.rsplit(".", 1)[1]] = told.event
        if isinstance(told.event, step.StepEnded) and told.event.failure == "lost":
            spoilt.add(told.subject.rsplit(".", 1)[1])
    for id, runs in world.staff.runs_of.items():
        if len(runs) == 1 and runs[0] in ends and runs[0] not in spoilt:
            compared += 1
            turns = [turn for turn in world.script.turns if turn.phase == f"p{id[1:]}"]
            if world.hands.files.get(id, {}) != expected(turns):
                wrong.append(f"{id}: {world.hands.files.get(id)} instead of {expected(turns)}")
    return wrong, compared


@pytest.mark.parametrize("share", range(3))
def test_every_conversation_keeps_every_promise(share: int) -> None:
    crashes = conflicts = compared = 0
    kinds: set[type] = set()
    for seed in range(share, SEEDS, 3):
        world = World(seed).run()
        trees, count = wrong_trees(world)
        wrong = [*world.wrong, *everything_wrong(world.log.records, TURNS_MAX), *trees, *left_in_mind(world)]
        wrong += [f"{run} never ends" for run in world.staff.open]
        assert not wrong, f"seed {seed}: {wrong[:5]}"
        crashes, compared, conflicts = crashes + world.crash_count, compared + count, conflicts + world.conflicts
        kinds |= {type(told.event) for told in checkers.told(world.log.records)}
    assert crashes and compared, "a kind of fault was never reached"
    missing = {exec.ExecLost, exec.ExecBackgrounded, run.RunFailed, run.RunStopped, WorkspaceMerged} - kinds
    assert not missing, f"never happened: {missing}"


def test_without_trouble_every_conversation_ends_with_its_own_tree() -> None:
    for seed in range(20):
        world = World(seed, crashes=0, trouble=0).run()
        wrong, compared = wrong_trees(world)
        assert not wrong and not everything_wrong(world.log.records, TURNS_MAX), f"seed {seed}: {wrong}"
        assert compared


def test_a_conversation_is_decided_by_its_seed_alone() -> None:
    def shape(seed: int) -> list[str]:
        return [type(told.event).__name__ for told in checkers.told(World(seed).run().log.records)]

    assert shape(7) == shape(7)
    assert shape(7) != shape(8)


def test_parcels_that_overtake_each_other_would_be_found() -> None:
    assert any(World(seed, overtaking=True).run().wrong for seed in range(300))


def _log(*commits: tuple[str, Any]) -> list[Record]:
    """Records with one event each, chained as they should be."""
    records: list[Record] = []
    heads: dict[str, tuple[int, str]] = {}
    for seq, (subject, event) in enumerate(commits, 1):
        v, prev = heads.get(subject, (0, ""))
        body = encode(Commit(f"id-{seq}", "", "agents-0", "", "", v + 1, prev, [event]))
        heads[subject] = (v + 1, link(subject, body))
        records.append(Record(subject, seq, body))
    return records


RUN, STEP, CALL, EXEC, SPACE = (f"evt.{kind}.a.t-1" for kind in ("run", "step", "call", "exec", "workspace"))
STARTED = (RUN, run.RunStarted(task="t", phase="p", role="r", mind="m"))
OPENED = (STEP, step.StepsOpened(task="t", phase="p", role="r"))
ASKED = (STEP, step.ModelRequested(turn=1))
REPLIED = (CALL, ModelReplied(turn=1, mind="m", calls=[ToolCall("read", {})]))
WANTED = (STEP, step.ToolRequested(call="1-1", tool="read", input={}))
DONE = (EXEC, exec.ToolEnded(call="1-1", ok=True, output=Excerpt(""), ms=0))
NOTED = (STEP, step.StepEnded(call="1-1", ok=True))
CLOSED = (STEP, step.StepsClosed(outcome="finished"))
FINISHED = (RUN, run.RunFinished())
BEGUN = (EXEC, exec.ExecStarted(call="1-1", level="B"))
MERGED = ("evt.workspace.t", WorkspaceMerged(order="o", into="main", commit="c"))
CLEAN = [STARTED, OPENED, ASKED, REPLIED, WANTED, DONE, NOTED, FINISHED, CLOSED]
SILENT = ("evt.guardian.main", FreezeAcknowledged(order="f", actor="agents-0"))


def _without(*gone: tuple[str, Any]) -> list[tuple[str, Any]]:
    return [each for each in CLEAN if each not in gone]


def _with(extra: tuple[str, Any], behind: tuple[str, Any]) -> list[tuple[str, Any]]:
    return [one for each in CLEAN for one in ([each, extra] if each is behind else [each])]


def test_the_checkers_find_nothing_in_a_clean_log() -> None:
    assert everything_wrong(_log(*CLEAN), TURNS_MAX) == []


PLANTED = {
    "a call without an end": _without(DONE),
    "a call with two ends": _with((EXEC, exec.ExecLost(call="1-1", reason="")), DONE),
    "an end that nobody asked for": _with((EXEC, exec.ExecLost(call="9-1", reason="")), DONE),
    "a second reply": _with(REPLIED, REPLIED),
    "a step noted twice": _with(NOTED, NOTED),
    "a call requested twice": _with(WANTED, WANTED),
    "a command begun twice": [*CLEAN[:5], BEGUN, BEGUN, *CLEAN[5:]],
    "a run ended twice": [*CLEAN, (RUN, run.RunStopped(reason=""))],
    "a workspace opened twice": [(SPACE, WorkspaceOpened("r", "b", "c", "t", "p"))] * 2,
    "an order carried out twice": [MERGED, MERGED],
    "asked while frozen": [SILENT, *CLEAN],
    "a run without an end": _without(FINISHED),
    "steps that are never closed": _without(CLOSED),
    "a turn left out": _with((STEP, step.ModelRequested(turn=3)), NOTED),
    "too many turns": [(STEP, step.ModelRequested(turn=turn)) for turn in range(1, TURNS_MAX + 2)],
    "work after the end": [*CLEAN, (STEP, step.ModelRequested(turn=2))],
    "a reply that came to nothing": [ASKED, REPLIED, (STEP, step.ModelRequested(turn=2))],
}


@pytest.mark.parametrize("fault", PLANTED)
def test_every_checker_can_fail(fault: str) -> None:
    assert everything_wrong(_log(*PLANTED[fault]), TURNS_MAX)


def test_a_wrong_tree_is_found() -> None:
    world = World(3, crashes=0, trouble=0).run()
    for files in world.hands.files.values():
        files["a"] = "something else"
    assert wrong_trees(world)[0]


def test_what_is_kept_in_mind_is_found() -> None:
    world = World(3, crashes=0, trouble=0).run()
    assert left_in_mind(world) == []
    world.actors["executor"].decider.closing.add("t1-1")
    assert left_in_mind(world)
