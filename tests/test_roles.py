"""A role's file says who an agent is, and a mistake in it is named with its path inside the file."""

from pathlib import Path

import pytest

from actors import tools
from actors.agent.playbooks import OWN, read_playbooks
from actors.agent.role import read_role, read_roles
from actors.tools import DECIDED, TOOLS
from bus.errors import Invalid

ROLES = OWN.parent / "roles"
GOOD = """name = "painter"
about = "Paints."
prompt = "Paint well."
tools = ["read", "write", "playbook", "finish"]
playbooks = ["paint"]
"""


def write(folder: Path, text: str, name: str = "painter") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_a_role_may_write_everywhere_and_reach_no_network_unless_its_file_says_otherwise(tmp_path: Path) -> None:
    role = read_role(write(tmp_path, GOOD))
    assert (role.territory, role.turns_max, role.network) == (["**"], 40, False)
    said = read_role(write(tmp_path, GOOD + 'territory = ["art/**"]\nturns_max = 3\nnetwork = true\n'))
    assert (said.territory, said.turns_max, said.network) == (["art/**"], 3, True)
    assert read_role(write(tmp_path, GOOD + "territory = []\n")).territory == []


WRONG = [
    ('"finish"]', '"fly", "finish"]', '$.tools[3]: unknown tool "fly"; the tools are read, write, edit'),
    ('"write"', '"read"', '$.tools[1]: "read" stands twice'),
    ('"write"', "7", "Expected `str`, got `int` - at `$.tools[1]`"),
    (', "finish"', "", '$.tools: without "finish" no phase would ever end'),
    (', "playbook"', "", '$.playbooks: without the tool "playbook" none of them can be opened'),
    ('"paint"', '"paint it"', "at `$.playbooks[0]`"),
    ('"painter"', '"sculptor"', '$.name: "sculptor" is not the name of the file, "painter"'),
    ('prompt = "Paint well."', "", "missing required field `prompt`"),
    ('"Paints."', '"Paints."\nturns_max = 0', "at `$.turns_max`"),
    ('"Paints."', '"Paints."\nturn_max = 1', "unknown field `turn_max`"),
    ('"Paints."', '"Paints."\nterritory = ["/etc/**"]', "$.territory: '/etc/**': is absolute"),
    ('"Paints."', '"Paints.', "line 2"),
]


@pytest.mark.parametrize(("good", "bad", "complaint"), WRONG, ids=[complaint for _, _, complaint in WRONG])
def test_a_mistake_is_named_with_its_path(good: str, bad: str, complaint: str, tmp_path: Path) -> None:
    assert good in GOOD
    path = write(tmp_path, GOOD.replace(good, bad))
    with pytest.raises(Invalid) as wrong:
        read_role(path)
    assert str(wrong.value).startswith(f"{path}: ")
    assert complaint in str(wrong.value)
    assert wrong.value.what_next


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "painter.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(Invalid, match=r"painter\.toml: 'utf-8' codec"):
        read_role(path)


def test_a_later_folder_replaces_and_adds(tmp_path: Path) -> None:
    write(tmp_path / "a", GOOD)
    write(tmp_path / "b", GOOD.replace("Paints.", "Paints in oil."))
    write(tmp_path / "b", GOOD.replace("painter", "sculptor"), "sculptor")
    found = read_roles(tmp_path / "a", tmp_path / "b", tmp_path / "nowhere")
    assert {name: role.about for name, role in found.items()} == {"painter": "Paints in oil.", "sculptor": "Paints."}


def test_the_five_roles_and_the_cto_have_what_every_agent_needs() -> None:
    roles = read_roles(ROLES)
    assert sorted(roles) == ["coder", "cto", "deployer", "designer", "researcher", "tester"]
    cto = roles.pop("cto")
    assert {*tools.OVERSIGHT, "review_code", "checklist", "ask_for_help", "finish"} <= set(cto.tools)
    assert not {"write", "edit", "run", "test", "git", "deploy"} & set(cto.tools)
    assert cto.turns_max == 20
    for role in roles.values():
        assert {"checklist", "ask_for_help", "finish", "playbook"} <= set(role.tools)
        assert ("wait" in role.tools) == ("run" in role.tools or "test" in role.tools)
        assert not role.network
        assert f"`{role.playbooks[0]}`" in role.prompt


def test_who_does_not_code_writes_no_code() -> None:
    assert {name: role.territory for name, role in read_roles(ROLES).items()} == {
        "coder": ["**"],
        "cto": [],
        "deployer": [],
        "designer": ["docs/**"],
        "researcher": ["docs/**"],
        "tester": ["tests/**"],
    }


def test_only_the_deployer_deploys() -> None:
    assert [role.name for role in read_roles(ROLES).values() if "deploy" in role.tools] == ["deployer"]


def test_a_role_has_the_tools_that_its_own_playbook_allows() -> None:
    roles = read_roles(ROLES)
    for playbook in read_playbooks(OWN).values():
        if playbook.role:
            assert playbook.name in roles[playbook.role].playbooks
            assert set(playbook.allowed_tools) <= set(roles[playbook.role].tools) - set(DECIDED)
    assert set().union(*(role.tools for role in roles.values())) == set(TOOLS)
