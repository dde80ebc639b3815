"""A test about the code: the style that matters, each rule shown to catch a planted fault."""

import ast
import importlib.metadata
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("bus", "actors", "projections", "cli")
HOUSE = (*FLOORS, "ops", "tests")

EFFECTS = "asyncio datetime logging multiprocessing os pathlib random secrets socket subprocess threading time uuid"
IMPURE = {*EFFECTS.split(), "duckdb", "nats", "pykka", "structlog"}
IMPURE_OURS = {"bus.ids.fresh_id", "bus.client", "bus.jetstream", "bus.connection", "bus.server", "actors.shell"}
IMPURE_MODULES = {
    "actors/orchestrator/workflow.py": "reads the workflow files",
    "actors/orchestrator/rules.py": "reads the routing files",
    "actors/treasurer/presets.py": "reads the model files",
    "actors/council/odds.py": "draws by a seed that it is given",
    "actors/agent/mind.py": "reads the scripts; later it calls providers",
    "actors/executor/sandbox/kernel.py": "makes system calls",
    "actors/executor/sandbox/landlock.py": "confines the process it runs in",
    "actors/executor/sandbox/attributes.py": "changes modes and times for a confined command",
    "actors/executor/sandbox/bubblewrap.py": "looks where links lead",
    "actors/executor/sandbox/confine.py": "confines the process it runs in",
    "actors/executor/sandbox/sweep.py": "ends processes",
    "actors/executor/sandbox/keeper.py": "a process of its own",
    "actors/executor/sandbox/warden_process.py": "a process of its own",
    "actors/executor/sandbox/warden.py": "starts the warden and talks to it",
    "actors/executor/sandbox/attest.py": "tries the sandbox",
    "actors/executor/sandbox/probe.py": "tries to get out of the sandbox",
    "actors/executor/files/beneath.py": "opens what lies beneath a folder",
    "actors/executor/files/room.py": "reads and writes the files of a workspace",
    "actors/executor/files/looking.py": "walks and searches a workspace",
    "actors/executor/git/running.py": "the one place that runs git",
    "actors/executor/git/walking.py": "reads working trees",
    "actors/executor/git/removing.py": "removes working trees",
    "actors/executor/git/trees.py": "files to git and back",
    "actors/executor/git/opened.py": "notes and locks beside the working trees",
    "actors/executor/git/opening.py": "makes and removes working trees",
    "actors/executor/git/workspaces.py": "saves and shows working trees",
    "actors/executor/git/merging.py": "merges into the target",
    "actors/executor/reports.py": "reads the reports of test runs",
    "actors/executor/deploying.py": "copies trees to where they are used",
    "actors/executor/hands.py": "does what the executor decided",
    "actors/executor/commands.py": "has commands run",
    "actors/executor/overseeing.py": "reads the log and asks the orchestrator",
    "actors/executor/reviewing/linting.py": "runs ruff",
    "actors/executor/finishing.py": "reads what a run leaves behind",
    "actors/executor/trials/bench.py": "tries candidates in trees of their own",
    "actors/executor/trials/scratch.py": "makes and removes scratch trees",
    "actors/executor/trials/checking.py": "reads changed files in a process of its own",
    "actors/executor/trials/gathering.py": "reads the workspace that a problem lies in",
    "actors/treasurer/minds.py": "asks the providers",
    "actors/executor/telling.py": "takes the time that things took",
    "actors/treasurer/providers/anthropic.py": "asks the Messages API",
    "actors/treasurer/providers/programs.py": "runs the programs that think",
    "actors/treasurer/providers/reaper.py": "a process of its own",
    "actors/treasurer/prices.py": "reads price files, and prices change with the day",
    "actors/treasurer/providers/openai.py": "asks over the network",
    "actors/treasurer/providers/chat_http.py": "asks over the network",
    "actors/treasurer/providers/ollama.py": "asks over the network",
    "actors/agent/playbooks.py": "reads the playbook files",
    "actors/agent/role.py": "reads the role files",
    "actors/council/clock.py": "goes off when a time is over",
    "actors/treasurer/providers/loading.py": "imports packages in a thread",
}

