"""Taps: one file and one entry point per client library, none of which knows another.

A tap is a context manager over a `Recorder`: entering patches the client, leaving restores everything. It imports
its client lazily; a missing client is reported as not installed, a missing hook point raises `TapError`.
Other distributions add taps under the entry-point group `redis_perf.taps`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

GROUP = "redis_perf.taps"


def installed() -> tuple[EntryPoint, ...]:
    """The taps of this environment, by name."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))
