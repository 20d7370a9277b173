"""A connection to administer a PostgreSQL with, kept open: rows come back as text, an answer may be read later.

Nothing here is a client library, so nothing of it is ever counted.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias
from urllib.parse import urlsplit

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import PostgresServer, pgwire

Row: TypeAlias = "tuple[str | None, ...]"

NO_COPY = "COPY FROM STDIN reads what psql sends, and nothing is sent here; write INSERT statements (pg_dump --inserts)"


class Refused(ServerUnavailable):
    """A statement the server would not do; `code` is the SQLSTATE, `position` counts characters from 1."""

    def __init__(self, statement: str, fields: dict[str, str]) -> None:
        self.statement = statement
        self.problem = fields.get("M", "no message")
        self.code = fields.get("C", "")
        self.detail = fields.get("D", "")
        self.position = int(fields["P"]) if "P" in fields else None
        super().__init__(f"the server refused {_shortened(statement)!r}: {self.problem} ({self.code})")


class Session:
    """Simple queries, one after another, on one database of one server."""

    def __init__(self, server: PostgresServer, database: str = "postgres") -> None:
        """Connect. Raises OSError when the server cannot be reached, ServerUnavailable when it refuses us."""
        address, password = address_of(server)
        self._asked: list[str] = []
        self.deleted = 0
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._socket.settimeout(pgwire.TIMEOUT_S)
        try:
            self._socket.connect(address)
            self._answers: BinaryIO = self._socket.makefile("rb")
            names = f"user\0postgres\0database\0{database}\0application_name\0redisperf\0options\0{pgwire.WRITING}\0\0"
            self._socket.sendall(pgwire._message(b"", struct.pack("!I", pgwire.PROTOCOL_3_0) + names.encode()))
            pgwire._started(self._socket, self._answers, password)
        except BaseException:
            self._socket.close()
            raise

    def __getstate__(self) -> tuple[socket.socket, list[str]]:
        """Can be handed over to another process, which then reads the answers to what was asked last."""
        return self._socket, self._asked

    def __setstate__(self, state: tuple[socket.socket, list[str]]) -> None:
        connected, self._asked = state
        self.deleted = 0
        self._socket = connected
        self._socket.settimeout(pgwire.TIMEOUT_S)
        self._answers = connected.makefile("rb")

    def query(self, statement: str) -> list[Row]:
        """The rows of the last of these statements (`;` between them: one transaction). Raises Refused, OSError."""
        self.send(statement)
        return self.receive()

    def send(self, *statements: str) -> None:
        """Ask without waiting: the server works on them, in turn, while we do something else."""
        self._socket.sendall(b"".join(pgwire._message(b"Q", text.encode() + b"\0") for text in statements))
        self._asked += statements

    def queries(self, *statements: str) -> list[list[Row]]:
        """The rows of each, all sent at once. Raises as `query`."""
        self.send(*statements)
        return self._received()

    def receive(self) -> list[Row]:
        """Wait for all that was sent; the rows of the last. Raises the first Refused, after all have been answered."""
        received = self._received()
        return received[-1] if received else []

    def _received(self) -> list[list[Row]]:
        received: list[list[Row]] = []
        refusals: list[Refused] = []
        while self._asked:
            received.append(list(self._rows(self._asked[0], refusals)))
            del self._asked[0]
        if refusals:
            raise refusals[0]
        return received

    def close(self) -> None:
        """Leave, without waiting for anything. Idempotent."""
        self._answers.close()
        self._socket.close()

    def _rows(self, statement: str, refusals: list[Refused]) -> Iterator[Row]:
        for kind, body in pgwire._until_ready(self._answers):
            if kind == b"D":
                yield _row(body)
            elif kind == b"E":
                refusals.append(Refused(statement, _fields(body)))
            elif kind == b"C" and body.startswith(b"DELETE "):
                self.deleted += int(body[7:-1])
            elif kind == b"G":
                self._socket.sendall(pgwire._message(b"f", NO_COPY.encode() + b"\0"))


def address_of(server: PostgresServer) -> tuple[str | tuple[str, int], str]:
    """Where the superuser of a server of ours gets in, and the password: over its private socket if it has one."""
    directory, port = getattr(server, "unix_directory", None), getattr(server, "port", None)
    if directory is not None:
        return f"{directory}/.s.PGSQL.{port}", ""
    parts = urlsplit(server.dsn)
    return (parts.hostname or "127.0.0.1", parts.port or 5432), parts.password or ""


def dsn_of(server: PostgresServer, database: str) -> str:
    """As the server's own, with another database."""
    return urlsplit(server.dsn)._replace(path=f"/{database}").geturl()


def literal(text: str) -> str:
    """As a string constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _row(body: bytes) -> Row:
    (count,) = struct.unpack_from("!H", body)
    values: list[str | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return tuple(values)


def _fields(body: bytes) -> dict[str, str]:
    return {chr(field[0]): field[1:].decode(errors="replace") for field in body.split(b"\0") if field}


def _shortened(statement: str) -> str:
    return statement if len(statement) <= 200 else f"{statement[:200]}..."
