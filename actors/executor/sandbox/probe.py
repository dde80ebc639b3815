"""Run inside the sandbox by an attestation: tries to get out in every way that matters, and says what held."""

import ctypes
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

CALLS = {"x86_64": (425, 101, 272), "aarch64": (425, 117, 97)}
PACKET, UNIX = 17, socket.AF_UNIX
NEW_USERS, SEIZE = 0x10000000, 0x4206


def works(attempt: Callable[[], Any]) -> bool:
    try:
        result = attempt()
    except OSError:
        return False
    return result is None or result is not False


def write(path: str) -> None:
    with open(path, "a") as file:
        file.write("x")


def read(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read(100)


def is_there(pid: int) -> bool:
    os.kill(pid, 0)
    return True


def reach(family: int, kind: int, address: Any) -> None:
    with socket.socket(family, kind) as line:
        line.connect(address)
        line.send(b"x")


def datagram(address: str) -> None:
    ours, theirs = socket.socketpair(UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.sendto(b"x", address)


def call(number: int, *words: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(ctypes.c_long(number), *(ctypes.c_long(word) for word in words))) >= 0


def rename(source: str, target: str) -> None:
    os.rename(source, target)
    os.rename(target, source)


def cross_link(source: str, target: str) -> None:
    os.link(source, target)
    os.unlink(target)


def look_through(link: str, target: str) -> str:
    os.symlink(target, link)
    try:
        return read(link)
    finally:
        os.unlink(link)


def attempts(told: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Each has to fail."""
    outside, fixed, pid = told["outside"], told["fixed"], told["pid"]
    uring, trace, unshare = CALLS[os.uname().machine]
    local = ("127.0.0.1", told["tcp"])
    return {
        "reads nothing outside": lambda: read(f"{outside}/secret"),
        "reads nothing through a link": lambda: look_through("link", f"{outside}/secret"),
        "lists nothing outside": lambda: os.listdir(outside),
        "writes nothing outside": lambda: write(f"{outside}/mine"),
        "writes only its parts": lambda: write(f"{fixed}/kept"),
        "makes nothing outside its parts": lambda: os.mkdir(f"{fixed}/made"),
        "moves nothing out": lambda: rename("own", f"{fixed}/own"),
        "links nothing in": lambda: cross_link(f"{fixed}/kept", "kept"),
        "changes no modes outside its parts": lambda: os.chmod(f"{fixed}/kept", 0o777),
        "changes no times outside its parts": lambda: os.utime(f"{fixed}/kept", (1, 1)),
        "makes nothing that runs as its owner": lambda: os.chmod("own", 0o4755),
        "reaches no port": lambda: reach(socket.AF_INET, socket.SOCK_STREAM, local),
        "reaches no named socket": lambda: reach(UNIX, socket.SOCK_STREAM, told["named"]),
        "reaches no abstract socket": lambda: reach(UNIX, socket.SOCK_STREAM, told["abstract"]),
        "sends to no named socket": lambda: datagram(told["datagrams"]),
        "has no raw socket": lambda: socket.socket(PACKET, socket.SOCK_RAW),
        "signals nobody outside": lambda: not apart(told) and is_there(pid),
        "sees no memory outside": lambda: not apart(told) and read(f"/proc/{pid}/environ"),
        "sees no files through others": lambda: not apart(told) and os.listdir(f"/proc/{pid}/root{outside}"),
        "traces nobody": lambda: not apart(told) and call(trace, SEIZE, pid, 0, 0),
        "changes no device": lambda: os.chmod("/dev/null", os.stat("/dev/null").st_mode & 0o777),
        "changes nothing of the kernel": lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "makes no namespace": lambda: call(unshare, NEW_USERS),
        "has no second way to the kernel": lambda: call(uring, 1, ctypes.addressof(ctypes.create_string_buffer(256))),
    }


def apart(told: dict[str, Any]) -> bool:
    """In a namespace of our own the same number is somebody else, or nobody."""
    here = os.readlink("/proc/self/ns/pid")
    return here != str(told["namespace"])


def states(told: dict[str, Any]) -> dict[str, Callable[[], bool]]:
    """Each has to be true."""
    return {
        "works where it may": lambda: works(lambda: write("own")) and works(lambda: os.chmod("own", 0o700)),
        "reads its workspace": lambda: works(lambda: read(f"{told['fixed']}/kept")),
        "has the environment it was given": lambda: (
            set(os.environ) - {"PWD", "SHLVL", "_", "LC_CTYPE", "OLDPWD"} == set(told["env"])
        ),
        "holds no file of ours": lambda: not [file for file in range(3, 256) if held(file)],
        "gains no privileges": lambda: ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1,
        "has no capabilities": no_capabilities,
    }


def held(file: int) -> bool:
    return works(lambda: os.fstat(file))


def no_capabilities() -> bool:
    head, words = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0)), (ctypes.c_uint32 * 6)()
    return ctypes.CDLL(None).capget(head, words) == 0 and not any(words)


def main() -> None:
    with open(sys.argv[1]) as file:
        told = json.load(file)
    held_in = {name: state() for name, state in states(told).items()}
    held_in |= {name: not works(attempt) for name, attempt in attempts(told).items()}
    # Whether this one arrives is seen from outside: in a network of our own it can be sent, to nobody.
    works(lambda: reach(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", told["udp"])))
    print(json.dumps(held_in))


if __name__ == "__main__":
    main()
