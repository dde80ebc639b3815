"""Bubblewrap: the words that make it a room in which nothing exists but what an order names."""

import os
from collections.abc import Iterator

from actors.executor.sandbox import kernel

LINKS = 40
_ALONE = "--unshare-all --die-with-parent --new-session --cap-drop ALL --proc /proc --dev /dev --tmpfs /tmp"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
"""Bubblewrap shows those of the machine itself."""


def arguments(folders: dict[str, bool], env: dict[str, str], cwd: str, network: bool) -> list[str]:
    """What bubblewrap is told. `folders`: real paths of the outside, and whether they may be changed."""
    links, places = _layout(folders)
    words = [*_ALONE.split(), *(["--share-net"] if network else [])]
    for link in sorted(links, key=len):
        words += ["--symlink", links[link], link]
    for place in sorted(places, key=lambda path: (path.count("/"), path)):
        words += ["--bind" if places[place] else "--ro-bind", place, place]
    for name, value in env.items():
        words += ["--setenv", name, value]
    return [*words, "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", cwd]


def guard_devices() -> None:
    """Root owns the devices, so inside it could still take them from the whole machine by a change of mode. In a
    namespace of our own they are first made such that they can be used, and not changed."""
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        return
    kernel.enter_namespaces()
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            kernel.mount_read_only(f"/dev/{name}")


def _layout(folders: dict[str, bool]) -> tuple[dict[str, str], dict[str, bool]]:
    """The links on the ways to the folders, and where they really are; what another one shows anyway is left out."""
    links: dict[str, str] = {}
    found: dict[str, bool] = {}
    for folder, writable in folders.items():
        for step, target in _steps(folder):
            if target is not None:
                links[step] = target
            elif os.path.exists(step) and not step.startswith(("/proc/", "/dev/")):
                found[step] = found.get(step, False) or writable
    places: dict[str, bool] = {}
    for place in sorted(found, key=len):
        if not _shown(place, places, found[place]):
            places[place] = found[place]
    return {link: target for link, target in links.items() if not _shown(link, places, False)}, places


def _shown(path: str, places: dict[str, bool], writable: bool) -> bool:
    above = [places[place] for place in _above(path) if place in places]
    return bool(above) and (any(above) or not writable)


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _steps(path: str) -> Iterator[tuple[str, str | None]]:
    """Every link on the way with its target, and at the end the real place with none."""
    parts, here = path.split("/"), "/"
    links = 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        step = os.path.dirname(here) if part == ".." else os.path.join(here, part)
        target = os.readlink(step) if os.path.islink(step) else None
        links += target is not None
        if target is None or links > LINKS:
            here = step
            continue
        yield step, target
        parts[:0] = target.split("/")
        here = "/" if target.startswith("/") else here
    yield here, None
