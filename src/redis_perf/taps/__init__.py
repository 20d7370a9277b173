"""Taps: one file and one entry point per client library, none of which knows another.

A tap is a context manager over a `Recorder`: entering patches the client, leaving restores everything. It imports
its client lazily; a missing client is reported as not installed, a missing hook point raises `TapError`.
Other distributions add taps under the entry-point group `redis_perf.taps`. The environment variable
`REDISPERF_WITHOUT` names taps to leave out, separated by commas: for a client that cannot be tapped and need not be.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "redis_perf.taps"
WITHOUT = "REDISPERF_WITHOUT"


def installed() -> tuple[EntryPoint, ...]:
    """The taps of this environment that are not left out, by name."""
    left_out = os.environ.get(WITHOUT, "").replace(" ", "").split(",")
    return tuple(point for point in _registered() if point.name not in left_out)


@lru_cache(maxsize=1)
def _registered() -> tuple[EntryPoint, ...]:
    """Looked up once: that reads every distribution installed."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))
