"""The options that say which Witan is meant; every verb that talks to one has them."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from cli.config import load


def placed(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb `--state-dir` and `--nats`; it is called with `settings`."""

    @click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="The folder of the Witan that is meant; .witan beside witan.toml, or here, if not said.",
    )
    @click.option("--nats", "--nats-url", "nats_url", metavar="URL", help="Talk to this NATS server instead.")
    @wraps(verb)
    def with_settings(*args: Any, state_dir: Path | None, nats_url: str | None, **kwargs: Any) -> Any:
        flags = {"state_dir": state_dir, "nats_url": nats_url}
        return verb(*args, settings=load(flags).settings, **kwargs)

    return with_settings
