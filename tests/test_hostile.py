"""Hostile input stops one message, not the system."""

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from actors.decider import Decider, Message
from actors.desk import Desk
from actors.orchestrator.decide import Orchestrator
from bus.connection import Connection
from bus.errors import WitanError
from bus.messages.guardian import LetterBuried, PauseOrdered
from bus.messages.kinds import read_command
from bus.messages.task import SubmitTask, TaskCompleted, TaskSubmitted
from bus.server_conf import PUBLIC_MAY_NOT_PUBLISH
from cli.app import App
from tests.bus_app import an_app, ask, events, in_public, resident_bytes, restarts
from tests.bus_ground import until
from tests.bus_hostility import KNOWN, Attack, Mouth, attack, body

HOSTILE = int(os.environ.get("HOSTILE", "3000"))
CROWD = 100
GROWTH_MAX_BYTES = 96 * 1024 * 1024
INNER = {*PUBLIC_MAY_NOT_PUBLISH, *(subject.removeprefix("cmd.") for subject in PUBLIC_MAY_NOT_PUBLISH)}
SUBMIT = "cmd.orchestrator.submit_task"


def test_no_body_escapes_the_decoder() -> None:
    dice = random.Random(1)
    read = refused = 0
    for _ in range(4 * HOSTILE):
        _, actor, command = f"cmd.{dice.choice(KNOWN)}".split(".")[-3:]
        try:
            read_command(actor if actor != "cmd" else "guardian", command, body(dice))
            read += 1
        except WitanError as error:
            assert error.code == "invalid" and str(error) and error.what_next
            refused += 1
    assert read and refused, "one of the two was never reached"


class Siege:
    """Sends attacks in crowds and remembers what came of them."""

    def __init__(self, url: str) -> None:
        self.mouth = Mouth(url)
        self.codes: dict[str, int] = {}
        self.terminated = 0

    async def crowd(self, attacks: list[Attack], start: int) -> None:
        asked = {self.mouth.request(start + place, each): each for place, each in enumerate(attacks)}
        answers = self.mouth.answers
        try:
            await until(lambda: all(answers[reply] or is_refused_by_server(each) for reply, each in asked.items()))
        except TimeoutError:
            silent = [(each.subject, each.block) for reply, each in asked.items() if not answers[reply]]
            pytest.fail(f"no answer to {silent[:20]}, but {self.mouth.refusals[:20]}")
        for reply, each in asked.items():
            if is_refused_by_server(each):
                assert not answers.pop(reply)
                self.codes["by server"] = self.codes.get("by server", 0) + 1
            else:
                (answer,) = answers.pop(reply)
                self._count(each, answer)

    def _count(self, each: Attack, answer: bytes) -> None:
        if answer.startswith(b"NATS/1.0 503"):
            code = "nobody"
        elif each.subject.startswith((b"ask.", b"$SRV.")):
            code = "question"
        else:
            told = json.loads(answer)
            code = "ok" if told["ok"] else told["code"]
            assert told["ok"] or (told["message"] and told["hint"])
        self.codes[code] = self.codes.get(code, 0) + 1
        self.terminated += code == "invalid" and reached_the_actor(each)


def reached_the_actor(each: Attack) -> bool:
    """A strange header, or a byte that the server loses, may have stopped it."""
    return (
        each.block is None
        and b"\x7f" not in each.subject
        and each.subject.startswith((b"cmd.orchestrator.", b"cmd.guardian.", b"guardian."))
    )


def is_refused_by_server(each: Attack) -> bool:
    """It checks what a message may be traced to, subjects with an empty token, and what the public may not say."""
    if each.subject.decode(errors="replace") in INNER or each.subject.startswith(b"cmd.treasurer."):
        return True
    return b"Trace-Dest" in (each.block or b"") or b".." in each.subject or each.subject.endswith(b".")


async def dead_letters(connection: Connection) -> int:
    """How many there have been: of a hundred thousand only the newest are still there."""
    reply = await connection.request("$JS.API.STREAM.INFO.DEAD", b'{"subjects_filter":"$JS.EVENT.ADVISORY.>"}')
    state: dict[str, Any] = json.loads(reply.body)["state"]
    gone = int(state["first_seq"]) - 1
    there: dict[str, int] = state.get("subjects") or {}
    return gone + sum(there.values())


async def work_goes_on(app: App, client: Client) -> None:
    await ask(client, "guardian.thaw")
    await ask(client, "cmd.orchestrator.resize_slots", {"limit": 1000})
    answer = await ask(client, SUBMIT, {"task": "after the siege"})
    assert answer["ok"]
    subject = f"evt.task.{answer['task_id']}"
    await until(lambda: any(isinstance(event, TaskCompleted) for _, event in events(app, subject)))


