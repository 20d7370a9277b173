"""The owner's side of faults: adds them, asks how often they fired, removes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from redis_perf.proxy.faults import Fault
from redis_perf.proxy.upstream import Upstream

_KEYS: Final = itertools.count(1)


class Lying:
    """A fault that lies in wait before one server."""

    def __init__(self, server: str, fault: Fault, among: dict[int, Lying], ask: Callable[..., Any]) -> None:
        self.server = server
        self.fault = fault
        self._key = next(_KEYS)
        self._among = among
        self._ask = ask
        self._fired = 0
        ask("arm", server, self._key, fault)
        among[self._key] = self

    @property
    def fired(self) -> int:
        """How often it has fired up to now, or had when it was removed."""
        return self._ask("fired", self.server, self._key) if self._key in self._among else self._fired

    def remove(self) -> None:
        """It fires no more, and what it kept back goes on. Calling it again does nothing."""
        if self._among.pop(self._key, None) is not None:
            self._fired = self._ask("disarm", self.server, self._key)


class Faults:
    """The faults that lie in wait."""

    def __init__(self, upstreams: Mapping[str, Upstream], lying: dict[int, Lying], ask: Callable[..., Any]) -> None:
        self._upstreams, self._lying, self._ask = upstreams, lying, ask

    def add(self, server: str, fault: Fault) -> Lying:
        """From now on it lies in wait before this server, given by its name, or by its store if that has one only.

        Raises ValueError if there is no such server, or the fault cannot befall one of its kind.
        """
        upstream = self._find(server)
        fault.check(upstream.store)
        return Lying(upstream.name, fault, self._lying, self._ask)

    def clear(self) -> None:
        """Remove all of them."""
        for lying in list(self._lying.values()):
            lying.remove()

    def _find(self, server: str) -> Upstream:
        if server in self._upstreams:
            return self._upstreams[server]
        found = [upstream for upstream in self._upstreams.values() if upstream.store == server]
        if len(found) != 1:
            names = ", ".join(self._upstreams)
            raise ValueError(f"{server!r} names {len(found) or 'no'} servers; the proxy stands before {names}")
        return found[0]
