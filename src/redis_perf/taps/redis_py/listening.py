"""How a live object is listened to: its class is swapped for a subclass that logs, and swapped back at the end.

A wrapping object would be slower and would lose the object's identity, which the client's parser relies on: it keeps
its own reference to the socket. A plain socket has no place for an attribute of ours, so what is known of an object
is looked up by its id.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from redis_perf.pace import Pace
from redis_perf.recorder import Log
from redis_perf.site import Trail
from redis_perf.wire import Caller


class Listener:
    """One connection's log, and what the hot path has to know of it."""

    __slots__ = ("append", "connector", "events", "grew", "keys", "log", "may_open", "pace", "parked", "trail")

    def __init__(self, log: Log, connector: Caller | None, pace: Pace) -> None:
        self.log = log
        self.pace = pace
        self.append = log.append
        self.events = log.events
        self.grew = log.grew
        self.may_open = True
        """The client has read since it last sent: the next send may open a round trip, so note who sends."""
        self.parked: Caller | None = None
        """Who is about to send, noted before the client hands the write to another task."""
        self.connector = connector
        """Who opened the connection: the best answer for what is sent where no user's line is on the stack."""
        self.trail = Trail()
        self.keys: list[int] = []
        """The ids of the objects listened to: a writer and its reader, say."""


Listeners = dict[int, Listener]
Listening = Callable[[type, Listeners], type]


class Swaps:
    """The objects that are listened to right now."""

    def __init__(self) -> None:
        self.listeners: Listeners = {}
        self._plain: dict[int, tuple[weakref.ref[Any], type]] = {}
        self._classes: dict[type, type] = {}

    def swap(self, thing: Any, listener: Listener, listening: Listening) -> None:
        """Listen to `thing` from now on; `listening` makes the class that does, once per class of thing."""
        plain = type(thing)
        if plain not in self._classes:
            self._classes[plain] = listening(plain, self.listeners)
        key = id(thing)
        thing.__class__ = self._classes[plain]
        self._plain[key] = weakref.ref(thing, lambda _: self._gone(key)), plain
        self.listeners[key] = listener
        listener.keys.append(key)

    def restore(self, listener: Listener) -> None:
        """Give the objects of this listener their own classes back."""
        for key in listener.keys:
            self._restore(key)

    def restore_all(self) -> None:
        for key in list(self._plain):
            self._restore(key)

    def _restore(self, key: int) -> None:
        self.listeners.pop(key, None)
        reference, plain = self._plain.pop(key, (None, None))
        thing = reference() if reference is not None else None
        if thing is not None:
            thing.__class__ = plain

    def _gone(self, key: int) -> None:
        self._plain.pop(key, None)
        listener = self.listeners.pop(key, None)
        if listener is not None:
            listener.log.close()


def subclass(plain: type, **methods: Callable[..., Any]) -> type:
    """A class that answers to the same name and has room for nothing new, so that instances of `plain` can take it."""
    name = {"__module__": plain.__module__, "__qualname__": plain.__qualname__, "__doc__": plain.__doc__}
    return type(plain.__name__, (plain,), {"__slots__": (), **name, **methods})
