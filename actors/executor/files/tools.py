"""File tools: what a mind reads, writes and finds in a workspace, and never outside of it."""

import errno

from actors import tools
from actors.executor.files.editing import edit
from actors.executor.files.looking import list_folder, listing, search
from actors.executor.files.room import WRITE_MAX_BYTES, Outcome, Room
from actors.executor.reviewing.code import review
from bus.errors import Invalid, Missing, Refused, WitanError

__all__ = ["Outcome", "Room", "content_of", "listing", "perform"]

RESULT_MAX_BYTES = 200_000
LINE_MAX = 5_000
BINARY_HEAD_BYTES = 8192
FAILURES = {
    errno.ENOENT: "file_not_found",
    errno.ENOTDIR: "file_not_found",
    errno.EISDIR: "file_not_found",
    errno.ENAMETOOLONG: "file_not_found",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EROFS: "permission_denied",
    errno.ELOOP: "permission_denied",
    errno.EXDEV: "permission_denied",
    errno.ENXIO: "permission_denied",
    errno.ENOSPC: "out_of_space",
    errno.EDQUOT: "out_of_space",
    errno.EFBIG: "out_of_space",
    errno.ETIMEDOUT: "timeout",
}


def perform(room: Room, tool: tools.Tool, redo: bool = False) -> Outcome:
    """Do it. `redo`: it may have been done before, and nobody knows; then what is already so is done."""
    try:
        outcome = _do(room, tool, redo)
    except WitanError as error:
        failure = {Refused: "permission_denied", Missing: "file_not_found"}.get(type(error), "unknown")
        outcome = Outcome(False, f"{error}. {error.what_next}", failure)
    except OSError as error:
        outcome = Outcome(False, _said(getattr(tool, "path", ""), error), FAILURES.get(error.errno or 0, "unknown"))
    return outcome._replace(text=_clipped(outcome.text))


def _do(room: Room, tool: tools.Tool, redo: bool) -> Outcome:
    match tool:
        case tools.Read():
            return read(room, tool)
        case tools.Write():
            return write(room, tool, redo)
        case tools.Edit():
            return edit(room, tool, redo)
        case tools.List():
            return list_folder(room, tool)
        case tools.Search():
            return search(room, tool)
        case tools.ReviewCode():
            return review(room, tool)
    raise Invalid(f"{type(tool).__name__} is no file tool", f"These are: {', '.join(tools.FILES)}.")


def _said(path: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"{path!r} became a link while it was being opened; nothing was done"
    return f"{path!r}: {error.strerror or error}"


def _clipped(text: str) -> str:
    said = text.encode(errors="replace")
    if len(said) <= RESULT_MAX_BYTES:
        return said.decode()
    return said[:RESULT_MAX_BYTES].decode(errors="ignore") + f"\n… cut; the whole has {len(said):,} bytes"


def content_of(room: Room, path: str) -> bytes:
    """What a file holds, for those who keep it; a file that is not there, or not to be read, is an error of ours."""
    try:
        return room.load(room.plain(path)).content
    except OSError as error:
        kind = Missing if FAILURES.get(error.errno or 0) == "file_not_found" else Refused
        raise kind(f"{path!r}: {error.strerror}", "Name a file of the workspace.") from error


def read(room: Room, tool: tools.Read) -> Outcome:
    path = room.plain(tool.path)
    content = room.load(path).content
    if b"\0" in content[:BINARY_HEAD_BYTES]:
        return Outcome(True, f"{path} is a binary file of {len(content):,} bytes", read=(path,))
    text = content.decode("utf-8-sig", errors="replace")
    lines = text.removesuffix("\n").split("\n") if text else []
    if not lines:
        return Outcome(True, f"{path} is empty", read=(path,))
    if tool.first_line > len(lines):
        return Outcome(False, f"{path} has {len(lines):,} lines; there is no line {tool.first_line:,}", "unknown")
    shown, left = list[str](), RESULT_MAX_BYTES - 1000
    for number, line in enumerate(lines[tool.first_line - 1 :][: tool.lines], tool.first_line):
        said = f"{number:>6}\t{_cut(line.removesuffix(chr(13)))}"
        left -= len(said.encode()) + 1
        if left < 0:
            break
        shown.append(said)
    last = tool.first_line + len(shown) - 1
    notes = [f"lines {tool.first_line:,}-{last:,} of {len(lines):,}"]
    notes += [f"read on with first_line={last + 1}"] if last < len(lines) else []
    notes += ["lines end in CR LF"] if "\r\n" in text else []
    notes += ["not UTF-8: some letters are shown as \ufffd, and it cannot be edited"] if not _is_utf8(content) else []
    return Outcome(True, "\n".join(shown) + f"\n({'; '.join(notes)})", read=(path,))


def _cut(line: str) -> str:
    return line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]}… (cut; the line has {len(line):,} letters)"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def write(room: Room, tool: tools.Write, redo: bool) -> Outcome:
    """A step repeated after a crash cannot know whether the file that holds exactly this was there before it, or is its
    own; it is told as created, because most files that are written whole are new."""
    path = room.writable(tool.path)
    try:
        content = tool.content.encode()
    except UnicodeEncodeError as error:
        raise Invalid(
            f"the content cannot be written in UTF-8: {error.reason}", "Write it without such letters."
        ) from error
    if len(content) > WRITE_MAX_BYTES:
        raise Invalid(
            f"the content has {len(content):,} bytes; the most is {WRITE_MAX_BYTES:,}", "Write several smaller files."
        )
    lines = tool.content.count("\n") + (not tool.content.endswith("\n") and tool.content != "")
    much = f"{lines:,} line{'' if lines == 1 else 's'}"
    if redo and _holds(room, path, content):
        return Outcome(True, f"created {path}, {much}", created=(path,))
    if room.save(path, content):
        return Outcome(True, f"created {path}, {much}", created=(path,))
    return Outcome(True, f"overwrote {path}, {much}", wrote=(path,))


def _holds(room: Room, path: str, content: bytes) -> bool:
    try:
        return room.load(path).content == content
    except (OSError, WitanError):
        return False
