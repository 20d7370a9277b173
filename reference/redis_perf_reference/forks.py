"""What a forked child must not go on with: it has its parent's memory, and none of its threads.

A lock that another thread held is never released there, and what was unique in the parent is there twice.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    def forked(self) -> None:
        """Called in the child, where there is no other thread yet. May be called more than once."""


_tellable: WeakSet[Forked] = WeakSet()


def tell_of_forks(one: Forked) -> None:
    """Has `forked` called in each forked child, for as long as somebody has this object."""
    _tellable.add(one)


def _in_child() -> None:
    for one in tuple(_tellable):
        one.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
