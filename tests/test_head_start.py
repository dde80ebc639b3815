"""A start begins its slow parts first, holds the folder before all of them, and leaves nothing behind if it ends."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus.errors import Refused
from cli.config import Settings
from cli.head_start import HeadStart
from projections.store import Store

NOT_AT_START = ("anthropic", "aiohttp", "httpx", "httpx2", "ollama", "genai_prices", "duckdb", "pyarrow", "rich")
LOOK = f"""
from cli import logs
from cli.config import Settings
logs.configure(Settings())
import sys
import cli.daemon, cli.app
sys.exit(" ".join(name for name in {NOT_AT_START} if name in sys.modules) or None)
"""


def test_a_folder_that_is_taken_is_refused_before_anything_begins_in_it(tmp_path: Path) -> None:
    first = HeadStart(Settings(state_dir=tmp_path), projections=False)
    try:
        with pytest.raises(Refused, match="another Witan runs on"):
            HeadStart(Settings(state_dir=tmp_path))
        first.bridge.run(first.served(), timeout_s=60)
        assert not (tmp_path / "witan.duckdb").exists()
    finally:
        first.close()


def test_what_was_begun_and_never_asked_for_is_let_go_of(tmp_path: Path) -> None:
    begun = HeadStart(Settings(state_dir=tmp_path))
    begun.bridge.run(begun.served(), timeout_s=60)
    assert begun.server is not None
    pid = begun.server.pid
    os.kill(pid, 0)
    begun.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    Store(tmp_path / "witan.duckdb").close()
    with open(tmp_path / "execs" / "warden.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_start_loads_nothing_that_only_later_work_needs() -> None:
    root = Path(__file__).parents[1]
    looked = subprocess.run([sys.executable, "-c", LOOK], cwd=root, capture_output=True, text=True, timeout=60)
    assert (looked.returncode, looked.stderr.strip()) == (0, "")
