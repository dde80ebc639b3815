"""Deploying: a tested tree is copied, built and checked apart, then swapped in, and swapped back if it fails there."""

import asyncio
import fcntl
import hashlib
import os
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from actors.executor.git.opened import Opened, place_of, write_whole
from actors.executor.git.removing import remove_folder
from actors.executor.git.trees import lay_out
from bus.errors import Invalid, Refused
from bus.subjects import Token

SAID_MAX = 500
Run = Callable[[str, Path, list[str]], Awaitable[tuple[int, str]]]
"""Runs a command in the sandbox: the command, its folder, and what it may write. Its exit, and what it said."""


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to be deployed, as its file says."""

    about: str = ""
    kind: Literal["local"] = "local"
    build: Annotated[str, Meta(max_length=20_000)] = ""
    place: str = ""
    health: Annotated[str, Meta(max_length=20_000)] = ""
    files: list[Annotated[str, Meta(min_length=1, max_length=1000)]] = []
    health_tries: Annotated[int, Meta(ge=1, le=100)] = 3
    health_pause_s: Annotated[float, Meta(ge=0, le=600)] = 1.0
    keep: Annotated[int, Meta(ge=1, le=100)] = 3
    name: str = ""


class Deployed(NamedTuple):
    """`reason` is empty when the tree is in use now; else `rolled_back_to` is the tree that is, or empty for none."""

    place: str
    health: str
    rolled_back_to: str | None = None
    reason: str = ""


class Swap(msgspec.Struct, frozen=True):
    """Written before a release comes into use and removed when it has proven itself."""

    previous: str
    release: str


_read_swap = msgspec.json.Decoder(Swap).decode


class _Failed(Exception):
    """The release is not fit for use."""


def read_environments(*paths: Path) -> dict[str, Environment]:
    """All of them by name, from the files that exist; a later file's replaces an earlier one's."""
    return {name: each for path in paths if path.exists() for name, each in _read(path)}


def _read(path: Path) -> Iterator[tuple[str, Environment]]:
    hint = "Mend the file; `actors/environments.toml` is a good model."
    try:
        tables = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}", hint) from error
    for name, table in tables.items():
        try:
            environment = msgspec.convert(table, Environment)
            yield msgspec.convert(name, Token), msgspec.structs.replace(environment, name=name)
        except msgspec.ValidationError as error:
            where = str(error).replace("`$", f"`$.{name}")
            raise Invalid(f"{path}: {where if '`$' in where else f'$.{name}: {where}'}", hint) from error


async def deploy(opened: Opened, tree: str, environment: Environment, run: Run) -> Deployed:
    """Bring the tree into use there. Said again, also after a crash anywhere, it comes to the same end."""
    place = _place(opened, environment)
    with _alone(place):
        await asyncio.to_thread(_settle, place)
        release = place / "releases" / _release_name(tree, environment.build)
        try:
            await _prepare(opened, tree, environment, run, release)
            await _check(environment, run, release)
        except _Failed as error:
            return _unfit(place, release.name, str(error))
        swap = _begin_swap(place, release.name)
        try:
            health = await _check(environment, run, place / "releases" / _current(place))
        except _Failed as error:
            _end_swap(place, swap.previous)
            return _unfit(place, release.name, f"after the swap: {error}")
        _end_swap(place, release.name)
        await asyncio.to_thread(_forget_old, place, environment.keep, swap)
        return Deployed(str(place / "current"), health)


def _place(opened: Opened, environment: Environment) -> Path:
    """Beside the folder of the working trees, unless the environment says another one."""
    common = Path(opened.path).parent.parent / "deployed"
    place = common / Path(environment.place or environment.name).expanduser()
    (place / "releases").mkdir(parents=True, exist_ok=True)
    if os.path.lexists(place / "current") and not (place / "current").is_symlink():
        raise Refused(f"{place / 'current'} is there and was not made by Witan", "Name another `place`.")
    return place.resolve()


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    with open(place / "lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another deployment to {place} is under way", "Deploy again when it has ended.") from None
        yield


def _settle(place: Path) -> None:
    """What a crash left goes, and a release that never proved itself is not in use any more."""
    for left in [*place.glob("releases/*.gone"), *place.glob("current.*"), *place.glob("swap.*")]:
        remove_folder(left.with_suffix("")) if left.suffix == ".gone" else left.unlink()
    try:
        swap = _read_swap((place / "swap").read_bytes())
    except FileNotFoundError:
        return
    _end_swap(place, swap.previous)


async def _prepare(opened: Opened, tree: str, environment: Environment, run: Run, release: Path) -> None:
    """The release as a folder, built. `.ready` beside it says that it is all there."""
    ready = release.with_name(f"{release.name}.ready")
    if ready.exists() and release.is_dir():
        return
    await asyncio.to_thread(_copy, opened, tree, release)
    if environment.build:
        exit, said = await run(environment.build, release, [str(release)])
        if exit:
            raise _Failed(f"the build ended with {exit}: {_tail(said)}")
    await asyncio.to_thread(write_whole, ready, b"")


def _copy(opened: Opened, tree: str, release: Path) -> None:
    remove_folder(release)
    release.mkdir()
    lay_out(place_of(opened), tree, release)


async def _check(environment: Environment, run: Run, release: Path) -> str:
    """What was checked; fails when the last try did."""
    missing = [name for name in environment.files if not _is_in(release, name)]
    if missing:
        raise _Failed(f"the copy has no {missing[0]}")
    if not environment.health:
        return f"{len(environment.files)} files are there" if environment.files else "the copy is complete"
    for tries in range(1, environment.health_tries + 1):
        exit, said = await run(environment.health, release, [])
        if exit == 0:
            return f"`{environment.health[:200]}` passed at try {tries}"
        if tries < environment.health_tries:
            await asyncio.sleep(environment.health_pause_s)
    raise _Failed(f"`{environment.health[:200]}` ended with {exit} at try {tries}: {_tail(said)}")


def _is_in(release: Path, name: str) -> bool:
    """Whether it is there, and not somewhere that a link in the copy points to."""
    found = (release / name).resolve()
    return found.is_relative_to(release.resolve()) and found.exists()


def _unfit(place: Path, release: str, reason: str) -> Deployed:
    """It is made anew if it is ever tried again, unless it is what is in use."""
    current = _current(place)
    if current != release:
        (place / "releases" / f"{release}.ready").unlink(missing_ok=True)
    return Deployed(str(place / "current"), "failed", _tree(current), reason)


def _begin_swap(place: Path, release: str) -> Swap:
    swap = Swap(_current(place), release)
    write_whole(place / "swap", msgspec.json.encode(swap))
    _point(place, release)
    return swap


def _end_swap(place: Path, release: str) -> None:
    _point(place, release)
    (place / "swap").unlink(missing_ok=True)


def _current(place: Path) -> str:
    """The name of the release in use, if any."""
    try:
        return Path(os.readlink(place / "current")).name
    except FileNotFoundError:
        return ""


def _point(place: Path, release: str) -> None:
    if not release:
        (place / "current").unlink(missing_ok=True)
    elif _current(place) != release:
        fresh = place / "current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("releases", release))
        os.replace(fresh, place / "current")


def _forget_old(place: Path, keep: int, swap: Swap) -> None:
    """The latest releases stay, and whatever is needed to go back."""
    ready = sorted(place.glob("releases/*.ready"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    others = [path for path in ready if path.stem not in (swap.release, swap.previous)]
    for old in others[max(0, keep - len({swap.release, swap.previous} - {""})) :]:
        old.unlink()
        remove_folder(old.with_suffix(""))
    for path in place.glob("releases/*"):
        if path.suffix == "" and not path.with_name(f"{path.name}.ready").exists():
            remove_folder(path)


def _release_name(tree: str, build: str) -> str:
    return f"{tree}-{hashlib.sha256(build.encode()).hexdigest()[:8]}" if build else tree


def _tree(release: str) -> str:
    return release.split("-")[0]


def _tail(said: str) -> str:
    return said.strip()[-SAID_MAX:]
