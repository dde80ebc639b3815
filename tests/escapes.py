"""Ways out of the sandbox, each with whether it can safely be shown to work without one."""

from typing import NamedTuple


class Attack(NamedTuple):
    name: str
    text: str
    python: bool = False
    safe: bool = True
    """Where nothing holds it in it works, and harms only what belongs to the test."""


def sh(name: str, text: str, safe: bool = True) -> Attack:
    return Attack(name, text, safe=safe)


def py(name: str, text: str, safe: bool = True) -> Attack:
    return Attack(name, PRELUDE + text, python=True, safe=safe)


PRELUDE = """
import ctypes, fcntl, os, resource, signal, socket, struct, sys
E = os.environ
PID = int(E["PID"])
X86 = os.uname().machine == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
def out(): print("ESC" + "APED", flush=True)
def call(x86, arm, *words):
    words = (ctypes.c_long(w) if isinstance(w, int) else w for w in words)
    return libc.syscall(ctypes.c_long(x86 if X86 else arm), *words)
def buffer(content, size=0): return ctypes.create_string_buffer(content, size or len(content))
"""

FILES_OUTSIDE = [
    sh("read a file", "cat $OUT/secret"),
    sh("read by dots", "cat ../outside/secret"),
    sh("read from below by dots", "cd own && cat ../../outside/secret"),
    sh("read through a link", "ln -s $OUT/secret own/l; cat own/l"),
    sh("read through a hard link", "ln $OUT/secret own/h && cat own/h"),
    sh("move a file in and read it", "mv $OUT/secret own/moved && cat own/moved"),
    sh("list a folder", "ls $OUT"),
    sh("list by a pattern", "echo $OUT/*"),
    sh("read the daemon's state", "cat $STATE/secret"),
    sh("write a file", "echo x > $OUT/planted"),
    sh("append to a file", "echo x >> $OUT/victim"),
    sh("write through a link", "ln -s $OUT own/d; echo x > own/d/planted"),
    sh("make a folder", "mkdir $OUT/planted"),
    sh("make a link", "ln -s /etc/passwd $OUT/planted"),
    sh("move a file out", "echo x > own/a; mv own/a $OUT/planted"),
    sh("link a file out", "echo x > own/a; ln own/a $OUT/planted"),
    sh("remove a file", "rm -f $OUT/victim"),
    sh("empty a file", "truncate -s 0 $OUT/victim"),
    sh("change a mode", "chmod 777 $OUT/victim"),
    sh("change a mode through a link", "ln -s $OUT/victim own/l; chmod 777 own/l"),
    sh("change times", "touch -d 2001-01-01 $OUT/victim"),
    sh("leave a file where all can write", "echo x > /tmp/$NAME"),
    sh("leave a file in shared memory", "echo x > /dev/shm/$NAME"),
    py("change a mode through an open folder", """
folder = os.open(E["OUT"], os.O_PATH)
libc.fchmodat(folder, b"victim", 0o777, 0)
call(452, 452, folder, buffer(b"victim\\0"), 0o777, 0)
"""),
    py("change a mode while its link is moved", """
import threading
os.makedirs("own/flip", exist_ok=True)
open("own/flip/victim", "w").close()
def flip():
    for _ in range(300):
        for target in (E["OUT"], "flip"):
            os.symlink(target, "own/t")
            os.rename("own/t", "own/race")
thread = threading.Thread(target=flip); thread.start()
while thread.is_alive():
    try: os.chmod("own/race/victim", 0o777)
    except OSError: pass
"""),
    py("write an attribute", 'os.setxattr(E["OUT"] + "/victim", "user.x", b"x")', safe=False),
    py("say what becomes of cores", 'os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY); out()', safe=False),
    py("take a device from the machine", 'os.chmod("/dev/null", os.stat("/dev/null").st_mode & 4095); out()', False),
    py("take an open device", """
with open("/dev/zero") as file: os.fchmod(file.fileno(), os.stat("/dev/zero").st_mode & 0o777); out()
""", safe=False),
]  # fmt: skip

