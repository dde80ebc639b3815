"""A script: a file of fixed replies in place of a mind, and called a script wherever it is shown."""

import tomllib
from pathlib import Path

import msgspec

from bus.blobs import INLINE_MAX_BYTES, sha256
from bus.errors import Invalid
from bus.messages.agent import WorkAssigned
from bus.messages.base import Artifact, Pieces, ToolCall
from bus.subjects import Token


class ScriptedReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the script says in one phase. `{task}`, `{phase}` and `{attempt}` in the content are filled in."""

    phase: Token
    name: str
    type: Token
    content: str
    delay_s: float = 0
    fails_first: int = 0
    failure: str = "the script says so"
    pad_to_bytes: int = 0


class ScriptedTurn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the script says in one turn of a phase, in the order of the file. `{task}` in it is filled in."""

    phase: Token
    text: str = ""
    calls: list[ToolCall] = []
    after: str = ""
    """Only when the phase is done once more because of this failure; empty: only when nothing failed before."""
    delay_s: float = 0
    failure: str = ""
    """The mind does not reply but fails in this way, once."""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`replies` end a phase at once and touch nothing; `turns` are played as a model's replies would be."""

    name: Token
    about: str
    replies: list[ScriptedReply] = []
    turns: list[ScriptedTurn] = []

    @property
    def is_models(self) -> bool:
        """There is no script: models think."""
        return not self.replies and not self.turns

    @property
    def mind(self) -> str:
        return "models" if self.is_models else f"script:{self.name}"

    def reply_to(self, work: WorkAssigned) -> ScriptedReply | None:
        return next((reply for reply in self.replies if reply.phase in (work.phase, "any")), None)

    def plays(self, phase: str) -> bool:
        """Whether it has turns for this phase."""
        return any(turn.phase == phase for turn in self.turns)

    def turn_of(self, phase: str, after: str, number: int) -> ScriptedTurn | None:
        """The turn with this number, counted from 1; what is made for a recovery goes before what is not."""
        of_phase = [turn for turn in self.turns if turn.phase == phase]
        fitting = [turn for turn in of_phase if turn.after == after] or [turn for turn in of_phase if not turn.after]
        return fitting[number - 1] if number <= len(fitting) else None


def artifact_of(reply: ScriptedReply, work: WorkAssigned) -> tuple[Artifact, bytes | None]:
    """The artifact, and its content apart where it is too large for an event."""
    text = reply.content
    for name, filling in (("task", work.text), ("phase", work.phase), ("attempt", str(work.attempt))):
        text = text.replace("{" + name + "}", filling)
    text = text.ljust(reply.pad_to_bytes, ".")
    content = text.encode()
    large = len(content) > INLINE_MAX_BYTES
    artifact = Artifact(reply.name, reply.type, sha256(content), len(content), None if large else text)
    return artifact, content if large else None


MODELS = Script("models", "no script: models think")


def filled(value: object, task: str) -> object:
    """The same with `{task}` filled in wherever a text stands."""
    match value:
        case str():
            return value.replace("{task}", task)
        case list():
            return [filled(each, task) for each in value]
        case dict():
            return {name: filled(each, task) for name, each in value.items()}
    return value


def calls_of(turn: ScriptedTurn, task: str) -> list[ToolCall]:
    """The calls of a turn, made for this task."""
    return [ToolCall(call.tool, _pieces(filled(call.input, task))) for call in turn.calls]


def _pieces(value: object) -> Pieces:
    assert isinstance(value, dict)
    return value


_read_json = msgspec.json.Decoder(Script).decode


def read_script(path: Path) -> Script:
    """One file; an error names the path inside it."""
    try:
        text = path.read_text()
        return _read_json(text) if path.suffix == ".json" else _from_toml(text)
    except OSError as error:
        raise Invalid(f"there is no script {path}", "Name a file, or one of those in `actors/scripts`.") from error
    except (msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path}: {error}", "Mend the file; `actors/scripts/demo.toml` is a good model.") from error


def _from_toml(text: str) -> Script:
    return msgspec.convert(tomllib.loads(text), Script)
