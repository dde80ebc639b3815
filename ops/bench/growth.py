"""How the log grows with a conversation: a hundred calls up to 200,000 tokens, beside storing each whole prompt.

Nothing of a prompt is stored that a fold gives again, so a call adds what is new in it and no more. The baseline is
what the same calls would have added if each had stored the request that was sent, as the server received it.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import NamedTuple

from bus.commands import request
from bus.envelope import Record
from bus.log import replay
from bus.messages import call, task
from bus.messages.kinds import read_commit
from cli.app import App
from cli.config import Settings
from ops.bench.ground import Lab
from ops.bench.rows import Row, at_most
from ops.bench.thinker import thinking
from projections.rebuild import rebuild

CALLS, TOKENS = 100, 200_000
PART_BYTES = 6600
"""A turn that writes so much and says a quarter of it makes 2,000 tokens and some."""
GOAL_RATIO, GOAL_LINE = 1.1, 0.99
PLOT_ROWS, PLOT_COLUMNS = 12, 50


class Grown(NamedTuple):
    """After each call: bytes of commits, of texts that stand apart, and of the request that was sent for it."""

    commits: list[int]
    texts: list[int]
    requests: list[int]

    @property
    def kept(self) -> list[int]:
        return [a + b for a, b in zip(self.commits, self.texts, strict=True)]


def rows(lab: Lab) -> Iterator[Row]:
    calls = lab.scaled(CALLS, 8)
    folder = lab.fresh("growth")
    (folder / "roles").mkdir()
    (folder / "roles" / "coder.toml").write_text(_ROLE)
    settings = Settings(
        state_dir=folder,
        workflow="direct",
        log_level="error",
        daily_usd=10_000.0,
        monthly_usd=10_000.0,
        task_usd=10_000.0,
    )
    with thinking(0.0, part_bytes=PART_BYTES, calls=calls) as thinker:
        grown, tokens = _grow(settings)
        grown.requests.extend(thinker.sizes()[: len(grown.commits)])
        asked = thinker.asked()
        _again(settings)
        more = thinker.asked() - asked
    whole = _sums(grown.requests)
    print(plot(grown.kept, [a + b for a, b in zip(whole, grown.kept, strict=True)]), flush=True)
    yield Row("growth_conversation_tokens", tokens, "tokens", TOKENS, "the goal", TOKENS * lab.scale)
    ratio, naive = last_over_second(grown.kept), last_over_second(whole)
    yield at_most("growth_last_quarter_over_second", ratio, "ratio", naive, "each whole prompt stored", GOAL_RATIO)
    yield Row("growth_line_r2", r2(grown.kept), "R²", r2(whole), "each whole prompt stored", GOAL_LINE)
    commits, texts = grown.commits[-1] / calls / 1024, grown.texts[-1] / calls / 1024
    stored = whole[-1] / calls / 1024
    yield Row("growth_commits_kb_per_call", commits, "kB", stored, "each whole prompt stored")
    yield Row("growth_texts_kb_per_call", texts, "kB", stored, "each whole prompt stored; these stand apart")
    yield at_most("growth_calls_of_a_replay", more, "calls", asked, "calls of the run itself", 0)


_ROLE = """
name = "coder"
about = "writes"
tools = ["write", "finish"]
turns_max = 1000
prompt = "You write."
context_max_tokens = 400000
"""


def _grow(settings: Settings) -> tuple[Grown, int]:
    app = App(settings, projections=False).open()
    try:
        return app.bridge.run(_drive(app), timeout_s=300)
    finally:
        app.close()


async def _drive(app: App) -> tuple[Grown, int]:
    body = json.dumps({"task": "a long document", "workflow": "direct"}).encode()
    await request(app.connection, "orchestrator", "submit_task", body, "grow", timeout_s=20)
    ended = asyncio.Event()

    def hear(batch: list[Record], _: int) -> None:
        follower.done(len(batch))
        ends = (task.TaskCompleted, task.TaskFailed, task.PersonAsked)
        if any(isinstance(event, ends) for record in batch for event in read_commit(record).events):
            ended.set()

    follower = await app.log.follow(["evt.task.*"], 0, hear, 1000)
    await asyncio.wait_for(ended.wait(), 240)
    await follower.close()
    grown, tokens, apart = Grown([], [], []), 0, set[str]()
    size = texts = 0
    async for batch in replay(app.log):
        for record in batch:
            size += len(record.body)
            for event in read_commit(record).events:
                for digest, length in _apart(json.loads(record.body)):
                    if digest not in apart:
                        apart.add(digest)
                        texts += length
                if isinstance(event, call.ModelReplied) and event.usage:
                    usage = event.usage
                    tokens = usage.input + usage.cache_read + usage.cache_write + usage.output
                    grown.commits.append(size)
                    grown.texts.append(texts)
    return grown, tokens


def _apart(what: object) -> Iterator[tuple[str, int]]:
    """The texts that an event names by their sha256, and how long each is."""
    if isinstance(what, dict):
        digest, length = what.get("$blob") or what.get("sha256"), what.get("bytes")
        if isinstance(digest, str) and isinstance(length, int):
            yield digest, length
        what = list(what.values())
    for each in what if isinstance(what, list) else ():
        yield from _apart(each)


def _again(settings: Settings) -> None:
    """The daemon is started again, and all tables are made anew from its log."""
    app = App(settings, projections=False).open()
    try:
        app.bridge.run(rebuild(app.log, settings.state_dir / "anew.duckdb"), timeout_s=120)
    finally:
        app.close()


def _sums(each: list[int]) -> list[int]:
    total, sums = 0, []
    for one in each:
        total += one
        sums.append(total)
    return sums


def last_over_second(kept: list[int]) -> float:
    """Bytes that a call of the last quarter adds, over those of the second quarter."""
    quarter = len(kept) // 4
    return (kept[-1] - kept[-1 - quarter]) / (kept[2 * quarter] - kept[quarter])


def r2(kept: list[int]) -> float:
    """How much of it a straight line explains."""
    count = len(kept)
    middle, mean = (count - 1) / 2, sum(kept) / count
    slope = sum((x - middle) * (y - mean) for x, y in enumerate(kept)) / sum((x - middle) ** 2 for x in range(count))
    left = sum((y - mean - slope * (x - middle)) ** 2 for x, y in enumerate(kept))
    return 1 - left / sum((y - mean) ** 2 for y in kept)


def plot(ours: list[int], whole: list[int]) -> str:
    """Both against the number of calls: `o` is what Witan keeps, `x` what it would be with each prompt stored."""
    most, count = max(whole), len(ours)
    grid = [[" "] * PLOT_COLUMNS for _ in range(PLOT_ROWS)]
    for kept, mark in ((whole, "x"), (ours, "o")):
        for column in range(PLOT_COLUMNS):
            at = kept[min(count - 1, column * count // PLOT_COLUMNS)]
            grid[PLOT_ROWS - 1 - min(PLOT_ROWS - 1, at * PLOT_ROWS // most)][column] = mark
    labels = [f"{most / 2**20:6.1f} MB |", *["          |"] * (PLOT_ROWS - 1)]
    lines = [label + "".join(line) for label, line in zip(labels, grid, strict=True)]
    return "\n".join([*lines, "          +" + "-" * PLOT_COLUMNS, f"           calls: 1 to {count}; o kept, x prompts"])
