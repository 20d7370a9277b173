"""Taps: one file and one entry point per client library, none of which knows another.

A tap is a context manager over a `Recorder`: entering patches the client, leaving restores everything. It imports
its client lazily; a missing client is reported as not installed, a missing hook point raises `TapError`.
Other distributions add taps under the entry-point group `redis_perf.taps`. The environment variable
`REDISPERF_WITHOUT` names taps to leave out, separated by commas: for a client that cannot be tapped and need not be.

A tap that says whose it is (`of_client`) is entered when somebody imports that client (`on_import`), others at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from typing import TypeVar

from redis_perf.trace import NOT_IMPORTED, Store, Tapped

GROUP = "redis_perf.taps"
WITHOUT = "REDISPERF_WITHOUT"

_AnyTap = TypeVar("_AnyTap", bound="Callable[..., object]")


@dataclass(frozen=True)
class Client:
    """The library a tap is for: its top-level module, and the distributions that may have brought it."""

    module: str
    store: Store
    distributions: tuple[str, ...]

    def tapped(self, name: str) -> Tapped:
        """What is to say of it while nobody has imported it; it is not imported to find out."""
        if find_spec(self.module) is None:
            return Tapped(name, self.store, problem="not installed")
        return Tapped(name, self.store, version=self._version(), problem=NOT_IMPORTED)

    def _version(self) -> str | None:
        for distribution in self.distributions:
            with suppress(PackageNotFoundError):
                return version(distribution)
        return None


def of_client(module: str, store: Store, *distributions: str) -> Callable[[_AnyTap], _AnyTap]:
    """Decorates a tap: enter it when this top-level module is imported, which it then can rely on.

    `distributions` have its version in their metadata: the first that is installed is asked.
    """

    def of(tap: _AnyTap) -> _AnyTap:
        vars(tap)["client"] = Client(module, store, distributions)
        return tap

    return of


def client_of(tap: object) -> Client | None:
    """The client this tap waits for, if it does."""
    client = getattr(tap, "client", None)
    return client if isinstance(client, Client) else None


def installed() -> tuple[EntryPoint, ...]:
    """The taps of this environment that are not left out, by name."""
    left_out = os.environ.get(WITHOUT, "").replace(" ", "").split(",")
    return tuple(point for point in _registered() if point.name not in left_out)


@lru_cache(maxsize=1)
def _registered() -> tuple[EntryPoint, ...]:
    """Looked up once: that reads every distribution installed."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))
