"""A block in which Python looks for no cycles among its objects.

A trace is a great many values without a cycle; looking for one again and again takes a quarter of the time it takes to
read or analyse it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
