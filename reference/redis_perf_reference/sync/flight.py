"""Flights: work that several callers want is done once, and all of them get what came of it.

Written by hand, as is its twin in `asyncio/`: here the first caller's thread does the work and the others wait for it.
What it raises is raised to each caller. Safe to share between threads of one process.

An announcement costs next to nothing until somebody comes to wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from redis_perf_reference.entry_state import Tokens
from redis_perf_reference.missing import GONE


class Flight:
    __slots__ = ("error", "landed", "result")

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.result: Any = GONE
        self.error: Exception | None = None

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class Flights:
    def __init__(self) -> None:
        self._open: dict[str | bytes, Flight | None] = {}
        self._lock = threading.Lock()
        self._tokens = Tokens()

    def announce(self) -> bytes:
        """A name that nobody else has: others find it from now on. `lead` or `withdraw` must follow."""
        token = self._tokens.take()
        self._open[token] = None
        return token

    def withdraw(self, token: bytes) -> None:
        """Nobody will do it: those who wait get GONE."""
        with self._lock:
            flight = self._open.pop(token, None)
        if flight is not None:
            flight.landed.set()

    def forget(self, name: str) -> None:
        """Nobody shall join it any more; those who have will get its result."""
        with self._lock:
            self._open.pop(name, None)

    def lead(self, token: bytes, work: Callable[[], Any]) -> Any:
        """Does what was announced, and returns its result."""
        return self._do(token, self._found(token)[1], work)

    def share(self, name: str | bytes, work: Callable[[], Any], wait_seconds: float | None = None) -> Any:
        """Waits for it if somebody has announced it, else does it. GONE if somebody gave up on it, or if it took
        longer than `wait_seconds`: then nobody shall join it any more."""
        known, flight = self._found(name)
        if not known:
            return self._do(name, flight, work)
        if flight.landed.wait(wait_seconds):
            return flight.outcome()
        self._leave(name, flight)
        return GONE

    def _found(self, name: str | bytes) -> tuple[bool, Flight]:
        with self._lock:
            known = name in self._open
            flight = self._open[name] = self._open.get(name) or Flight()
            return known, flight

    def _do(self, name: str | bytes, flight: Flight, work: Callable[[], Any]) -> Any:
        try:
            flight.result = work()
        except Exception as error:
            flight.error = error
            raise
        finally:
            self._leave(name, flight)
            flight.landed.set()
        return flight.result

    def _leave(self, name: str | bytes, flight: Flight) -> None:
        with self._lock:
            if self._open.get(name) is flight:
                del self._open[name]
