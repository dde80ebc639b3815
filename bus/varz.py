"""What a server says about itself on its monitoring port."""

import asyncio
import json
import urllib.request


async def sync_always(monitor_url: str) -> bool | None:
    """Whether every write reaches the disk before it is acknowledged; None: the server does not say."""
    try:
        return await asyncio.to_thread(_sync_always, monitor_url)
    except (OSError, ValueError, AttributeError):
        return None


def _sync_always(monitor_url: str) -> bool | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{monitor_url}/varz", timeout=5) as answer:
        config = json.load(answer)["jetstream"].get("config")
    return bool(config.get("sync_always", False)) if config else None
