"""A reply that comes drop by drop. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf.proxy.faults.fault import Fault, Outcome


@dataclass(frozen=True, slots=True)
class SlowDrip(Fault):
    """The reply arrives in pieces of `chunk_bytes`, with a pause of `pause_ns` before each but the first."""

    chunk_bytes: int = 1
    pause_ns: int = 10_000_000

    def __post_init__(self) -> None:
        for name, least in (("chunk_bytes", 1), ("pause_ns", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name}={value!r}: expected an int of {least} or more")

    def outcome(self, reply: bytes) -> Outcome:
        return Outcome(reply, reply, "drip", self.chunk_bytes, self.pause_ns)
