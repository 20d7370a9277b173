"""A reply that stops in the middle. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf.proxy.faults.fault import Fault, Outcome, checked_offset, cut


@dataclass(frozen=True, slots=True)
class HalfReply(Fault):
    """Half of the reply arrives, or `at_byte` of it; the rest only once the fault is removed."""

    at_byte: int | None = None

    def __post_init__(self) -> None:
        checked_offset(self.at_byte)

    def outcome(self, reply: bytes) -> Outcome:
        return Outcome(reply, cut(reply, self.at_byte), "hang")
