"""Where redis-py is patched: the attribute a connection keeps its transport in, and the beginning of a connect.

Blocking connections keep a socket in `_sock`, asyncio ones a `StreamWriter` in the slot `_writer`. Both become
properties: storing a transport is a new connection, storing None the end of it, and reading one that is not listened
to means that it was there before us. The value itself stays where the library keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction, unwrap
from types import ModuleType
from typing import Any

from redis_perf.errors import TapError
from redis_perf.recorder import Recorder
from redis_perf.taps.redis_py.meeting import Meeting


@dataclass(frozen=True)
class Library:
    """A client library with redis-py's inside."""

    name: str
    package: str
    client: str
    """What its client classes' names begin with."""
    tested: str


class Patches:
    """The patches of one library. A half-done `put` is undone by `take_back` too."""

    def __init__(self, recorder: Recorder, library: Library, version: str) -> None:
        self._library = library
        self._version = version
        self._meeting = Meeting(recorder, library.name)
        self._undo = ExitStack()

    def put(self) -> None:
        """Raises TapError."""
        blocking = import_module(f"{self._library.package}.connection")
        streaming = self._asyncio("connection")
        self._sockets(self._find(blocking, "AbstractConnection"))
        self._writers(self._find(streaming, "AbstractConnection"))
        self._senders(self._find(streaming, "AbstractConnection"))
        self._askers(self._asyncio("client"), self._library.client, "execute_command")
        self._askers(self._asyncio("client"), "Pipeline", "execute")
        self._askers(self._asyncio("cluster"), f"{self._library.client}Cluster", "execute_command")
        self._askers(self._asyncio("cluster"), "ClusterPipeline", "execute")
        for name in ("Connection", "UnixDomainSocketConnection"):
            self._connects(self._find(blocking, name))
            self._connects(self._find(streaming, name))

    def _asyncio(self, module: str) -> ModuleType:
        return import_module(f"{self._library.package}.asyncio.{module}")

    def take_back(self) -> None:
        """Restore the library's classes, then the objects listened to."""
        self._undo.close()
        self._meeting.swaps.restore_all()

    def _sockets(self, owner: type) -> None:
        if "_sock" not in unwrap(self._find(owner, "disconnect")).__code__.co_names:  # set in __init__, on no class
            raise self._missing(f"{owner.__module__}.{owner.__qualname__}._sock")
        listeners, meeting = self._meeting.swaps.listeners, self._meeting

        def get(connection: Any) -> Any:
            try:
                sock = connection.__dict__["_sock"]
            except KeyError:
                raise AttributeError(f"{type(connection).__name__!r} object has no attribute '_sock'") from None
            if sock is not None and id(sock) not in listeners:
                meeting.meet_socket(connection, sock, opened=False)
            return sock

        def put(connection: Any, sock: Any) -> None:
            old = connection.__dict__.get("_sock")
            connection.__dict__["_sock"] = sock
            if old is not None and old is not sock:
                meeting.leave(old)
            if sock is not None and id(sock) not in listeners:
                meeting.meet_socket(connection, sock, opened=True)

        self._set(owner, "_sock", property(get, put))

    def _writers(self, owner: type) -> None:
        slot: Any = self._find(owner, "_writer")
        listeners, meeting = self._meeting.swaps.listeners, self._meeting

        def get(connection: Any, _get: Any = slot.__get__) -> Any:
            writer = _get(connection)
            if writer is not None and id(writer) not in listeners:
                meeting.meet_writer(connection, writer, opened=False)
            return writer

        def put(connection: Any, writer: Any) -> None:
            try:
                old = slot.__get__(connection)
            except AttributeError:
                old = None
            slot.__set__(connection, writer)
            if old is not None and old is not writer:
                meeting.leave(old)
            if writer is not None and id(writer) not in listeners:
                meeting.meet_writer(connection, writer, opened=True)

        self._set(owner, "_writer", property(get, put))

    def _senders(self, owner: type) -> None:
        """Note who sends at the entry: the write may run in another task, with the caller off its stack."""
        send: Any = self._find(owner, "send_packed_command")
        writer_of: Any = self._find(owner, "_writer").__get__
        listener_of, here = self._meeting.swaps.listeners.get, self._meeting.callers.here

        @wraps(send)
        def send_packed_command(connection: Any, command: Any, check_health: bool = True) -> Any:
            listener = listener_of(id(writer_of(connection)))
            if listener is not None and listener.may_open:
                listener.parked = here(listener.trail)
            return send(connection, command, check_health)

        self._set(owner, "send_packed_command", send_packed_command)

    def _askers(self, module: ModuleType, owner_name: str, name: str) -> None:
        """Note who asks: `gather` and `wait_for` run the library's coroutine as a task, with no user's line below."""
        owner = self._find(module, owner_name)
        self._set(owner, name, self._meeting.callers.noting(self._find(owner, name)))

    def _connects(self, owner: type) -> None:
        connect: Any = self._find(owner, "_connect")
        meeting = self._meeting

        @wraps(connect)
        def timed(connection: Any) -> Any:
            with meeting.connecting(connection):
                return connect(connection)

        @wraps(connect)
        async def timed_async(connection: Any) -> None:
            with meeting.connecting(connection):
                await connect(connection)

        self._set(owner, "_connect", timed_async if iscoroutinefunction(connect) else timed)

    def _find(self, owner: Any, name: str) -> Any:
        found = vars(owner).get(name)
        if found is None:
            raise self._missing(f"{getattr(owner, '__module__', '')}.{owner.__name__}.{name}".lstrip("."))
        return found

    def _missing(self, what: str) -> TapError:
        name, package = self._library.name, self._library.package
        return TapError(
            f"{name} {self._version} has no {what}, so its traffic cannot be counted "
            f"(tested with {self._library.tested}). Install a tested version of {package}"
        )

    def _set(self, owner: type, name: str, value: Any) -> None:
        """Set a class attribute and note how to undo it."""
        undo: Callable[[], None]
        if name in vars(owner):
            original = vars(owner)[name]
            undo = lambda: setattr(owner, name, original)  # noqa: E731
        else:
            undo = lambda: delattr(owner, name)  # noqa: E731
        setattr(owner, name, value)
        self._undo.callback(undo)
