"""Log lines for people on a terminal and for machines elsewhere; every line of an actor carries flow and cause."""

import logging
import os
import sys
from functools import cache
from typing import Any

from cli.config import Settings


def configure(settings: Settings) -> None:
    """Set structlog up for this process; talk goes to stderr."""
    structlog = _structlog()
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    last: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    middle: list[Any] = [] if console else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *middle,
            last,
            _without_secrets,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # its errors are told by the state of the connection
    logging.getLogger("pykka").setLevel(logging.CRITICAL)  # the shell logs why an actor stopped


def _without_secrets(logger: Any, method: str, line: str) -> str:
    """An error of something else may hold what it was given."""
    clean: str = _redactor().text(line)
    return clean


@cache
def _redactor() -> Any:
    from actors.redaction import Redactor
    from actors.secrets import secrets_of

    return Redactor(secrets_of(os.environ))


def _structlog() -> Any:
    """It would load the whole of rich for tracebacks in colour, and every start would wait for that."""
    unseen = {name: None for name in ("rich", "better_exceptions") if name not in sys.modules}
    sys.modules.update(unseen)  # type: ignore[arg-type]
    try:
        import structlog
    finally:
        for name in unseen:
            del sys.modules[name]
    return structlog
