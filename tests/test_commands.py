"""Commands from anybody: stored while Witan is away, executed once, answered with the business answer."""

import asyncio
import json
from pathlib import Path

import pytest
from nats.aio.client import Client

from bus.follow import Letter, WorkQueue
from bus.messages.guardian import ActorJoined
from bus.messages.task import TaskCompleted, TaskSubmitted
from bus.server import Server
from bus.subjects import COMMANDS
from bus.topology import streams
from cli.app import App
from tests.bus_app import an_app, ask, events, in_public, restarts
from tests.bus_ground import a_connection, a_proxy, a_server, told, until

SUBMIT = "cmd.orchestrator.submit_task"


def submitted(app: App) -> list[str]:
    return [event.task for _, event in events(app, "evt.task.*") if isinstance(event, TaskSubmitted)]


def test_a_bare_publish_while_witan_is_away_is_executed_when_it_comes_up(tmp_path: Path) -> None:
    with an_app(tmp_path):
        pass

    async def alone() -> None:
        async with a_server(tmp_path / "nats") as server, a_connection(server.public_url) as connection:
            for number in range(20):
                connection.publish(SUBMIT.encode(), b'{"task":"task %d"}' % number)
            connection.publish(b"guardian.freeze", b"")
            assert (await connection.request("ask.nobody")).status == "503"

    asyncio.run(alone())
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            await until(lambda: len(submitted(app)) == 20)
            assert submitted(app) == [f"task {number}" for number in range(20)]
            assert (await ask(client, "guardian.freeze"))["code"] == "refused"

        in_public(app, story)


