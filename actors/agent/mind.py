"""An agent's mind: in this release a script, a file of fixed replies, and called a script wherever it is shown."""

import tomllib
from pathlib import Path

import msgspec

from bus.blobs import INLINE_MAX_BYTES, sha256
from bus.errors import Invalid
from bus.messages.agent import WorkAssigned
from bus.messages.base import Artifact
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


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mind that has no thoughts: for the demo, for tests and for measuring everything around the model."""

    name: Token
    about: str
    replies: list[ScriptedReply]

    @property
    def mind(self) -> str:
        return f"script:{self.name}"

    def reply_to(self, work: WorkAssigned) -> ScriptedReply | None:
        return next((reply for reply in self.replies if reply.phase in (work.phase, "any")), None)


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


def read_script(path: Path) -> Script:
    """One file; an error names the path inside it."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Script)
    except OSError as error:
        raise Invalid(f"there is no script {path}", "Name a file, or one of those in `actors/scripts`.") from error
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path}: {error}", "Mend the file; `actors/scripts/demo.toml` is a good model.") from error
