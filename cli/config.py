"""Every setting, what it means, what it may be, and where its value came from."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, field

from bus.errors import Invalid
from bus.subjects import TOKEN_PATTERN
from cli.surroundings import spoken

PROJECT_FILE = "witan.toml"

Count = Annotated[int, Meta(ge=0, le=1000)]
Role = Annotated[str, Meta(pattern=TOKEN_PATTERN)]
Criterion = Literal["correctness", "reasoning", "tests", "confidence"]
Weight = Annotated[float, Meta(ge=0, le=1000)]
MERGED: dict[str, tuple[Any, Any]] = {"agents": (Role, Count), "council_weights": (Criterion, Weight)}
"""Tables that keep what a source does not name: what their keys and their values are."""


def _as_the_sources_have_it() -> dict[Criterion, float]:
    return {"correctness": 40, "reasoning": 25, "tests": 20, "confidence": 15}


def _one_each() -> dict[str, int]:
    return dict.fromkeys(("researcher", "designer", "coder", "tester", "deployer", "cto"), 1)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person can set."""

    nats_url: Annotated[
        str,
        Meta(
            pattern=r"\A((nats|tls|ws|wss)://\S+)?\Z",
            description="a NATS server, as nats://host:port; empty: Witan brings its own",
        ),
    ] = ""
    state_dir: Annotated[Path, Meta(description="a folder for all that Witan keeps; it stands beside witan.toml")] = (
        Path(".witan")
    )
    pipelines: Annotated[
        int, Meta(ge=1, le=100_000, description="a whole number from 1: how many tasks are worked on at once")
    ] = 2
    workflow: Annotated[
        str, Meta(pattern=TOKEN_PATTERN, description="the name of a workflow: which phases a task goes through")
    ] = "tiered"
    lease_s: Annotated[
        float, Meta(ge=1, le=86_400, description="seconds, 1 to 86400: an agent silent for longer loses its work")
    ] = 60.0
    durability: Annotated[
        Literal["strict", "relaxed"], Meta(description="relaxed accepts a NATS server that a power cut makes forget")
    ] = "strict"
    agents: Annotated[
        dict[Role, Count],
        Meta(description="a table: how many agents, 0 to 1000, each role has; unnamed roles keep one"),
    ] = field(default_factory=_one_each)
    agent_capacity: Annotated[
        int, Meta(ge=1, le=100_000, description="a whole number from 1: how many runs one agent has at once")
    ] = 4
    script: Annotated[
        str,
        Meta(description="a script that thinks instead of models: one that Witan brings, or a path"),
    ] = ""
    daily_usd: Annotated[float, Meta(ge=0, le=1_000_000, description="dollars that may be spent on a UTC day")] = 2.0
    monthly_usd: Annotated[float, Meta(ge=0, le=1_000_000, description="dollars that may be spent in a month")] = 20.0
    task_usd: Annotated[float, Meta(ge=0, le=1_000_000, description="dollars that may be spent on one task")] = 0.5
    council_usd: Annotated[
        float, Meta(ge=0, le=1_000_000, description="dollars that the council may spend on a UTC day")
    ] = 1.0
    council_enabled: Annotated[
        bool, Meta(description="true or false: whether models are asked together about a task that is stuck")
    ] = True
    council_models: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        Meta(description="a list of who may be asked: provider, family, model or glob over provider/model; empty: all"),
    ] = field(default_factory=list)
    council_judge: Annotated[
        str, Meta(description="who judges, if it can be asked: provider, family, model or glob; empty: whoever suits")
    ] = ""
    council_after_retries: Annotated[
        int, Meta(ge=0, le=100, description="a whole number, 0 to 100: so many retries come before review and council")
    ] = 3
    council_timeout_ms: Annotated[
        int, Meta(ge=1000, le=3_600_000, description="milliseconds, 1000 to 3600000: a council ends after so long")
    ] = 30_000
    council_size: Annotated[
        Literal["minimal", "standard", "full"], Meta(description="at most 2, 3 or 5 models are asked at once")
    ] = "standard"
    council_strategy: Annotated[
        Literal["", "majority", "weighted", "best_reasoning", "test_winner", "consensus"],
        Meta(description="how a winner is chosen; empty: as it suits the type of the problem"),
    ] = ""
    council_weights: Annotated[
        dict[Criterion, Weight],
        Meta(description="a table: how much correctness, reasoning, tests, confidence count, 0 to 1000 each"),
    ] = field(default_factory=_as_the_sources_have_it)
    territories: Annotated[
        dict[str, list[str]],
        Meta(description="a table: for an agent, the globs that it may write; unnamed agents have their role's"),
    ] = field(default_factory=dict)
    exec_warn_s: Annotated[
        float, Meta(gt=0, le=86_400, description="seconds: a command silent for so long is reported")
    ] = 30.0
    exec_kill_s: Annotated[
        float, Meta(gt=0, le=86_400, description="seconds: a command silent for so long is killed")
    ] = 60.0
    exec_cap_s: Annotated[
        float, Meta(gt=0, le=86_400, description="seconds: a command that runs for so long is killed")
    ] = 300.0
    exec_background_s: Annotated[
        float, Meta(gt=0, le=86_400, description="seconds: a command that takes longer goes on in the background")
    ] = 5.0
    exec_output_kb: Annotated[
        int,
        Meta(ge=4, le=65_536, description="kilobytes of a command's output that are kept, half of it head, half tail"),
    ] = 1024
    exec_memory_mb: Annotated[
        int, Meta(ge=64, le=1_048_576, description="megabytes of memory that one process of a command may have")
    ] = 4096
    exec_readable: Annotated[
        list[str], Meta(description="folders that commands may read beside the system's and the workspace: toolchains")
    ] = field(default_factory=list)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="what is worth a log line")] = (
        "info"
    )
    log_format: Annotated[
        Literal["auto", "console", "json"], Meta(description="auto: console on a terminal, JSON elsewhere")
    ] = "auto"
    freeze_answer_s: Annotated[
        float, Meta(gt=0, le=600, description="seconds, up to 600: an actor that has not answered a freeze is named")
    ] = 2.0
    query_limit: Annotated[
        int, Meta(ge=1, le=1_000_000, description="a whole number from 1: how many rows a question answers with")
    ] = 200


