"""Networks by what a round trip over them takes, and times as people write them.

The profiles are round figures for cost estimates, within the ranges cloud providers publish for their own networks:
below a millisecond within an availability zone, 1 to 2 ms between zones of a region, 30 to 80 ms between regions. Where
yours is known, give its time.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

PROFILES_NS: Final = MappingProxyType(
    {
        "same-host": 100_000,
        "same-zone": 500_000,
        "cross-zone": 2_000_000,
        "cross-region": 30_000_000,
        "cross-continent": 80_000_000,
    }
)
"""Time of one round trip, by name."""

_UNITS_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def duration_ns(text: str) -> int:
    """`2ms`, `1.5 s`, `500us` in nanoseconds. Raises ValueError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s)", text)
    if not found:
        raise ValueError(f"{text!r} is not a time; give a number with a unit, such as 2ms")
    return round(float(found[1]) * _UNITS_NS[found[2]])


def round_trip_ns(text: str) -> int:
    """A profile's name or a time. Raises ValueError for anything else, and for no time at all."""
    if text in PROFILES_NS:
        return PROFILES_NS[text]
    try:
        time_ns = duration_ns(text)
    except ValueError:
        names = ", ".join(PROFILES_NS)
        raise ValueError(f"{text!r} is not a network; give its round-trip time, such as 2ms, or {names}") from None
    if not time_ns:
        raise ValueError(f"{text!r} is not a network: a round trip takes more than no time")
    return time_ns