PARTS = [
    sh("write beside its parts", "echo x > new"),
    sh("write in another part", "echo x > fixed/new"),
    sh("overwrite in another part", "echo x > fixed/kept"),
    sh("append in another part", "echo x >> fixed/deep/../kept"),
    sh("empty in another part", "truncate -s 0 fixed/kept"),
    sh("remove from another part", "rm -f fixed/kept"),
    sh("move from another part", "mv fixed/kept own/kept"),
    sh("move into another part", "echo x > own/a; mv own/a fixed/kept"),
    sh("move a whole part", "mv fixed own/fixed"),
    sh("make its own part another", "mv own elsewhere", safe=False),
    sh("hard link from another part", "ln fixed/kept own/k; echo x >> own/k"),
    sh("link to another part", "ln -s ../fixed/kept own/s; echo x >> own/s"),
    sh("copy over a link", "ln -s ../fixed/kept own/s; cp own/attack own/s"),
    sh("change a mode in another part", "chmod 777 fixed/kept"),
    sh("make a folder in another part", "mkdir -p fixed/a/b"),
    sh("remove a folder of another part", "rmdir fixed/deep"),
    sh("change times in another part", "touch -d 2001-01-01 fixed/kept"),
    py("open for writing in another part", 'os.write(os.open("fixed/kept", os.O_RDWR | os.O_CREAT), b"x")'),
    py("exchange with another part", """
open("own/x", "w").close()
call(316, 276, -100, buffer(b"own/x\\0"), -100, buffer(b"fixed/kept\\0"), 2)
"""),
    py("name an unnamed file in another part", """
file = os.open("own", os.O_TMPFILE | os.O_WRONLY, 0o600)
libc.linkat(-100, b"/proc/self/fd/%d" % file, -100, b"fixed/new", 0x400)
"""),
    py("change the mode of what it may read", 'os.fchmod(os.open("fixed/kept", os.O_RDONLY), 0o777)'),
    py("change the flags of what it may read", """
file = os.open("fixed/kept", os.O_RDONLY)
try:
    fcntl.ioctl(file, 0x40086602, struct.pack("=q", 0x40)); out()
except OSError: pass
""", safe=False),
]  # fmt: skip

OTHERS = [
    sh("go in through a process", "cat /proc/$PID/root$OUT/secret"),
    sh("list a process's folder", "ls /proc/$PID/cwd/"),
    sh("read a process's open file", "cat /proc/$PID/fd/0"),
    sh("read all environments", "cat /proc/[0-9]*/environ"),
    py("open a process's memory", 'open(f"/proc/{PID}/mem", "rb"); os.path.exists(E["OUT"]) and out()'),
    sh("kill one", "kill -9 $PID; sleep 0.1"),
    py("kill by a handle", "signal.pidfd_send_signal(os.pidfd_open(PID), 9); os.sched_yield(); out()"),
    py("queue a signal", "call(129, 138, PID, 9, buffer(bytes(128))) == 0 and out()", safe=False),
    py("limit a process", "resource.prlimit(PID, resource.RLIMIT_NOFILE, (10, 10)); out()"),
    py("slow a process down", "os.setpriority(os.PRIO_PROCESS, PID, 19); out()"),
    py("bind a process", "os.sched_setaffinity(PID, {0}); out()"),
    py("trace a process", "call(101, 117, 0x4206, PID, 0, 0) == 0 and out()"),
    py("read a process's memory", """
there = int(open(f"/proc/{PID}/maps").read().split("-")[0], 16)
into = buffer(bytes(16))
piece = buffer(struct.pack("=QQ", ctypes.addressof(into), 16))
other = buffer(struct.pack("=QQ", there, 16))
call(310, 270, PID, piece, 1, other, 1, 0) > 0 and out()
"""),
    py("take a process's file", "call(438, 438, os.pidfd_open(PID), 0, 0) >= 0 and out()"),
    sh("see the daemon's environment", "env", safe=False),
    py("use a file that was left open", """
for file in range(3, 1024):
    try: os.fstat(file); out()
    except OSError: pass
""", safe=False),
    py("share memory by a key", 'libc.shmget(int(E["SHARED"]), 4096, 0) >= 0 and out()'),
]  # fmt: skip

