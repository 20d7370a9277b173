"""Numbers with their units, for people."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """`1 round trip`, `3 round trips`."""
    return f"{number} {plural(number, noun)}"


def plural(number: int, noun: str) -> str:
    """The noun as it goes with this number."""
    if number == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def duration(ns: int) -> str:
    """`6 ms`, `1.5 s`, `40 us`: three digits at most, rounded."""
    for unit_ns, unit in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")):
        if ns >= unit_ns:
            return f"{ns / unit_ns:.3g} {unit}" if ns < 1_000 * unit_ns else f"{ns / unit_ns:.0f} {unit}"
    return f"{ns} ns"


def size(number_bytes: int) -> str:
    """`812 bytes`, `20.0 KiB`."""
    for unit_bytes, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if number_bytes >= unit_bytes:
            return f"{number_bytes / unit_bytes:.1f} {unit}"
    return count(number_bytes, "byte")