@pytest.mark.parametrize("count", [HOSTILE, pytest.param(100_000, marks=pytest.mark.slow)])
def test_hostile_requests_are_refused_and_the_system_goes_on(count: int, tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            dice = random.Random(int(os.environ.get("SEED", "5")))
            siege = Siege(app.public_url)
            await siege.mouth.open()
            half = 0
            for start in range(0, count, CROWD):
                await siege.crowd([attack(dice) for _ in range(CROWD)], start)
                if start <= count // 2:
                    half = resident_bytes()
            assert resident_bytes() - half < GROWTH_MAX_BYTES
            assert restarts(app) == 0
            assert {"ok", "invalid", "refused", "missing", "nobody"} <= siege.codes.keys()
            violations = sum(b"Permissions Violation" in refusal for refusal in siege.mouth.refusals)
            assert violations == siege.codes["by server"]
            await siege.mouth.close()
            while app.bridge.run(dead_letters(app.connection)) < siege.terminated:
                await asyncio.sleep(0.01)
            await work_goes_on(app, client)

        in_public(app, story)
        assert not any("forged" in subject for subject, _ in events(app))


WIRE = {
    "a body over the limit": b"PUB cmd.orchestrator.submit_task 2000000\r\n" + b"x" * 2_000_000 + b"\r\n",
    "a subject over the limit": b"PUB cmd.orchestrator." + b"x" * 70_000 + b" 2\r\n{}\r\n",
    "spaces in a subject": b"PUB cmd.orchestrator. submit task 2 2 2\r\n{}\r\n",
    "a line break in a subject": b"PUB cmd.orchestrator.a\r\nb 2\r\n{}\r\n",
    "a wrong length": b"PUB cmd.orchestrator.submit_task 1\r\n{}\r\n",
    "a negative length": b"PUB cmd.orchestrator.submit_task -1\r\n{}\r\n",
    "headers longer than the message": b"HPUB cmd.orchestrator.submit_task 50 10\r\nNATS/1.0\r\n\r\n\r\n",
    "random bytes": random.Random(3).randbytes(5000) + b"\r\n",
    "half a message": b'PUB cmd.orchestrator.submit_task 500\r\n{"task":',
}
FORBIDDEN = ["evt.task.forged", "timer.orchestrator.x", "fired.orchestrator.x", "live.heartbeat.coder-01", "dead.x"]
FORBIDDEN += (
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.PURGE.COMMANDS",
    "$O.ARTIFACTS.M.x",
    "_INBOX.x",
    "_WITAN.x",
)


def test_the_server_itself_rejects_what_breaks_its_protocol_or_its_permissions(tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            for frame in WIRE.values():
                mouth = await Mouth(app.public_url).open()
                mouth.say(frame)
                if frame != WIRE["half a message"]:
                    await mouth.ended.wait()
                await mouth.close()
            mouth = await Mouth(app.public_url).open()
            for subject in FORBIDDEN:
                mouth.say(b"PUB %b 2\r\n{}\r\n" % subject.encode())
            await mouth.sync()
            await until(lambda: len(mouth.refusals) == len(FORBIDDEN))
            await mouth.close()
            await work_goes_on(app, client)

        in_public(app, story)
        assert restarts(app) == 0
        assert not any("forged" in subject for subject, _ in events(app))


class _Fragile(Orchestrator):
    """A planted bug: one task, and one pause, bring the actor down each time it hears of them."""

    def decide(self, desk: Desk, message: Message) -> None:
        poison = isinstance(message.body, SubmitTask) and message.body.task == "poison"
        if poison or (isinstance(message.body, PauseOrdered) and message.body.reason == "poison"):
            raise ZeroDivisionError("planted")
        super().decide(desk, message)


class _FragileApp(App):
    def _deciders(self) -> list[Decider]:
        return [self._fragile(decider) for decider in super()._deciders()]

    def _fragile(self, decider: Decider) -> Decider:
        if not isinstance(decider, Orchestrator):
            return decider
        return _Fragile(dict(decider.floor.workflows), decider.floor.lease_s, decider.limit)


@pytest.mark.parametrize("id", ["", "named", "n" * 200], ids=["no-id", "an-id", "the-longest-id"])
def test_a_command_that_brings_its_actor_down_is_buried_after_three_times(id: str, tmp_path: Path) -> None:
    with an_app(tmp_path, _FragileApp) as app:

        async def story(client: Client) -> None:
            before, poison, behind = await asyncio.gather(
                ask(client, SUBMIT, {"task": "before"}),
                ask(client, SUBMIT, {"task": "poison"}, id),
                ask(client, SUBMIT, {"task": "behind"}),
            )
            assert before["ok"] and behind["ok"]
            assert (poison["ok"], poison["code"]) == (False, "invalid") and poison["hint"]
            await until(lambda: any(isinstance(event, LetterBuried) for _, event in events(app, "evt.guardian.dead")))
            await work_goes_on(app, client)

        in_public(app, story)
        assert restarts(app) == 3
        ((_, letter),) = events(app, "evt.guardian.dead")
        assert (letter.stream, letter.reason) == ("COMMANDS", "SubmitTask stopped orchestrator 3 times")
        done = [event.task for _, event in events(app, "evt.task.*") if isinstance(event, TaskSubmitted)]
        assert sorted(done) == ["after the siege", "before", "behind"]


def test_an_event_that_brings_its_reader_down_is_buried_too(tmp_path: Path) -> None:
    with an_app(tmp_path, _FragileApp) as app:

        async def story(client: Client) -> None:
            await ask(client, "guardian.freeze")
            id = (await ask(client, SUBMIT, {"task": "waits"}))["task_id"]
            assert (await ask(client, "guardian.pause_pipeline", {"pipeline_id": id, "reason": "poison"}))["ok"]
            await until(lambda: any(isinstance(event, LetterBuried) for _, event in events(app, "evt.guardian.dead")))
            await work_goes_on(app, client)

        in_public(app, story)
        ((_, letter),) = events(app, "evt.guardian.dead")
        assert (letter.stream, letter.reason) == ("EVENTS", "PauseOrdered stopped orchestrator 3 times")
        assert restarts(app) == 3
