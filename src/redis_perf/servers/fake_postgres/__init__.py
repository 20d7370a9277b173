"""A Postgres that knows no SQL: it speaks the wire protocol, accepts any statement and answers from a script.

It is for counting round trips and for faults, not for answers. Nothing is stored: what was inserted is not found
again, and whether a statement is valid nobody knows. It keeps the protocol's side of the bargain: sessions, prepared
statements, portals, pipelines, COPY, transaction blocks and their status, errors and what they skip.

    fake = servers.postgres("fake")
    fake.on("SELECT id, name FROM users WHERE id = %s").rows([(1, "Ada")], columns=["id", "name"])
    fake.on("UPDATE users SET name = %s").error("40001", "could not serialize access")
    fake.on(re.compile("^INSERT INTO audit")).tag("INSERT 0 1")
    with psycopg.connect(fake.dsn) as connection:
        ...
    assert [asked.sql for asked in fake.asked] == [...]
"""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from redis_perf.servers.fake_postgres.listener import Listener
from redis_perf.servers.fake_postgres.lookups import VERSION
from redis_perf.servers.fake_postgres.mail import Post
from redis_perf.servers.fake_postgres.script import Asked, On, Pattern, Script
from redis_perf.servers.fake_postgres.session import Session
from redis_perf.servers.lifecycle import NotOurs

__all__ = ["Asked", "FakePostgres", "On"]


class FakePostgres(NotOurs):
    """A PostgresServer in a thread of this process, on a loopback port. Any user, password and database will do."""

    choice = "fake"
    whose = "lives in this process"
    owned = True
    version = f"PostgreSQL {VERSION} (stand-in without SQL)"

    def __init__(self) -> None:
        self._script = Script()
        self._listener = Listener(_Opening(self._script))
        self._end = weakref.finalize(self, self._listener.stop)

    @property
    def dsn(self) -> str:
        return self._dsn("postgres")

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of a database of a name of its own. All databases share one script."""
        yield self._dsn(f"test_{secrets.token_hex(6)}")

    def on(self, statement: Pattern, *, times: int | None = None, parameters: Sequence[str] | None = None) -> On:
        """What to do on these statements: those of the same shape, or in which a regular expression is found, or for
        which a function of the text is true. What was said last is looked at first.

        `times`: only for so many executions. `parameters`: the types of `$1`, `$2`, ..., for clients that must know
        (asyncpg); without them a type is what a cast in the text says, else text.
        """
        return self._script.on(statement, times, parameters)

    @property
    def asked(self) -> list[Asked]:
        """The statements that were to be executed, in order (the last 10,000)."""
        return self._script.asked

    @property
    def keeps_values(self) -> bool:
        """Whether `asked` holds parameter values, as they were sent. False unless set."""
        return self._script.keeps_values

    @keeps_values.setter
    def keeps_values(self, kept: bool) -> None:
        self._script.keeps_values = kept

    def clear(self) -> None:
        """Forget the script and what was asked. Sessions go on."""
        self._script.clear()

    def stop(self) -> None:
        """End it and every session. Calling it again does nothing."""
        self._end()

    def _dsn(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._listener.port}/{database}"


class _Opening:
    """Makes sessions: process numbers ascend, as a server's do."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._post = Post()
        self._processes = count(1)

    def __call__(self) -> Session:
        secret = secrets.randbits(32)
        return Session(self._script, self._post, process=next(self._processes), secret=secret)
