"""Many threads that read something of a type for the first time: this crashed Python once."""

import subprocess
import sys

THREADS = """
import sys, threading
from bus.envelope import Record
from bus.errors import Invalid
from bus.messages import kinds
from actors.tools import KNOWN, read_input

sys.setswitchinterval(1e-6)
body = b'{"id":"","at":"","by":"","cause":"","flow":"","v":1,"prev":"","events":[],"after":0}'
together = threading.Barrier(8)
read = []

def work():
    together.wait()
    for kind in kinds.EVENTS_OF:
        kinds.read_commit(Record(f"evt.{kind}.x", 1, body))
    for actor, commands in kinds.COMMANDS_OF.items():
        for name in commands:
            try:
                kinds.read_command(actor, name, b"{}")
            except Invalid:
                pass
    for tool in KNOWN:
        try:
            read_input(tool, {})
        except Invalid:
            pass
    read.append(True)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(read))
"""


def test_the_first_that_is_read_of_a_type_may_be_read_by_many_at_once() -> None:
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.strip()) == (0, "8"), done.stderr