def test_a_request_gets_the_business_answer_and_the_work_is_done(tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            answer = await ask(client, SUBMIT, {"task": "a hello"})
            assert answer["ok"] and answer["status"] == "running" and answer["phases"][0] == "research"
            subject = f"evt.task.{answer['task_id']}"
            await until(lambda: any(isinstance(event, TaskCompleted) for _, event in events(app, subject)))

        in_public(app, story)


REFUSED: dict[str, tuple[str, object, str]] = {
    "no task": (SUBMIT, {}, "invalid"),
    "an unknown field": (SUBMIT, {"task": "x", "surprise": 1}, "invalid"),
    "a wrong type": (SUBMIT, {"task": 7}, "invalid"),
    "no JSON": (SUBMIT, b"{", "invalid"),
    "no UTF-8": (SUBMIT, b'{"task":"\xff"}', "invalid"),
    "an unknown command": ("cmd.orchestrator.dance", {}, "invalid"),
    "a longer subject": (SUBMIT + ".now", {"task": "x"}, "invalid"),
    "a shorter subject": ("cmd.orchestrator", {"task": "x"}, "invalid"),
    "an unknown actor": ("cmd.gardener.water", {}, "invalid"),
    "an unknown order": ("guardian.dance", {}, "invalid"),
    "an unknown workflow": (SUBMIT, {"task": "x", "workflow": "waltz"}, "refused"),
    "an unknown task": ("cmd.orchestrator.cancel_task", {"task_id": "nope"}, "missing"),
    "an unknown pipeline": ("guardian.pause_pipeline", {"pipeline_id": "nope"}, "missing"),
    "nothing to thaw": ("guardian.thaw", {}, "refused"),
}


def test_a_refusal_says_what_happened_and_what_to_do_next(tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            for wrong, (subject, body, code) in REFUSED.items():
                answer = await ask(client, subject, body)
                assert (answer["ok"], answer["code"]) == (False, code), wrong
                assert answer["message"] and answer["hint"], wrong

        in_public(app, story)
        assert submitted(app) == [] and restarts(app) == 0


def test_what_is_said_twice_is_done_once_and_answered_the_same(tmp_path: Path) -> None:
    first: dict[str, dict[str, object]] = {}
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            first["header"] = await ask(client, SUBMIT, {"task": "one"}, id="once")
            assert await ask(client, SUBMIT, {"task": "one"}, id="once") == first["header"]
            first["body"] = await ask(client, SUBMIT, {"task": "two", "id": "twice"})
            again = await ask(client, SUBMIT, {"task": "two", "id": "twice"})
            assert (again["ok"], again["task_id"]) == (True, first["body"]["task_id"])

        in_public(app, story)
        assert sorted(submitted(app)) == ["one", "two"]
    with an_app(tmp_path) as app:

        async def later(client: Client) -> None:
            by_header = await ask(client, SUBMIT, {"task": "one"}, id="once")
            by_body = await ask(client, SUBMIT, {"task": "two", "id": "twice"})
            for answer, before in ((by_header, first["header"]), (by_body, first["body"])):
                assert (answer["ok"], answer["task_id"]) == (True, before["task_id"])

        in_public(app, later)
        assert sorted(submitted(app)) == ["one", "two"]


def test_a_repeat_after_the_work_is_done_is_known_too(tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            first = await ask(client, SUBMIT, {"task": "one", "id": "once"})
            subject = f"evt.task.{first['task_id']}"
            await until(lambda: any(isinstance(event, TaskCompleted) for _, event in events(app, subject)))
            again = await ask(client, SUBMIT, {"task": "one", "id": "once"})
            assert (again["ok"], again["task_id"]) == (True, first["task_id"])

        in_public(app, story)
        assert submitted(app) == ["one"] and restarts(app) == 0


def test_five_hundred_at_once_are_all_answered_and_none_is_executed_twice(tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            bodies = [{"task": f"task {number % 125}"} for number in range(500)]
            answers = await asyncio.gather(*(ask(client, SUBMIT, body) for body in bodies))
            assert all(answer["ok"] for answer in answers)
            assert len({answer["task_id"] for answer in answers}) == 500
            bodies = [{"task": f"named {number % 125}", "id": f"name {number % 125}"} for number in range(500)]
            answers = await asyncio.gather(*(ask(client, SUBMIT, body) for body in bodies))
            assert all(answer["ok"] for answer in answers)
            assert len({answer["task_id"] for answer in answers}) == 125

        in_public(app, story)
        assert sorted(submitted(app)) == sorted(
            [f"task {number % 125}" for number in range(500)] + [f"named {number}" for number in range(125)]
        )


@pytest.mark.parametrize("reply", ["evt.task.forged", "cmd.orchestrator.submit_task", "live.heartbeat.x", "$JS.API.X"])
def test_an_answer_goes_to_inboxes_only(reply: str, tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            overheard: list[bytes] = []

            async def hear(message: object) -> None:
                overheard.append(message.data)  # type: ignore[attr-defined]

            for pattern in ("live.>", "evt.task.forged"):
                await client.subscribe(pattern, cb=hear)
            for subject, body in ((SUBMIT, b"{"), ("cmd.gardener.water", b"{}"), ("guardian.thaw", b"{}")):
                await client.publish(subject, body, reply)
            assert (await ask(client, "guardian.thaw"))["code"] == "refused"
            assert overheard == []

        in_public(app, story)
        assert {type(event) for _, event in events(app, "evt.task.*", "evt.guardian.>")} <= {ActorJoined}
        assert restarts(app) == 0


def test_the_guardians_public_names_are_its_commands(tmp_path: Path) -> None:
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            frozen = await ask(client, "guardian.freeze", {"reason": "by its public name"})
            assert frozen["ok"] and frozen["ordered"] == "freeze"
            id = (await ask(client, SUBMIT, {"task": "waits"}))["task_id"]
            paused = await ask(client, "guardian.pause_pipeline", {"pipeline_id": id})
            assert (paused["ok"], paused["pipeline_id"], paused["ordered"]) == (True, id, "pause")
            assert (await ask(client, "cmd.guardian.thaw"))["ok"]
            override = {"pipeline_id": id, "override": {"language": "Go"}}
            assert (await ask(client, "guardian.override_pipeline", override))["ok"]

        in_public(app, story)


def test_headers_that_the_stream_would_obey_are_refused(tmp_path: Path) -> None:
    """The stream refuses what has a wrong guard, and says so to nobody: the caller would wait for ever."""
    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            for name in ("Nats-Expected-Last-Sequence", "Nats-Expected-Stream", "Nats-Rollup", "Nats-Batch-Id"):
                reply = await client.request(SUBMIT, b'{"task":"x"}', 15, headers={name: "sub"})
                assert json.loads(reply.data)["code"] == "invalid", name

        in_public(app, story)
        assert submitted(app) == []


def test_letters_acknowledged_while_away_do_not_stop_the_queue(tmp_path: Path) -> None:
    """A whole window of them comes again after the reconnect; what stands behind must still come."""

    async def story(server: Server) -> None:
        async with a_connection(server.url) as direct, a_proxy(server) as (proxy, url), a_connection(url) as far:
            letters: list[Letter] = []
            queue = WorkQueue(far, COMMANDS, "orchestrator", ["cmd.orchestrator.>"], lambda got, _: letters.extend(got))
            await queue.open()
            for number in range(2010):
                direct.publish(b"cmd.orchestrator.x", b"%d" % number)
            await until(lambda: len(letters) == 2000)
            await proxy.shut()
            await until(lambda: not far.connected)
            for letter in letters[:2000]:
                queue.ack(letter)
            await proxy.open()
            await until(lambda: len(letters) == 2010)
            assert [int(letter.body) for letter in letters] == list(range(2010))
            await queue.close()

    assert streams()[COMMANDS]["no_ack"]
    told(tmp_path, story)


def test_commands_that_the_server_cannot_find_again_do_not_fill_the_stream(tmp_path: Path) -> None:
    """Its index loses subjects with a certain byte: without a reader they would stay until no command has room."""

    def left(app: App) -> int:
        told = app.bridge.run(app.connection.request(f"$JS.API.STREAM.INFO.{COMMANDS}"), timeout_s=10)
        return int(json.loads(told.body)["state"]["messages"])

    with an_app(tmp_path) as app:

        async def story(client: Client) -> None:
            for number in range(700):
                for subject in ("guardian.x\x7f", "cmd.orchestrator.\x7fA\x7f", "cmd.guardian.A\x7f"):
                    await client.publish(f"{subject}{number}", b"x" * 1000)
            await client.publish(SUBMIT, b'{"task":"still heard"}')
            await until(lambda: submitted(app) == ["still heard"] and not left(app))

        in_public(app, story)

    async def alone() -> None:
        async with a_server(tmp_path / "nats") as server, a_connection(server.url) as connection:
            for number in range(300):
                connection.publish(b"guardian.x\x7f%d" % number, b"x")
            assert (await connection.request("ask.nobody")).status == "503"

    asyncio.run(alone())
    with an_app(tmp_path) as app:
        in_public(app, lambda _: until(lambda: not left(app)))
