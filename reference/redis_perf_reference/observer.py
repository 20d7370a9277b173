"""Observer: what a cache tells whoever counts. Methods return at once and never raise; they are called on the hot path.

`prometheus.py` has one for prometheus_client. An observer belongs to one cache, so its name is no argument here: keys
never reach an observer, and cannot become labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Literal, Protocol, TypeAlias

from redis_perf_reference.outcomes import CacheUnavailable

Reason: TypeAlias = Literal["unavailable", "undecodable", "unencodable", "load"]
"""Why something failed: Redis did not answer or refused, a cached value could not be read, a value could not be
written down, the loader raised."""

Operation: TypeAlias = Literal["read", "fill", "write", "delete", "load"]


class Observer(Protocol):
    def hit(self) -> None:
        """A value that was not due yet was answered."""

    def miss(self) -> None:
        """There was no value to answer with: the caller loaded, or waited for another's load."""

    def stale(self) -> None:
        """A value past its time was answered: while it was loaded anew, or because that failed."""

    def load(self) -> None:
        """The loader was called."""

    def error(self, reason: Reason) -> None: ...

    def seconds(self, operation: Operation, seconds: float) -> None:
        """How long one operation took, failed ones included."""


class Silent:
    """Observes nothing."""

    def hit(self) -> None: ...

    def miss(self) -> None: ...

    def stale(self) -> None: ...

    def load(self) -> None: ...

    def error(self, reason: Reason) -> None: ...

    def seconds(self, operation: Operation, seconds: float) -> None: ...


SILENT = Silent()
_UNTOLD = nullcontext()


def telling(observer: Observer, operation: Operation) -> AbstractContextManager[None]:
    """Tells how long the block takes, and if Redis was away, which is raised on."""
    return _UNTOLD if observer is SILENT else _telling(observer, operation)


@contextmanager
def _telling(observer: Observer, operation: Operation) -> Iterator[None]:
    started = monotonic()
    try:
        yield
    except CacheUnavailable:
        observer.error("unavailable")
        raise
    finally:
        observer.seconds(operation, monotonic() - started)
