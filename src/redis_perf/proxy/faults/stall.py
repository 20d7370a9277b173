"""A server that hangs. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf.proxy.faults.fault import Fault, Outcome


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """The server executes the request; its reply comes only once the fault is removed."""

    def outcome(self, reply: bytes) -> Outcome:
        return Outcome(reply, b"", "hang")