EMPTY_WORDS = {
    "manager",
    "service",
    "helper",
    "helpers",
    "util",
    "utils",
    "handler",
    "processor",
    "data",
    "info",
    "base",
}
EMPTY_WORDS_ALLOWED = {
    "bus/messages/base.py": "what every message is built on; here the word has a meaning",
}

LARGEST, LARGE, LONG = 400, 250, 40
LARGE_MODULES: dict[str, str] = {
    "actors/agent/decide.py": "everything that an agent hears, whether its mind is led by turns or answers at once",
    "actors/agent/loop.py": "the rules of one run in one place",
    "actors/executor/decide.py": "a call from its request to its one end, and all that can come in between",
    "actors/desk.py": "where an actor's entities live while it works: load, decide, fold, append, answer",
    "actors/executor/hands.py": "everything that is done for a run begins here and is told from here",
    "actors/treasurer/buying.py": "a call from its choice to its settlement in one place",
    "actors/orchestrator/pipeline.py": "the whole life of a pipeline in one place",
    "actors/shell.py": "the shell is written once, for every actor",
    "bus/connection.py": "the graft on the client: its parser, its publish path and the four verbs belong together",
    "bus/follow.py": "followers and work queues share how they come back after a broken connection",
    "bus/jetstream.py": "one append path: group commit, batches, and the answer to a lost acknowledgement",
    "projections/store.py": "the one owner of the DuckDB file",
}
LONG_FUNCTIONS: dict[str, str] = {}

REGISTRIES = ("pypi" + ".org", "files.python" + "hosted", "registry." + "npmjs", "deb." + "debian.org")
HOMES = re.compile("/" + "(?:home|root|Users)/" + r"[A-Za-z.]|/work/" + r"(?:main|shared)\b|file:" + "//")
LOCKS_OF_OTHERS = ("uv.lock", "pylock.toml")

Check = Callable[[Path], Iterator[str]]


def modules(root: Path, *folders: str) -> Iterator[tuple[str, str, ast.Module]]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text()
            yield path.relative_to(root).as_posix(), text, ast.parse(text)


