"""Which system calls a command may make: a filter in the kernel's own small language, without any library."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

# The numbers on x86_64 and on aarch64; None where the call does not exist.
CALLS: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "chmod": (90, None), "chown": (92, None),
    "chroot": (161, 51), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "creat": (85, None), "delete_module": (176, 106), "fanotify_init": (300, 262), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "fchown": (93, 55), "fchownat": (260, 54),
    "fgetxattr": (193, 10), "flistxattr": (196, 13), "getxattr": (191, 8), "getxattrat": (464, 464),
    "lgetxattr": (192, 9), "listxattr": (194, 11), "listxattrat": (465, 465), "llistxattr": (195, 12),
    "finit_module": (313, 273), "fremovexattr": (199, 16), "fsconfig": (431, 431), "fsetxattr": (190, 7),
    "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433), "futimesat": (261, None),
    "init_module": (175, 105), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425), "ioctl": (16, 29), "ioperm": (173, None), "iopl": (172, None),
    "ioprio_set": (251, 30), "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "keyctl": (250, 219), "lchown": (94, None), "lookup_dcookie": (212, 18), "lremovexattr": (198, 15),
    "lsetxattr": (189, 6), "migrate_pages": (256, 238), "mknod": (133, None), "mknodat": (259, 33),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "msgctl": (71, 187), "msgget": (68, 186),
    "msgrcv": (70, 188), "msgsnd": (69, 189), "open": (2, None), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "openat": (257, 56), "openat2": (437, 437), "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "prlimit64": (302, 261), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "reboot": (169, 142), "removexattr": (197, 14), "removexattrat": (466, 466),
    "request_key": (249, 218), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "seccomp": (317, 277), "semctl": (66, 191),
    "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192), "setdomainname": (171, 162),
    "sethostname": (170, 161), "setns": (308, 268), "setpriority": (141, 140), "setrlimit": (160, 164),
    "settimeofday": (164, 170), "setxattr": (188, 5), "setxattrat": (463, 463), "file_setattr": (469, 469),
    "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197), "shmget": (29, 194), "socket": (41, 198),
    "socketpair": (53, 199), "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116),
    "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282), "utime": (132, None),
    "utimensat": (280, 88), "utimes": (235, None), "open_tree_attr": (467, 467),
}  # fmt: skip
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

KILL, ASK, ALLOW = 0x80000000, 0x7FC00000, 0x7FFF0000
NOT_ALLOWED, ABSENT, NOT_SUPPORTED, SILENTLY = 0x50001, 0x50026, 0x5005F, 0x50000

FORBIDDEN = """
    acct add_key bpf chroot clock_settime delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
    init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl
    lookup_dcookie migrate_pages mount mount_setattr move_mount move_pages open_by_handle_at open_tree open_tree_attr
    perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl
    quotactl_fd reboot request_key setdomainname sethostname setns settimeofday swapoff swapon syslog umount2 unshare
    userfaultfd
"""
SHARED_MEMORY = "mq_open mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget"
ATTRIBUTES = """
    setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr
    getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat
"""
OWNERS = {"chown": 1, "lchown": 1, "fchown": 1, "fchownat": 2}
MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1, "mknodat": 2}
TIMES = ("utime", "utimes", "futimesat", "utimensat")
ASKED = ("chmod", "fchmod", "fchmodat", "fchmodat2", *TIMES)
"""Landlock does not see these; the keeper does them for the command where it may write."""

NAMESPACES = 0x7E020000
SET_ID, CREATES = 0o6000, 0x400040
TERMINAL_INPUT, TERMINAL_SELECTION = 0x5412, 0x541C
FILE_FLAGS = (0x40086602, 0x40046602, 0x401C5820)
CLONES_OF_FILES = (0x40049409, 0x4020940D, 0xC0189436)
NEW_LISTENER = 8
LOCKS = 10
"""A limit that no kernel heeds any more: the warden's mark on all that it starts."""
UNIX, INET, INET6 = 1, 2, 10
STREAM, PACKETS = 1, 5


