"""Days and months in UTC, of a moment in seconds of the epoch."""

from datetime import UTC, datetime, timedelta


def day_of(now_s: float) -> str:
    """The day as `2026-11-21`; its first seven letters are the month."""
    return datetime.fromtimestamp(now_s, UTC).date().isoformat()


def next_day_s(now_s: float) -> float:
    """When the next day begins."""
    return (_midnight(now_s) + timedelta(days=1)).timestamp()


def next_month_s(now_s: float) -> float:
    """When the next month begins."""
    return (_midnight(now_s).replace(day=1) + timedelta(days=32)).replace(day=1).timestamp()


def _midnight(now_s: float) -> datetime:
    return datetime.fromtimestamp(now_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
