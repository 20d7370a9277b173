"""What a server of ours can be put under for a while: no memory left, no writing. Each ends with what undoes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Self, TypeAlias

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.resp import Reply

AskRedis: TypeAlias = "Callable[..., list[Reply]]"
"""Sends a pipeline of commands. Raises ServerUnavailable."""
Undo: TypeAlias = "Callable[[], object]"
NO_LIMIT = "PostgreSQL has no limit of memory that could be filled; ErrorReply('53200') of the proxy answers as if"
SETTING = "current_setting('default_transaction_read_only')"


class Condition:
    """In force from when it is made until `end`, the server's `reset` or `restart`, or the end of a `with` block."""

    def __init__(self, undo: Undo) -> None:
        self._undo: Undo | None = undo

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """The server is as before. Calling it again does nothing."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def forget(self) -> None:
        """It has ended by itself: the server started anew."""
        self._undo = None


class Conditions:
    """Those of one server."""

    def __init__(self) -> None:
        self._all: list[Condition] = []

    def begun(self, undo: Undo) -> Condition:
        condition = Condition(undo)
        self._all.append(condition)
        return condition

    def end(self) -> None:
        """The last one first."""
        while self._all:
            self._all.pop().end()

    def forget(self) -> None:
        """The server started anew, without them."""
        while self._all:
            self._all.pop().forget()


def full_memory(ask: AskRedis) -> Undo:
    """Writes are answered with -OOM."""
    settings = {"maxmemory": "1", "maxmemory-policy": "noeviction"}
    before = [ask(["CONFIG", "GET", name])[0] for name in settings]
    return _undoing(
        lambda: ask(*map(_setting, before)),
        lambda: ask(*(["CONFIG", "SET", name, value] for name, value in settings.items())),
    )


def replica_of_nobody(ask: AskRedis) -> Undo:
    """Writes are answered with -READONLY. A node of a Redis Cluster refuses."""
    return _undoing(lambda: ask(["REPLICAOF", "NO", "ONE"]), lambda: ask(["REPLICAOF", "127.0.0.1", "1"]))


def read_only_sessions(execute: Callable[..., object], until: Callable[[Callable[[], object]], object]) -> Undo:
    """Transactions of a PostgreSQL that do not say otherwise are READ ONLY, in sessions that are open too.

    `until` calls what it is given again while that raises OSError, `execute` raises ServerUnavailable.
    """
    _undoing(partial(_new_sessions, execute, "off"), partial(_all_sessions, execute, until, "on"))
    return partial(_all_sessions, execute, until, "off")


def _undoing(undo: Undo, begin: Callable[[], object]) -> Undo:
    """What undoes it, which is done at once if it began and could not be finished."""
    try:
        begin()
    except BaseException:
        with suppress(OSError, ServerUnavailable):  # what it could not be finished for
            undo()
        raise
    return undo


def _new_sessions(execute: Callable[..., object], read_only: str) -> None:
    execute(f"ALTER SYSTEM SET default_transaction_read_only = {read_only}")
    execute("SELECT pg_reload_conf()")


def _all_sessions(
    execute: Callable[..., object], until: Callable[[Callable[[], object]], object], read_only: str
) -> None:
    """A new session that has the setting was forked after the postmaster told the others of it."""
    _new_sessions(execute, read_only)
    until(partial(_has_read_only, execute, read_only))


def _has_read_only(execute: Callable[..., object], wanted: str) -> None:
    statement = f"DO $$ BEGIN IF {SETTING} <> '{wanted}' THEN RAISE 'not yet'; END IF; END $$"
    try:
        execute(statement, options="")
    except ServerUnavailable as not_yet:
        raise ConnectionError(str(not_yet)) from not_yet


def _setting(reply: Reply) -> Sequence[str]:
    """The command that brings back what CONFIG GET has said."""
    assert isinstance(reply, list)
    return ["CONFIG", "SET", *(part.decode() for part in reply if isinstance(part, bytes))]
