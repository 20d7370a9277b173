"""Connections that come to nothing. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf.proxy.faults.fault import Fault
from redis_perf.proxy.faults.when import EACH, When


@dataclass(frozen=True, slots=True)
class Refuse(Fault):
    """Each new connection (or the n-th, `Refuse(on=nth_connection(2))`) is reset as soon as it is accepted.

    Connections that are open stay so.
    """

    on: When = EACH

    def refuses(self) -> bool:
        return True
