"""The process that keeps the tables, as the daemon starts it: `words` is the one side, `main` the other."""

import os
from pathlib import Path

import cli
from cli.config import Settings

_HOUSE = str(Path(cli.__file__).parents[1])
_START = (
    "import sys; house = sys.argv[1]; house in sys.path or sys.path.insert(0, house); "
    "from cli.tables import main; main(*sys.argv[2:])"
)


def words(settings: Settings) -> list[str]:
    """What stands behind the name of our Python; `-P`: nothing is imported from where we happen to be."""
    own = [str(settings.state_dir), settings.log_level, settings.log_format]
    return ["-P", "-c", _START, _HOUSE, *own]


def main(folder: str, level: str, format: str) -> None:
    """Keep the tables in this folder until the daemon lets go."""
    from cli import logs
    from projections.serving import serve

    logs.configure(Settings(log_level=level, log_format=format))  # type: ignore[arg-type]
    os._exit(serve(Path(folder)))  # everything is closed: what is left to do would only take time
