"""No fault. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf.proxy.faults.fault import Fault


@dataclass(frozen=True, slots=True)
class Nothing(Fault):
    """Lets everything pass, by the very way of the others: what a test sees with it, it sees without."""
