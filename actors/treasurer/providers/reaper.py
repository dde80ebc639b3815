"""A process of its own around a command-line mind: when either of the two ends, or the daemon does, nothing is left."""

import os
import select
import signal
import sys

from actors.executor.sandbox import kernel, sweep


def main(life: int, command: list[str]) -> None:
    """`life` is a pipe that nobody writes to: when its other end closes, so does all this."""
    kernel.prctl(kernel.SUBREAPER, 1)
    hear, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    reaper = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, reaper)
    # Only the program itself may hold what it is asked by; its answer ends when all of it has ended.
    os.close(0)
    ended: list[int] = []
    poll = select.poll()
    poll.register(life, 0)
    poll.register(hear, select.POLLIN)
    while not ended:
        for file, _ in poll.poll():
            if file == life:
                ended.append(0)
            else:
                os.read(hear, 4096)
                _reap(pid, ended)
    sweep.sweep(lambda: _reap(pid, ended), hear)
    sys.exit(ended[0] if ended[0] >= 0 else 128 - ended[0])


def _become(command: list[str], reaper: int) -> None:
    try:
        kernel.prctl(kernel.DEATH_SIGNAL, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if os.getppid() == reaper:
            os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def _reap(main: int, ended: list[int]) -> bool:
    """Take leave of who has ended; whether anybody is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        if pid == main:
            ended.append(os.waitstatus_to_exitcode(status))
