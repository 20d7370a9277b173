"""Administering a PostgreSQL of ours without a client library: one statement on a connection of its own.

Speaks protocol 3.0, simple queries only. A private unix socket trusts whoever may enter its directory, so no password
is sent there; a server in a container is reached over TCP and wants one (SCRAM).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from redis_perf.errors import ServerUnavailable

if TYPE_CHECKING:
    from redis_perf.servers import scram

TIMEOUT_S = 60.0
PROTOCOL_3_0 = 196608
WRITING = "-c default_transaction_read_only=off"
"""Settings of our sessions: they may write to a server that was made read-only for everybody else."""


def execute(
    address: str | tuple[str, int],
    statement: str,
    *,
    password: str = "",
    database: str = "postgres",
    options: str = WRITING,
) -> str:
    """Run one statement as `postgres`; returns the server's version (`18.4`).

    The address is a socket's path or (host, port).

    Raises OSError while the server cannot be reached or is not ready, ServerUnavailable for a refused statement.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(address)
        with connection.makefile("rb") as answers:
            settings = {"user": "postgres", "database": database, "application_name": "redisperf"}
            settings |= {"options": options} if options else {}
            words = "".join(f"{name}\0{value}\0" for name, value in settings.items())
            connection.sendall(_message(b"", struct.pack("!I", PROTOCOL_3_0) + words.encode() + b"\0"))
            version = _started(connection, answers, password)
            connection.sendall(_message(b"Q", statement.encode() + b"\0"))
            _finished(answers, statement)
            connection.sendall(_message(b"X", b""))
    return version


def _started(connection: socket.socket, answers: BinaryIO, password: str) -> str:
    version = ""
    login = _login(password) if password else None
    for kind, body in _until_ready(answers):
        if kind == b"E":
            raise ConnectionError(f"the server is not ready: {_problem(body)}")
        if kind == b"R":
            reply = _proof(login, body)
            if reply:
                connection.sendall(_message(b"p", reply))
        if kind == b"S" and body.startswith(b"server_version\0"):
            version = body.split(b"\0")[1].decode().split()[0]
    return version


def _login(password: str) -> scram.Login:
    from redis_perf.servers import scram  # not needed where the private socket trusts us

    return scram.Login(password)


def _proof(login: scram.Login | None, body: bytes) -> bytes:
    """What to answer to a request to prove who we are; nothing where it asks for nothing."""
    (request,) = struct.unpack("!I", body[:4])
    if request == 0:
        return b""
    if login is None:
        raise ServerUnavailable("the server wants a password on its private socket, where it should want none")
    if request == 10 and login.mechanism in body[4:].split(b"\0"):
        return login.mechanism + b"\0" + struct.pack("!I", len(login.first)) + login.first
    if request == 11:
        return login.final(body[4:])
    if request == 12:
        login.check(body[4:])
        return b""
    raise ServerUnavailable(f"the server wants a login we do not speak (request {request}); SCRAM-SHA-256 is spoken")


def _finished(answers: BinaryIO, statement: str) -> None:
    refusals = [_problem(body) for kind, body in _until_ready(answers) if kind == b"E"]
    if refusals:
        raise ServerUnavailable(f"the server refused {statement!r}: {refusals[0]}")


def _until_ready(answers: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = answers.read(5)
        if len(head) < 5:
            raise ConnectionError("the server closed the connection")
        kind, length = struct.unpack("!cI", head)
        body = answers.read(length - 4)
        if kind == b"Z":
            return
        yield kind, body


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _problem(body: bytes) -> str:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    return f"{fields.get(b'M', 'no message')} ({fields.get(b'C', 'no code')})"
