# Generated from ../asyncio/sweep.py by tools/sync_twins.py: change that file, then run the tool.
"""Sweep: removes the keys that match a glob, in one round trip for each `scan_count` keys that the server has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def swept(run: Callable[..., Any], key: str, glob: str, scan_count: int, channel: str, message: bytes) -> int:
    """How many keys were removed, leases not counted; after each step that removed some the channel is told.

    `run` is that of RedisClient; a cluster goes where `key` is.
    """
    cursor, total = b"0", 0
    removed: int
    while True:
        cursor, removed = run("cache_sweep", (key,), cursor, glob, scan_count, channel, message)
        total += removed
        if cursor == b"0":
            return total
