"""The table of everything that can be said: which events a kind has, which commands an actor takes."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from bus.envelope import COMMAND_MAX_BYTES, Commit, Record
from bus.errors import Broken, Invalid
from bus.messages import (
    agent,
    budget,
    call,
    council,
    exec,
    guardian,
    playbook,
    provider,
    routing,
    run,
    sandbox,
    slots,
    step,
    task,
    trial,
    workspace,
)
from bus.messages.base import Command

EVENTS_OF: dict[str, Any] = {
    "task": task.TaskEvent,
    "slots": slots.SlotsEvent,
    "agent": agent.AgentEvent,
    "run": run.RunEvent,
    "guardian": guardian.GuardianEvent,
    "step": step.StepEvent,
    "call": call.CallEvent,
    "exec": exec.ExecEvent,
    "workspace": workspace.WorkspaceEvent,
    "playbook": playbook.PlaybookEvent,
    "budget": budget.BudgetEvent,
    "provider": provider.ProviderEvent,
    "sandbox": sandbox.SandboxEvent,
    "council": council.CouncilEvent,
    "trial": trial.TrialEvent,
}

COMMANDS_OF: dict[str, dict[str, type[Command]]] = {
    "treasurer": {
        "set_caps": budget.SetCaps,
        "top_up": budget.TopUp,
        "list_models": call.ListModels,
    },
    "council": {
        "convene": council.Convene,
        "call_off": council.CallOff,
        "close_case": council.CloseCase,
    },
    "orchestrator": {
        "submit_task": task.SubmitTask,
        "cancel_task": task.CancelTask,
        "reset_task": task.ResetTask,
        "assign_task": routing.AssignTask,
        "escalate_task": routing.EscalateTask,
        "resize_slots": slots.ResizeSlots,
        "register_agent": agent.RegisterAgent,
    },
    "guardian": {
        "pause_pipeline": guardian.PausePipeline,
        "resume_pipeline": guardian.ResumePipeline,
        "override_pipeline": guardian.OverridePipeline,
        "approve_merge": guardian.ApproveMerge,
        "discard_work": guardian.DiscardWork,
        "waive_sandbox": guardian.WaiveSandbox,
        "freeze": guardian.Freeze,
        "thaw": guardian.Thaw,
        "join_watch": guardian.JoinWatch,
        "acknowledge_freeze": guardian.AcknowledgeFreeze,
        "bury_letter": guardian.BuryLetter,
    },
}

CARRIED_MAX_BYTES = 30 * 1024
"""What a command says goes into events, and two of them must fit into one commit."""
DEPTH_MAX = 100
"""What an event holds is read again by others, from deeper in their stack."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


_commit_of: Any = Commit
_DECODE: dict[str, Callable[[bytes], Commit[Any]]] = {
    kind: msgspec.json.Decoder(_commit_of[events]).decode for kind, events in EVENTS_OF.items()
}
_COMMANDS = {
    (actor, name): msgspec.json.Decoder(command)
    for actor, commands in COMMANDS_OF.items()
    for name, command in commands.items()
}
"""Made here and not when they are needed: two threads that make the first decoder of a type at once crash Python."""


def read_commit(record: Record) -> Commit[Any]:
    """The commit that a record of the log holds."""
    try:
        return _DECODE[record.subject.split(".", 2)[1]](record.body)
    except (KeyError, *_UNREADABLE) as error:
        raise _broken(record.subject, record.seq, error) from error


def read_commits(subject: str, bodies: Iterable[bytes], seq: int) -> list[Commit[Any]]:
    """The commits of one entity, the last of them at this place in the log."""
    try:
        return list(map(_DECODE[subject.split(".", 2)[1]], bodies))
    except (KeyError, *_UNREADABLE) as error:
        raise _broken(subject, seq, error) from error


def _broken(subject: str, seq: int, error: Exception) -> Broken:
    if isinstance(error, KeyError):
        hint = "Upgrade Witan: the log is newer than the program."
        return Broken(f"kind {error} is unknown to this version", hint)
    return Broken(f"{subject} at {seq} cannot be read: {error}")


def read_command(actor: str, name: str, body: bytes) -> Command:
    """The command that a message's body holds."""
    known = COMMANDS_OF.get(actor, {})
    if name not in known:
        raise Invalid(f"{actor} has no command {name!r}", f"{actor} takes: {', '.join(known)}.")
    if len(body) > COMMAND_MAX_BYTES:
        raise Invalid(f"{len(body)} bytes are over the limit of {COMMAND_MAX_BYTES}", "Send less.")
    try:
        command = _COMMANDS[actor, name].decode(body or b"{}")
    except _UNREADABLE as error:
        fields = ", ".join(field.name for field in msgspec.structs.fields(known[name]))
        raise Invalid(f"{actor}.{name}: {error}", f"Send a JSON object with: {fields}.") from error
    if len(body) > CARRIED_MAX_BYTES // 8 or body.count(b"[") + body.count(b"{") > DEPTH_MAX:
        _refuse_too_much(command)
    return command


def _refuse_too_much(command: Command) -> None:
    """Nothing may be decided on what cannot go on the log, or could not be read from there."""
    size = len(msgspec.json.encode(command))
    if size > CARRIED_MAX_BYTES:
        raise Invalid(f"the command holds {size} bytes, the limit is {CARRIED_MAX_BYTES}", "Send less.")
    level, depth = [msgspec.to_builtins(command)], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise Invalid(f"the command is nested more than {DEPTH_MAX} deep", "Send something flatter.")
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]


def _inside(outer: dict[str, object] | list[object]) -> Iterable[object]:
    return outer.values() if isinstance(outer, dict) else outer
