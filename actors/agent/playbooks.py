"""Playbooks: instructions that an agent can open, each a folder with a SKILL.md that a user can add to or replace.

Between two lines `---` stands what the file says of itself, in a small part of YAML: `key: value`, and lists as
`[a, b]` or as lines `- item`. What is outside of that part is refused, never guessed at.
"""

import re
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from actors.tools import DECIDED, TOOLS
from bus.blobs import sha256
from bus.errors import Invalid, WitanError
from bus.subjects import token

FILE = "SKILL.md"
OWN = Path(__file__).parents[1] / "playbooks"
MODEL = "Mend the file; `witan playbooks show implement_code` is a good model."
TEXT_MAX_BYTES = 32 * 1024
"""A mind has to read all of it."""
DESCRIPTION_MAX = 1000
ALWAYS = ("finish", *DECIDED)
"""No playbook takes these away: with them an agent says how it stands."""

TEXTS, LISTS = ("name", "description", "role"), ("allowed-tools", "inputs", "outputs")
_is_key = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(?: +(.*))?").fullmatch
_is_item = re.compile(r" *- +(.*)").fullmatch
_is_input = re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch
_needs_quotes = re.compile(r"""[\[\]{},&*!|>%@`'"#?-]|.*: |.*:$|.* #""").match


class Playbook(msgspec.Struct, frozen=True):
    """One version of one playbook. `content` is the file as it was found, `version` its sha256."""

    name: str
    description: str
    body: str
    version: str
    allowed_tools: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    role: str = ""
    """Whom it is written for; empty: whoever has it."""
    origin: str = "witan"
    """`witan`, or the folder that it was found in."""
    content: bytes = b""

    def text(self, inputs: dict[str, object]) -> str:
        """The instructions with the inputs filled in; all of them must be given, and no other."""
        missing = [name for name in self.inputs if name not in inputs]
        unknown = [name for name in inputs if name not in self.inputs]
        if missing or unknown:
            wrong = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has no {', '.join(unknown)}"] * bool(unknown)
            raise Invalid(
                f"playbook {self.name!r}: the input {' and '.join(wrong)}",
                f"Its inputs are: {', '.join(self.inputs) or 'none'}.",
            )
        said = {name: value if isinstance(value, str) else _as_json(value) for name, value in inputs.items()}
        return re.sub(r"\{(\w+)\}", lambda place: said.get(place[1], place[0]), self.body)

    def allows(self, tool: str) -> bool:
        """Whether the tool may be used while this playbook is open."""
        return not self.allowed_tools or tool in self.allowed_tools or tool in ALWAYS


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


class _Said(NamedTuple):
    """What the front matter says under one key, and on which line."""

    line: int
    value: str | list[str]


