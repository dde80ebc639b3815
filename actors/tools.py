"""The tools that a mind may ask for: their names, their inputs, and who carries them out. Roles name theirs."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from bus.errors import Invalid
from bus.messages.base import Pieces
from bus.subjects import Token

Path = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\A[^\x00]*\Z")]
Line = Annotated[int, Meta(ge=1)]


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a tool is told."""


class Read(Tool, frozen=True):
    """Read a text file, or some lines of it."""

    path: Path
    first_line: Line = 1
    lines: Annotated[int, Meta(ge=1, le=5000)] = 1000


class Write(Tool, frozen=True):
    """Write a whole file; folders that are missing are made."""

    path: Path
    content: str


class Edit(Tool, frozen=True):
    """Replace `old`, which must stand in the file exactly once unless `all` is true, by `new`."""

    path: Path
    old: Annotated[str, Meta(min_length=1)]
    new: str
    all: bool = False


class List(Tool, frozen=True):
    """List a folder."""

    path: Path = "."
    depth: Annotated[int, Meta(ge=1, le=20)] = 2


class Search(Tool, frozen=True):
    """Find the lines that a regular expression matches."""

    pattern: Annotated[str, Meta(min_length=1, max_length=1000)]
    path: Path = "."


class Run(Tool, frozen=True):
    """Run a shell command in the workspace, inside the sandbox."""

    command: Annotated[str, Meta(min_length=1, max_length=20_000, pattern=r"\A[^\x00]*\Z")]
    background: bool = False
    """Do not wait for it at all."""


class Test(Tool, frozen=True):
    """Run the project's tests and count their results. Empty: the command that the project's files suggest."""

    command: Annotated[str, Meta(max_length=20_000, pattern=r"\A[^\x00]*\Z")] = ""


class Git(Tool, frozen=True):
    """Look at what was changed, or commit it on the task's own branch."""

    verb: Literal["status", "diff", "log", "commit"]
    message: Annotated[str, Meta(max_length=5000)] = ""


class Deploy(Tool, frozen=True):
    """Build, copy and check the workspace in an environment; refused unless the tests of exactly this tree passed."""

    environment: Token = "local"


class Made(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One artifact: a file of the workspace, or a text of its own."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    type: Token
    path: str = ""
    content: str | None = None


class Finish(Tool, frozen=True):
    """The phase is done; these are its artifacts. Without any, the phase's changes are its artifact."""

    summary: Annotated[str, Meta(max_length=5000)] = ""
    artifacts: Annotated[list[Made], Meta(max_length=100)] = field(default_factory=list)


class Wait(Tool, frozen=True):
    """Wait until a command in the background has ended."""

    call: Annotated[str, Meta(max_length=20)]


class Playbook(Tool, frozen=True):
    """Open a playbook and follow it."""

    name: Token
    inputs: Pieces = field(default_factory=dict)


class Checklist(Tool, frozen=True):
    """Add steps to the checklist, and tick off those that are done, counted from 1."""

    add: Annotated[list[Annotated[str, Meta(max_length=500)]], Meta(max_length=50)] = field(default_factory=list)
    done: Annotated[list[Line], Meta(max_length=100)] = field(default_factory=list)


class AskForHelp(Tool, frozen=True):
    """Stop here and ask a person."""

    question: Annotated[str, Meta(min_length=1, max_length=5000)]


Task = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{0,64}\Z")]
"""A task's id; empty: the one that is worked on."""


class ReviewCode(Tool, frozen=True):
    """Have a file, or the files of a folder, counted and scored from 0 to 10: mistakes, sizes, complexity, tests."""

    path: Path = "."


class QueryLogs(Tool, frozen=True):
    """What happened in a task's runs, step by step."""

    task_id: Task = ""
    errors_only: bool = False
    last: Annotated[int, Meta(ge=1, le=200)] = 60


class AboutTask(Tool, frozen=True):
    """What a task is about, where it stands, and what went wrong in it."""

    task_id: Task = ""


class ListAgents(Tool, frozen=True):
    """Who is there, in which role, and what each works on."""


class AssignTask(Tool, frozen=True):
    """Say who does the task's next phase."""

    agent: Token
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    task_id: Task = ""


class EscalateTask(Tool, frozen=True):
    """Stop the task and let a person decide."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    task_id: Task = ""
    urgency: Literal["low", "medium", "high", "critical"] = "medium"


class Apply(Tool, frozen=True):
    """Put a council's answer, which is kept by its sha256, into the workspace."""

    solution: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


FILES: dict[str, type[Tool]] = {
    "read": Read,
    "write": Write,
    "edit": Edit,
    "list": List,
    "search": Search,
    "review_code": ReviewCode,
}
COMMANDS: dict[str, type[Tool]] = {"run": Run, "test": Test}
OVERSIGHT: dict[str, type[Tool]] = {
    "query_logs": QueryLogs,
    "get_task_info": AboutTask,
    "list_agents": ListAgents,
    "assign_task": AssignTask,
    "escalate_task": EscalateTask,
}
"""These are about other people's work, and need no workspace."""
UNASKED: dict[str, type[Tool]] = {"apply": Apply}
"""No mind asks for these, and no role can list them: the agent itself begins a run with them."""
EXECUTED: dict[str, type[Tool]] = {
    **FILES,
    **COMMANDS,
    **OVERSIGHT,
    **UNASKED,
    "git": Git,
    "deploy": Deploy,
    "finish": Finish,
}
"""These are done by the executor."""
DECIDED: dict[str, type[Tool]] = {
    "wait": Wait,
    "playbook": Playbook,
    "checklist": Checklist,
    "ask_for_help": AskForHelp,
}
"""These are decided by the agent alone."""
KNOWN = {**EXECUTED, **DECIDED}
TOOLS = {name: tool for name, tool in KNOWN.items() if name not in UNASKED}
"""What a role can list."""
_READY = [msgspec.json.Decoder(tool) for tool in KNOWN.values()]
"""Several agents may use a tool for the first time at once: see `bus.messages.kinds`."""


def read_input(tool: str, given: Pieces) -> Any:
    """The tool's input, or an error that says where it is wrong."""
    try:
        return msgspec.convert(given, KNOWN[tool])
    except KeyError:
        raise Invalid(f"there is no tool {tool!r}", f"The tools are: {', '.join(TOOLS)}.") from None
    except (msgspec.ValidationError, RecursionError) as error:
        fields = ", ".join(each.name for each in msgspec.structs.fields(KNOWN[tool]))
        raise Invalid(f"{tool}: {error}", f"Its input has the fields: {fields}.") from error
