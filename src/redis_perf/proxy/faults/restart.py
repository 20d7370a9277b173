"""A server that dies and comes back. No I/O here: the value carries how to do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from redis_perf.proxy.faults.fault import Fault, Instead, Outcome, Request
from redis_perf.proxy.faults.when import FIRST, When


class Crashing(Protocol):
    """A server of ours, see `redis_perf.servers.lifecycle`."""

    @property
    def crashing(self) -> Callable[[], None]: ...


@dataclass(frozen=True, slots=True, init=False)
class Restart(Fault):
    """The server is killed (SIGKILL) and started again, `before` it got the request or `after` it executed it.

    All its connections break, this one with the reply lost. What comes meanwhile waits until the server answers again,
    so the next connection finds it there, with the data its own persistence has kept. Raises ServerUnavailable for a
    server that is not ours.
    """

    when: Literal["before", "after"] = "before"
    crash: Callable[[], None] | None = None

    def __init__(self, server: Crashing, when: Literal["before", "after"] = "before", on: When | None = None) -> None:
        if when not in ("before", "after"):
            raise ValueError(f"when={when!r}: expected 'before' or 'after' the server executed it")
        object.__setattr__(self, "on", on or FIRST)
        object.__setattr__(self, "when", when)
        object.__setattr__(self, "crash", server.crashing)

    def instead(self, request: Request) -> Instead | None:
        return Instead(then="reset", crash=self.crash) if self.when == "before" else None

    def outcome(self, reply: bytes) -> Outcome:
        return Outcome(reply, b"", "reset", crash=self.crash)