class Test(NamedTuple):
    """Whether half an argument of the call, under a mask, is (or is not) a value."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF
    equal: bool = True
    high: bool = False


class Rule(NamedTuple):
    call: str
    answer: int
    tests: tuple[Test, ...] = ()


def number(call: str, machine: str) -> int | None:
    return CALLS[call][list(MACHINES).index(machine)]


def program(machine: str, rules: list[Rule]) -> bytes:
    """The filter as the kernel reads it. The first rule that fits answers; what no rule names is allowed."""
    code = [_load(4), _equal(MACHINES[machine], 1, 0), _answer(KILL), _load(0)]
    if machine == "x86_64":
        code += [_step(0x35, _X32, 0, 1), _answer(KILL)]
    for rule in rules:
        found = number(rule.call, machine)
        if found is not None:
            code += _compiled(found, rule)
    return b"".join([*code, _answer(ALLOW)])


def _compiled(found: int, rule: Rule) -> list[bytes]:
    lengths = [2 if test.mask == 0xFFFFFFFF else 3 for test in rule.tests]
    left = sum(lengths) + 1
    code = [_load(0), _equal(found, 0, left)]
    for test, length in zip(rule.tests, lengths, strict=True):
        left -= length
        code.append(_load(16 + 8 * test.argument + 4 * test.high))
        if length == 3:
            code.append(_step(0x54, test.mask))
        code.append(_equal(test.value, 0, left) if test.equal else _equal(test.value, left, 0))
    return [*code, _answer(rule.answer)]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _load(offset: int) -> bytes:
    return _step(0x20, offset)


def _equal(value: int, then: int, otherwise: int) -> bytes:
    return _step(0x15, value, then, otherwise)


def _answer(value: int) -> bytes:
    return _step(0x06, value)


def policy(families: tuple[int, ...], namespaced: bool, owner: tuple[int, int]) -> list[Rule]:
    """The rules of a sandbox in which sockets of these families may be made. `namespaced`: it has its own mounts
    and its own shared memory, so what changes attributes of files or shares memory needs no rule."""
    rules = [Rule(call, NOT_ALLOWED) for call in FORBIDDEN.split()]
    rules += [Rule("clone3", ABSENT), Rule("openat2", ABSENT)]
    rules.append(Rule("clone", NOT_ALLOWED, (Test(0, 0, NAMESPACES, equal=False),)))
    rules.append(Rule("seccomp", NOT_ALLOWED, (Test(0, 1), Test(1, 0, NEW_LISTENER, equal=False))))
    rules += [*_sockets(families), *_ioctls(), *_others(), *_set_id()]
    if not namespaced:
        rules += [Rule(call, NOT_ALLOWED) for call in SHARED_MEMORY.split()]
        rules += [Rule(call, NOT_SUPPORTED) for call in ATTRIBUTES.split()]
        rules += [*_owners(*owner), *(Rule(call, ASK) for call in ASKED)]
    return rules


def _sockets(families: tuple[int, ...]) -> Iterator[Rule]:
    for family in families:
        yield Rule("socket", ALLOW, (Test(0, family),))
    yield Rule("socket", NOT_ALLOWED)
    # A pair of datagram sockets can still send to any name, so only pairs that stay connected are made.
    for kind in (STREAM, PACKETS):
        yield Rule("socketpair", ALLOW, (Test(0, UNIX), Test(1, kind, 0xF)))
    if UNIX not in families:
        yield Rule("socketpair", NOT_ALLOWED)


def _ioctls() -> Iterator[Rule]:
    for command in (TERMINAL_INPUT, TERMINAL_SELECTION, *FILE_FLAGS):
        yield Rule("ioctl", NOT_ALLOWED, (Test(1, command),))
    for command in CLONES_OF_FILES:
        yield Rule("ioctl", ALLOW, (Test(1, command),))
    # The others of this family make and remove subvolumes, which Landlock does not see.
    yield Rule("ioctl", NOT_ALLOWED, (Test(1, 0x9400, 0xFF00),))


def _others() -> Iterator[Rule]:
    """Nothing is done to a process by its number but what signals do; and the warden's mark stays."""
    for call in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        yield Rule(call, NOT_ALLOWED, (Test(0, 0, equal=False),))
    for call in ("setpriority", "ioprio_set"):
        yield Rule(call, NOT_ALLOWED, (Test(1, 0, equal=False),))
    yield Rule("setrlimit", NOT_ALLOWED, (Test(0, LOCKS),))
    for high in (False, True):
        yield Rule("prlimit64", NOT_ALLOWED, (Test(1, LOCKS), Test(2, 0, equal=False, high=high)))


def _set_id() -> Iterator[Rule]:
    """A file that would run as its owner outlives the sandbox."""
    for call, mode in MODES.items():
        yield Rule(call, NOT_ALLOWED, (Test(mode, 0, SET_ID, equal=False),))
    for call, flags in (("open", 1), ("openat", 2)):
        made = (Test(flags, 0, CREATES, equal=False), Test(flags + 1, 0, SET_ID, equal=False))
        yield Rule(call, NOT_ALLOWED, made)


def _owners(user: int, group: int) -> Iterator[Rule]:
    """What is ours stays ours; to say so once more is a success that does nothing."""
    for call, place in OWNERS.items():
        for uid in (user, 0xFFFFFFFF):
            for gid in (group, 0xFFFFFFFF):
                yield Rule(call, SILENTLY, (Test(place, uid), Test(place + 1, gid)))
        yield Rule(call, NOT_ALLOWED)