def imported(tree: ast.AST) -> Iterator[str]:
    """Every imported name in full; a relative import begins with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def imports_to_the_right(root: Path) -> Iterator[str]:
    for height, floor in enumerate(FLOORS):
        above = {*FLOORS[height + 1 :], "ops", "tests"}
        for place, _, tree in modules(root, floor):
            for name in imported(tree):
                if name.startswith(".") or name.split(".")[0] in above:
                    yield f"{place} imports {name}"


def impure_deciders(root: Path) -> Iterator[str]:
    """Whatever belongs to one actor is pure unless listed; the shell around all of them is not."""
    for place, _, tree in modules(root, "actors"):
        if place.count("/") < 2 or place in IMPURE_MODULES:
            continue
        for name in imported(tree):
            if name.split(".")[0] in IMPURE or any(f"{name}.".startswith(f"{ours}.") for ours in IMPURE_OURS):
                yield f"{place} imports {name}"


def empty_names(root: Path) -> Iterator[str]:
    for place, _, tree in modules(root, *HOUSE):
        if place in EMPTY_WORDS_ALLOWED:
            continue
        names = [Path(place).stem, *(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
        for name in names:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
            yield from (f"{place}: {name} says {word}" for word in sorted(words & EMPTY_WORDS))


def large_modules(root: Path) -> Iterator[str]:
    for place, text, _ in modules(root, *HOUSE):
        lines = text.count("\n")
        tests = place.startswith("tests/")
        if lines > LARGEST or (lines > LARGE and not tests and place not in LARGE_MODULES):
            yield f"{place} has {lines} lines"


def long_functions(root: Path) -> Iterator[str]:
    for place, _, tree in modules(root, *HOUSE):
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONG and f"{place}:{node.name}" not in LONG_FUNCTIONS:
                yield f"{place}:{node.name} has {lines} lines"


def decoders_made_late(root: Path) -> Iterator[str]:
    """Two threads that make the first decoder of a type at once crash Python; whoever imports a module is alone."""
    for place, _, tree in modules(root, "bus", "actors"):
        for outer in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            for call in (node for node in ast.walk(outer) if isinstance(node, ast.Call)):
                name, types = ast.unparse(call.func), [each.value for each in call.keywords if each.arg == "type"]
                of_ours = any(isinstance(each, ast.Name | ast.Attribute) for each in types)
                if name.endswith("json.Decoder") or (name.endswith("json.decode") and of_ours):
                    yield f"{place}:{call.lineno} makes a decoder late"


def modules_that_do_not_say_what_for(root: Path) -> Iterator[str]:
    for place, text, tree in modules(root, *HOUSE):
        words = ast.get_docstring(tree)
        if not words:
            yield f"{place} has no docstring"
        elif place.endswith("__init__.py") and text.strip() != f'"""{words}"""':
            yield f"{place} is more than one sentence"


def tracked(root: Path) -> list[str]:
    if not (root / ".git").exists():
        return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


def traces_of_one_machine(root: Path) -> Iterator[str]:
    for name in tracked(root):
        if name in LOCKS_OF_OTHERS:
            yield f"{name} is not our lock"
        for number, line in enumerate((root / name).read_text(errors="replace").splitlines(), 1):
            if HOMES.search(line) or any(registry in line for registry in REGISTRIES):
                yield f"{name}:{number}: {line.strip()[:100]}"


def shell_lines(root: Path) -> Iterator[list[str]]:
    text = (root / "README.md").read_text()
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                yield words


def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))


def parse(command: click.Command, name: str, words: list[str], parent: click.Context | None = None) -> None:
    """Let click read the words as it would, and run nothing."""
    context = command.make_context(name, words, parent=parent)
    if isinstance(command, click.Group):
        verb, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None and verb is not None
        parse(found, verb, rest, context)


def wrong_commands_in_readme(root: Path) -> Iterator[str]:
    from cli.main import cli

    for words in shell_lines(root):
        if words[0] == "make":
            named = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
            yield from (f"make {target}: no such target" for target in sorted(named - targets(root)))
        if words[0] == "witan" and len(words) > 1:
            cut = next((place for place, word in enumerate(words) if word in ("|", ">", "&", "&&", ";")), len(words))
            try:
                parse(cli, "witan", words[1:cut])
            except click.exceptions.Exit:
                pass
            except click.ClickException as error:
                yield f"{shlex.join(words)}: {error.format_message()}"


def verbs_not_in_readme(root: Path) -> Iterator[str]:
    from cli.main import cli

    said = {words[1] for words in shell_lines(root) if words[0] == "witan" and len(words) > 1}
    said |= set(re.findall(r"`witan ([a-z-]+)", (root / "README.md").read_text()))
    yield from (f"witan {verb}" for verb in cli.list_commands(click.Context(cli)) if verb not in said)


CHECKS: list[tuple[Check, str, str]] = [
    (imports_to_the_right, "bus/log.py", '"""Log."""\nfrom actors import shell\n'),
    (imports_to_the_right, "actors/shell.py", '"""Shell."""\ndef f():\n    import cli.main\n'),
    (imports_to_the_right, "actors/shell.py", '"""Shell."""\nfrom . import other\n'),
    (impure_deciders, "actors/task/decide.py", '"""Decide."""\nfrom datetime import datetime\n'),
    (impure_deciders, "actors/task/decide.py", '"""Decide."""\nfrom bus.ids import derived_id, fresh_id\n'),
    (impure_deciders, "actors/task/evolve.py", '"""Evolve."""\ndef f():\n    import os.path\n'),
    (empty_names, "bus/log_utils.py", '"""Log."""\n'),
    (empty_names, "bus/log.py", '"""Log."""\nclass HTTPHandler:\n    pass\n'),
    (large_modules, "bus/log.py", '"""Log."""\n' + "x = 1\n" * LARGE),
    (large_modules, "bus/jetstream.py", '"""Log."""\n' + "x = 1\n" * LARGEST),
    (large_modules, "tests/test_log.py", '"""Log."""\n' + "x = 1\n" * LARGEST),
    (long_functions, "bus/log.py", '"""Log."""\nasync def f():\n' + "    x = 1\n" * LONG),
    (decoders_made_late, "bus/log.py", '"""Log."""\ndef f(body):\n    return msgspec.json.decode(body, type=Shape)\n'),
    (decoders_made_late, "actors/desk.py", '"""Desk."""\ndef f():\n    return msgspec.json.Decoder(Shape)\n'),
    (modules_that_do_not_say_what_for, "bus/log.py", "x = 1\n"),
    (modules_that_do_not_say_what_for, "bus/__init__.py", '"""The bus."""\nx = 1\n'),
    (traces_of_one_machine, "requirements.lock", "--index-url https://" + REGISTRIES[0] + "/simple\n"),
    (traces_of_one_machine, "README.md", "cd /" + "home/alice/witan\n"),
    (traces_of_one_machine, "uv.lock", "version = 1\n"),
]
CHECKS_OF_README: list[tuple[Check, str, str]] = [
    (wrong_commands_in_readme, "README.md", "```sh\nwitan frobnicate\n```\n"),
    (wrong_commands_in_readme, "README.md", "```sh\nwitan completion --frobnicate\n```\n"),
    (wrong_commands_in_readme, "README.md", "```sh\nmake frobnicate\n```\n"),
    (verbs_not_in_readme, "README.md", "```sh\nwitan demo\n```\n"),
]


def needs_readme_and_cli() -> None:
    pytest.importorskip("cli.main", exc_type=ImportError)
    if not (ROOT / "README.md").exists():
        pytest.skip("there is no README.md yet")


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CHECKS))
def test_the_house_is_tidy(check: Check) -> None:
    assert list(check(ROOT)) == []


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CHECKS_OF_README))
def test_the_readme_is_true(check: Check) -> None:
    needs_readme_and_cli()
    assert list(check(ROOT)) == []


@pytest.mark.parametrize(("check", "place", "fault"), [*CHECKS, *CHECKS_OF_README])
def test_a_planted_fault_is_found(check: Check, place: str, fault: str, tmp_path: Path) -> None:
    if check in (wrong_commands_in_readme, verbs_not_in_readme):
        pytest.importorskip("cli.main", exc_type=ImportError)
    (tmp_path / "Makefile").write_text("demo:\n")
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fault)
    assert len(list(check(tmp_path))) > 0


def test_what_is_allowed_still_exists() -> None:
    places = [*EMPTY_WORDS_ALLOWED, *IMPURE_MODULES, *LARGE_MODULES, *(name.split(":")[0] for name in LONG_FUNCTIONS)]
    assert [place for place in places if not (ROOT / place).exists()] == []


def tops(distribution: importlib.metadata.Distribution) -> set[str]:
    """The names that a distribution takes at the top of the import system."""
    return {
        Path(file.parts[0]).stem for file in distribution.files or [] if file.suffix == ".py" and ".." not in file.parts
    }


def takes_our_names(distribution: importlib.metadata.Distribution) -> set[str]:
    return set() if distribution.name == "witan" else tops(distribution) & set(FLOORS)


def test_no_dependency_takes_our_names() -> None:
    assert {each.name: found for each in importlib.metadata.distributions() if (found := takes_our_names(each))} == {}


def test_a_dependency_that_takes_our_names_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "thief-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: thief\nVersion: 1\n")
    (folder / "RECORD").write_text("bus/__init__.py,,\nthief.py,,\n")
    (tmp_path / "bus").mkdir()
    for name in ("bus/__init__.py", "thief.py"):
        (tmp_path / name).touch()
    (thief,) = importlib.metadata.distributions(path=[str(tmp_path)])
    assert takes_our_names(thief) == {"bus"}
