"""Processes we start ourselves, such as servers: no trace counts them among the application's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


@contextmanager
def own_children() -> Iterator[None]:
    """Children that this thread starts while the block runs are ours."""
    before = starting()
    _thread.starting = True
    try:
        yield
    finally:
        _thread.starting = before


def starting() -> bool:
    """Whether this thread is in such a block."""
    return getattr(_thread, "starting", False)
