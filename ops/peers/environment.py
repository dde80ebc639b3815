"""A peer's own virtual environment, made on first use and again when its requirements change."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BENCH = ROOT / ".bench"
PEERS = sorted(path.stem for path in HERE.glob("*.txt"))


class Failed(Exception):
    """Something that was run did not do what it was run for."""


def python_of(peer: str) -> Path:
    """A peer's interpreter. The copy of its requirements is written last, so that half an install counts as none."""
    wanted, home = HERE / f"{peer}.txt", BENCH / "peers" / peer
    python, installed = home / "bin" / "python", home / "requirements.txt"
    if python.exists() and installed.exists() and installed.read_text() == wanted.read_text():
        return python
    print(f"{peer}: making {home.relative_to(ROOT)} from {wanted.relative_to(ROOT)}", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--quiet", "--python", sys.executable, home)
        _run(uv, "pip", "install", "--quiet", "--python", python, "-r", wanted)
    else:
        _run(sys.executable, "-m", "venv", home)
        _run(python, "-m", "pip", "install", "--quiet", "-r", wanted)
    shutil.copy(wanted, installed)
    return python


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stderr.strip()}")
