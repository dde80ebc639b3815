"""A playbook's file says what it is for and what it needs, and a mistake in it is named with its line."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.agent.playbooks import OWN, TEXT_MAX_BYTES, Playbook, read_playbook, read_playbooks
from actors.tools import TOOLS
from bus.blobs import sha256
from bus.errors import Invalid

GOOD = """---
# who reads this
name: tidy_up
description: "Put things back: all of them."
allowed-tools: [read, "write"]
inputs:
  - room
  - thing
outputs: []
role: coder
---
Put {thing} back into {room}. Not {elsewhere}, and not {}.
"""


def write(folder: Path, text: str, name: str = "tidy_up") -> Path:
    path = folder / name / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    playbook = read_playbook(write(tmp_path, GOOD))
    assert (playbook.name, playbook.role) == ("tidy_up", "coder")
    assert playbook.description == "Put things back: all of them."
    assert (playbook.allowed_tools, playbook.inputs, playbook.outputs) == (("read", "write"), ("room", "thing"), ())
    assert playbook.origin == str(tmp_path)
    assert playbook.content.decode() == GOOD
    assert playbook.version == sha256(GOOD.encode())


def test_lines_may_end_as_they_do_on_windows(tmp_path: Path) -> None:
    unix, windows = (read_playbook(write(tmp_path, text)) for text in (GOOD, GOOD.replace("\n", "\r\n")))
    assert (unix.inputs, unix.body) == (windows.inputs, windows.body)
    assert unix.version != windows.version


def test_inputs_are_filled_in_once_and_nothing_else_is_touched(tmp_path: Path) -> None:
    playbook = read_playbook(write(tmp_path, GOOD))
    assert playbook.text({"room": "the {thing}", "thing": ["a", 1]}) == (
        'Put ["a",1] back into the {thing}. Not {elsewhere}, and not {}.'
    )


@given(st.text(), st.text())
def test_what_is_filled_in_stands_there_letter_by_letter(room: str, thing: str) -> None:
    playbook = Playbook("p", "d", "<{room}|{thing}>", "v", inputs=("room", "thing"))
    assert playbook.text({"room": room, "thing": thing}) == f"<{room}|{thing}>"


def test_missing_and_unknown_inputs_are_named(tmp_path: Path) -> None:
    playbook = read_playbook(write(tmp_path, GOOD))
    with pytest.raises(Invalid, match="lacks thing and has no cellar") as wrong:
        playbook.text({"room": "x", "cellar": "y"})
    assert wrong.value.what_next == "Its inputs are: room, thing."


def test_a_playbook_allows_its_tools_and_those_by_which_an_agent_says_how_it_stands(tmp_path: Path) -> None:
    playbook = read_playbook(write(tmp_path, GOOD))
    assert [tool for tool in ("read", "run", "finish", "checklist", "ask_for_help") if playbook.allows(tool)] == [
        "read",
        "finish",
        "checklist",
        "ask_for_help",
    ]
    assert Playbook("p", "d", "b", "v").allows("run")


WRONG = [
    ("---\n# who", "--\n# who", ":1: the first line must be `---`"),
    ("\n---\nPut", "\nPut", "no second line `---`"),
    ("name: tidy_up\n", "name: tidy_down\n", ":3: name: 'tidy_down' is not the folder's name, 'tidy_up'"),
    ("name: tidy_up\n", "", ":10: the field 'name' is missing"),
    ("role: coder", "rôle: coder", ":10: 'rôle: coder' is neither"),
    ("role: coder", "roles: coder", ":10: unknown field 'roles'"),
    ("role: coder", "role:coder", ":10: 'role:coder' is neither"),
    ("role: coder", "role: the coder", ":10: role: 'the coder' cannot be part of a subject"),
    ("role: coder", "role:", ":10: nothing is said here"),
    ("role: coder", "name: tidy_up", ":10: 'name' stands on line 3 already"),
    ("role: coder", "  - coder", ":10: this item belongs to no list"),
    ('"Put things back: all of them."', "Put things back: all of them.", ":4: 'Put things back: all of them.' means"),
    ('"Put things back: all of them."', "|", ":4: '|' means something else in YAML; put it in quotes"),
    ('"Put things back: all of them."', '"Put', ":4: "),
    ('"Put things back: all of them."', '"' + "x" * 1001 + '"', ":4: description: over 1000 letters"),
    ('[read, "write"]', "read", ":5: 'allowed-tools' is a list"),
    ('[read, "write"]', "[read, fly]", ":5: allowed-tools[1]: unknown tool 'fly'; the tools are: read,"),
    ('[read, "write"]', "[read, ]", ":5: nothing is said here"),
    ('[read, "write"]', "[read, read]", ":5: allowed-tools: 'read' stands twice"),
    ("  - room", "  - Room", ":6: inputs[0]: 'Room' is not of the form `a_name`"),
    ("  - room", "  - rooms", ":6: inputs[0]: the text never uses {rooms}"),
    ("outputs: []", "outputs: [a b]", ":9: outputs: 'a b' cannot be part of a subject"),
    (GOOD[GOOD.index("inputs:") :], "---\n", ":6: there are no instructions"),
]


@pytest.mark.parametrize(("good", "bad", "complaint"), WRONG, ids=[complaint for _, _, complaint in WRONG])
def test_a_mistake_is_named_with_its_line(good: str, bad: str, complaint: str, tmp_path: Path) -> None:
    assert good in GOOD
    path = write(tmp_path, GOOD.replace(good, bad))
    with pytest.raises(Invalid) as wrong:
        read_playbook(path)
    assert str(wrong.value).startswith(f"{path}:")
    assert complaint in str(wrong.value)
    assert wrong.value.what_next


def test_what_is_no_text_or_too_much_of_it_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "x" * TEXT_MAX_BYTES)
    with pytest.raises(Invalid, match=f"over the limit of {TEXT_MAX_BYTES}"):
        read_playbook(path)
    path.write_bytes(b"---\n\xff")
    with pytest.raises(Invalid, match=r"SKILL\.md: 'utf-8' codec"):
        read_playbook(path)


@given(st.text(alphabet="-#[]{}:'\"|a,\n \r\t"))
def test_no_front_matter_makes_the_reader_stumble(front: str) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder), f"---\n{front}\n---\nbody\n")
        with pytest.raises(Invalid):
            read_playbook(path)


def test_a_later_folder_replaces_and_adds(tmp_path: Path) -> None:
    write(tmp_path / "a", GOOD)
    write(tmp_path / "b", GOOD.replace("Put things", "Throw things"))
    write(tmp_path / "b", GOOD.replace("name: tidy_up", "name: other"), "other")
    (tmp_path / "b" / ".hidden").mkdir()
    (tmp_path / "b" / "README").write_text("no playbook")
    found = read_playbooks(tmp_path / "a", tmp_path / "b", tmp_path / "nowhere")
    assert {name: playbook.origin for name, playbook in found.items()} == {
        "tidy_up": str(tmp_path / "b"),
        "other": str(tmp_path / "b"),
    }
    assert found["tidy_up"].description.startswith("Throw")


def test_a_folder_without_its_file_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid, match=r"empty has no SKILL\.md"):
        read_playbooks(tmp_path)


def test_the_six_playbooks_finish_with_what_their_phase_produces() -> None:
    own = read_playbooks(OWN)
    assert {name: playbook.outputs for name, playbook in own.items()} == {
        "research_and_gather": ("research_doc",),
        "create_design_spec": ("design_spec",),
        "implement_code": ("code",),
        "run_tests": ("test_results",),
        "deploy_to_environment": ("deployment_manifest",),
        "phase_failure_recovery": (),
    }
    for playbook in own.values():
        assert playbook.origin == "witan"
        assert "`finish`" in playbook.body
        assert all(output in playbook.body for output in playbook.outputs)
        assert "{" not in playbook.text(dict.fromkeys(playbook.inputs, "x"))


def test_a_playbook_allows_what_it_tells_to_use() -> None:
    for playbook in read_playbooks(OWN).values():
        named = [word for word in re.findall(r"`([a-z_]+)`", playbook.body) if word in TOOLS]
        assert [tool for tool in named if not playbook.allows(tool)] == []