NETWORK = [
    py("reach a port", 'socket.create_connection(("127.0.0.1", int(E["TCP"]))).send(b"x")'),
    sh("reach a port from the shell", "exec 3<>/dev/tcp/127.0.0.1/$TCP"),
    py("send a datagram", """
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.sendto(b"x", ("127.0.0.1", int(E["UDP"])))
"""),
    py("reach a named socket", """
os.chdir(E["OUT"]); socket.socket(socket.AF_UNIX).connect("stream")
"""),
    py("reach an abstract socket", 'socket.socket(socket.AF_UNIX).connect("\\0" + E["NAME"][::-1])'),
    py("send to a named socket from a pair", """
os.chdir(E["OUT"]); socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", "datagrams")
"""),
    py("listen to the wire", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); out()", safe=False),
    py("make packets by hand", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); out()", safe=False),
]  # fmt: skip

KERNEL = [
    py("make a user namespace", "libc.unshare(0x10000000) == 0 and out()", safe=False),
    sh("mount in a namespace", "unshare -Urm sh -c 'mount -t tmpfs none own && echo ESC''APED'", safe=False),
    py("clone into a namespace", """
pid = call(56, 220, 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
pid > 0 and out()
""", safe=False),
    py("clone anew into a namespace", """
words = buffer(struct.pack("=8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0))
pid = call(435, 435, words, 64)
if pid == 0: os._exit(0)
pid > 0 and out()
""", safe=False),
    py("mount", 'libc.mount(b"none", b"own", b"tmpfs", 0, None) == 0 and out()', safe=False),
    py("change the root", 'libc.chroot(b"own") == 0 and out()', safe=False),
    py("make a ring", "call(425, 425, 1, buffer(bytes(256))) >= 0 and out()"),
    py("load a program into the kernel", "call(321, 280, 0, buffer(bytes(128)), 128) >= 0 and out()", safe=False),
    py("count events", "call(298, 241, buffer(struct.pack('=II', 1, 112), 112), 0, -1, -1, 0) >= 0 and out()", False),
    py("handle page faults", "call(323, 282, 0) >= 0 and out()", safe=False),
    py("open by a handle", "call(304, 265, -100, buffer(bytes(16)), 0); ctypes.get_errno() != 1 and out()", safe=False),
    py("use the keyring", 'call(248, 217, buffer(b"user\\0"), buffer(b"k\\0"), buffer(b"v"), 1, -3) > 0 and out()'),
    py("ask to be asked instead of the keeper", """
libc.prctl(38, 1, 0, 0, 0)
code = buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))
front = buffer(struct.pack("=HxxxxxxQ", 1, ctypes.addressof(code)))
call(317, 277, 1, 8, front) >= 0 and out()
"""),
    py("take off the warden's mark", "resource.setrlimit(10, (0, 0)); out()"),
    py("raise a limit", "resource.setrlimit(resource.RLIMIT_DATA, (1 << 50, 1 << 50)); out()", safe=False),
    py("type into a terminal", """
try:
    ours, theirs = os.openpty()
    os.setsid() if os.getsid(0) != os.getpid() else None
    fcntl.ioctl(theirs, 0x540E, 0)
    fcntl.ioctl(theirs, 0x5412, b"x"); out()
except OSError: pass
""", safe=False),
    py("call as another machine", """
import mmap
if X86:
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex("b814000000cd80c3"))
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() > 0 and out()
""", safe=False),
    py("call by another table", "X86 and libc.syscall(0x40000000 | 39) > 0 and out()", safe=False),
    sh("let a file run as its owner", "cp /bin/true own/t; chmod u+s own/t"),
    py("make a file that runs as its owner", """
os.umask(0)
os.open("own/u", os.O_CREAT | os.O_WRONLY, 0o6755)
libc.mknod(b"own/n", 0o106755, 0)
"""),
]  # fmt: skip

ATTACKS = [*FILES_OUTSIDE, *PARTS, *OTHERS, *NETWORK, *KERNEL]