class Config(NamedTuple):
    """The settings, and for each (`pipelines`, `agents.coder`) where it was said."""

    settings: Settings
    origins: dict[str, str]


class _Said(NamedTuple):
    name: str
    value: object
    origin: str
    folder: Path


_TYPES: dict[str, Any] = {each.name: each.type for each in msgspec.structs.fields(Settings)}
_DEFAULTS = Settings()


def load(
    flags: Mapping[str, object] | None = None, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Flag over environment over project file over user file over default; a flag that is None was not given."""
    here = (cwd or Path.cwd()).absolute()
    env = os.environ if environ is None else environ
    project = next((up / PROJECT_FILE for up in (here, *here.parents) if (up / PROJECT_FILE).is_file()), None)
    home = project.parent if project else here
    values: dict[str, Any] = {name: getattr(_DEFAULTS, name) for name in _TYPES}
    values["state_dir"] = home / _DEFAULTS.state_dir
    values |= {name: dict(values[name]) for name in MERGED}
    keys = [f"{name}.{key}" for name in MERGED for key in values[name]]
    origins = dict.fromkeys([*(name for name in _TYPES if name not in MERGED), *keys], "default")
    layers = (
        _in_file(_user_file(env), home),
        _in_file(project, home),
        _in_environment(env, here),
        _on_line(flags, here),
    )
    for said in (said for layer in layers for said in layer):
        _take(said, values, origins)
    return Config(Settings(**values), origins)


def documented() -> Iterator[tuple[str, str, object]]:
    """Each setting, what it may be, and its default."""
    for name in _TYPES:
        yield name, _allowed(name), getattr(_DEFAULTS, name)


def _user_file(env: Mapping[str, str]) -> Path | None:
    root = env.get("XDG_CONFIG_HOME") or (env["HOME"] + "/.config" if env.get("HOME") else "")
    path = Path(root, "witan", "config.toml")
    return path if root and path.is_file() else None


def _in_file(path: Path | None, home: Path) -> Iterator[_Said]:
    if path is None:
        return
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid(f"{path}: {error}", "Make it a readable TOML file, or take it away.") from error
    yield from (_Said(name, value, str(path), home) for name, value in table.items())


def _in_environment(env: Mapping[str, str], here: Path) -> Iterator[_Said]:
    defaults = {name: getattr(_DEFAULTS, name) for name in _TYPES}
    for name, value, variable in spoken(env, defaults):
        yield _Said(name, value, f"environment {variable}", here)


def _on_line(flags: Mapping[str, object] | None, here: Path) -> Iterator[_Said]:
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    yield from (_Said(name, value, f"flag --{name.replace('_', '-')}", here) for name, value in given.items())


def _take(said: _Said, values: dict[str, Any], origins: dict[str, str]) -> None:
    if said.name not in _TYPES:
        raise Invalid(f"{said.origin}: $.{said.name}: there is no such setting", f"Known: {', '.join(_TYPES)}.")
    if said.name not in MERGED:
        values[said.name] = _read(said, said.value, _TYPES[said.name], said.name)
        origins[said.name] = said.origin
        return
    named, counted = MERGED[said.name]
    for key, value in _read(said, said.value, dict[str, Any], said.name).items():
        place = f"{said.name}.{key}"
        _read(said, key, named, place)
        values[said.name][key] = _read(said, value, counted, place)
        origins[place] = said.origin


def _read(said: _Said, value: object, type: Any, path: str) -> Any:
    def folder(_type: Any, text: object) -> Path:
        if isinstance(text, str | Path) and str(text):
            return said.folder / Path(text).expanduser()
        raise ValueError(f"Expected a path, got {text!r}")

    try:
        return msgspec.convert(value, type, dec_hook=folder)
    except msgspec.ValidationError as error:
        raise Invalid(f"{said.origin}: $.{path}: {error}", f"{said.name} is {_allowed(said.name)}.") from error


def _allowed(name: str) -> str:
    plain, *notes = get_args(_TYPES[name])
    words: Iterable[str] = (note.description for note in notes if isinstance(note, Meta) and note.description)
    choices = get_args(plain) if isinstance(getattr(_DEFAULTS, name), str) else ()
    return "; ".join([*([f"one of {', '.join(filter(None, choices))}"] if choices else []), *words])
