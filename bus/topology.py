"""The streams that Witan lives on, and what must be true of them."""

import json
from typing import Any

from bus.connection import Connection
from bus.errors import Refused, Unavailable
from bus.messages.kinds import COMMANDS_OF
from bus.subjects import ARTIFACTS, COMMANDS, DEAD, EVENTS, TIMERS

_MIB = 1024 * 1024
_DAY_NS = 24 * 3600 * 10**9
_ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER"


def streams(replicas: int = 1) -> dict[str, dict[str, Any]]:
    """Every stream with its settings."""
    wanted: dict[str, dict[str, Any]] = {
        EVENTS: {
            "subjects": ["evt.>"],
            "deny_delete": True,
            "deny_purge": True,
            "allow_atomic": True,
            "allow_direct": True,
            "compression": "s2",
        },
        COMMANDS: {
            "subjects": [*(f"cmd.{actor}.>" for actor in COMMANDS_OF), "guardian.>"],
            "retention": "workqueue",
            "persist_mode": "async",
            "no_ack": True,
            "allow_direct": True,
            "max_bytes": 64 * _MIB,
        },
        TIMERS: {
            "subjects": ["timer.>", "fired.>"],
            "retention": "workqueue",
            "allow_msg_schedules": True,
            "discard": "old",
        },
        DEAD: {
            "subjects": [f"{_ADVISORY}.{what}.{COMMANDS}.>" for what in ("MAX_DELIVERIES", "MSG_TERMINATED")]
            + ["dead.>"],
            "max_age": 30 * _DAY_NS,
            "max_bytes": 16 * _MIB,
            "discard": "old",
        },
        f"OBJ_{ARTIFACTS}": {
            "subjects": [f"$O.{ARTIFACTS}.C.>", f"$O.{ARTIFACTS}.M.>"],
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        },
    }
    common = {"storage": "file", "discard": "new", "num_replicas": replicas}
    return {name: {"name": name, **common, **config} for name, config in wanted.items()}


async def ensure(connection: Connection, replicas: int = 1) -> None:
    """Make the streams that are missing; refuse a log whose settings would let history be lost."""
    for name, config in streams(replicas).items():
        told = await _api(connection, f"STREAM.CREATE.{name}", config)
        error = told.get("error")
        if error and error.get("err_code") == 10058:  # there, with other settings
            told = await _api(connection, f"STREAM.UPDATE.{name}", config)
            error = told.get("error")
        if error:
            raise Unavailable(f"stream {name}: {error.get('description')}", "Run `witan doctor`.")
        if name == EVENTS:
            _refuse_a_log_that_forgets(told["config"])


def _refuse_a_log_that_forgets(config: dict[str, Any]) -> None:
    for setting in ("deny_delete", "deny_purge", "allow_atomic"):
        if not config.get(setting):
            raise Refused(f"the stream {EVENTS} lacks `{setting}`", "Use a server of Witan's own, or a new stream.")


async def _api(connection: Connection, call: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await connection.request(f"$JS.API.{call}", json.dumps(body).encode(), timeout_s=10)
    if reply.status == "503":
        raise Unavailable("the NATS server has no JetStream", "Start it with `-js`, or use `witan up` without --nats.")
    told: dict[str, Any] = json.loads(reply.body)
    return told