class _Front:
    """The front matter of one file."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path, self.said = path, dict[str, _Said]()
        if lines[0].rstrip() != "---":
            self.refuse(1, "the first line must be `---`")
        self.end = next((place for place, line in enumerate(lines) if place and line.rstrip() == "---"), 0)
        if not self.end:
            self.refuse(len(lines), "no second line `---` ends what the file says of itself")
        open_list: list[str] | None = None
        for number, line in enumerate(lines[1 : self.end], 2):
            open_list = self._read(number, line.rstrip(), open_list)

    def refuse(self, line: int, why: str) -> NoReturn:
        raise Invalid(f"{self.path}:{line}: {why}", MODEL)

    def _read(self, number: int, line: str, open_list: list[str] | None) -> list[str] | None:
        """One line; returns the list that lines `- item` below it belong to."""
        if not line or line.lstrip().startswith("#"):
            return open_list
        if item := _is_item(line):
            if open_list is None:
                self.refuse(number, "this item belongs to no list")
            open_list.append(self._plain(number, item[1]))
            return open_list
        key = _is_key(line)
        if key is None:
            self.refuse(number, f"{line[:80]!r} is neither `key: value` nor `- item`")
        name, rest = key[1], (key[2] or "").strip()
        if name not in (*TEXTS, *LISTS):
            self.refuse(number, f"unknown field {name!r}; the fields are: {', '.join((*TEXTS, *LISTS))}")
        if name in self.said:
            self.refuse(number, f"{name!r} stands on line {self.said[name].line} already")
        if name in TEXTS:
            self.said[name] = _Said(number, self._plain(number, rest))
            return None
        if rest and not (rest[0] == "[" and rest[-1] == "]"):
            self.refuse(number, f"{name!r} is a list: write `[a, b]`, or lines `- a` below it")
        items = [self._plain(number, item.strip()) for item in rest[1:-1].split(",")] if rest[1:-1].strip() else []
        self.said[name] = _Said(number, items)
        return None if rest else items

    def _plain(self, number: int, text: str) -> str:
        """A text, with or without quotes."""
        quote = text[:1]
        if quote in ("'", '"') and quote:
            inside = text[1:-1]
            if len(text) < 2 or text[-1] != quote or quote in inside or "\\" in inside:
                self.refuse(number, f"{text[:80]!r} is not one text in quotes without quotes or backslashes in it")
            text = inside
        elif _needs_quotes(text):
            self.refuse(number, f"{text[:80]!r} means something else in YAML; put it in quotes")
        if not text.strip():
            self.refuse(number, "nothing is said here")
        return text

    def text(self, name: str, required: bool = True) -> str:
        said = self.said.get(name)
        if said is None and required:
            self.refuse(self.end + 1, f"the field {name!r} is missing")
        return str(said.value) if said else ""

    def items(self, name: str) -> tuple[str, ...]:
        """A list in which nothing stands twice."""
        said = self.said.get(name, _Said(0, []))
        twice = next((item for item in said.value if list(said.value).count(item) > 1), None)
        if twice is not None:
            self.refuse(said.line, f"{name}: {twice!r} stands twice")
        return tuple(said.value)

    def line_of(self, name: str) -> int:
        return self.said[name].line


def read_playbook(path: Path) -> Playbook:
    """One SKILL.md; an error names the file and the line."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}", "Make it a readable text in UTF-8.") from error
    if len(content) > TEXT_MAX_BYTES:
        raise Invalid(f"{path}: {len(content)} bytes are over the limit of {TEXT_MAX_BYTES}", "Say it in fewer words.")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    front = _Front(path, lines)
    body = "\n".join(lines[front.end + 1 :]).strip()
    _check(front, path.parent.name, body)
    return Playbook(
        name=front.text("name"),
        description=front.text("description"),
        body=body,
        version=sha256(content),
        allowed_tools=front.items("allowed-tools"),
        inputs=front.items("inputs"),
        outputs=front.items("outputs"),
        role=front.text("role", required=False),
        origin="witan" if path.is_relative_to(OWN) else str(path.parent.parent),
        content=content,
    )


def _check(front: _Front, folder: str, body: str) -> None:
    """What the fields must say, each complaint with its line."""
    if front.text("name") != folder:
        front.refuse(front.line_of("name"), f"name: {front.text('name')!r} is not the folder's name, {folder!r}")
    if len(front.text("description")) > DESCRIPTION_MAX:
        front.refuse(front.line_of("description"), f"description: over {DESCRIPTION_MAX} letters")
    for place, tool in enumerate(front.items("allowed-tools")):
        if tool not in TOOLS:
            known = f"the tools are: {', '.join(TOOLS)}"
            front.refuse(front.line_of("allowed-tools"), f"allowed-tools[{place}]: unknown tool {tool!r}; {known}")
    for name in ("name", "outputs", "role"):
        for word in front.items(name) if name in LISTS else [front.text(name, required=False)]:
            try:
                token(word or "none")
            except WitanError as error:
                front.refuse(front.line_of(name), f"{name}: {error}. {error.what_next}")
    for place, word in enumerate(front.items("inputs")):
        if not _is_input(word):
            front.refuse(front.line_of("inputs"), f"inputs[{place}]: {word!r} is not of the form `a_name`")
        if f"{{{word}}}" not in body:
            front.refuse(front.line_of("inputs"), f"inputs[{place}]: the text never uses {{{word}}}")
    if not body:
        front.refuse(front.end + 1, "there are no instructions below the second `---`")


def read_playbooks(*folders: Path) -> dict[str, Playbook]:
    """All of them by name; one of a later folder replaces one of an earlier."""
    found = [read_playbook(path) for folder in folders for path in playbook_files(folder)]
    return {playbook.name: playbook for playbook in found}


def playbook_files(folder: Path) -> list[Path]:
    """Where a folder's playbooks are; a folder in it without one is a mistake."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [each / FILE for each in inside if each.is_dir() and not each.name.startswith((".", "__"))]
    for path in files:
        if not path.is_file():
            raise Invalid(f"{path.parent} has no {FILE}", f"Write {path.parent.name}/{FILE}, or take the folder away.")
    return files
