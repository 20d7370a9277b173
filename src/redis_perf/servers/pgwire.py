"""Administering a PostgreSQL of ours without a client library: one statement over its private unix socket.

Speaks protocol 3.0, simple queries only. The socket trusts whoever may enter its directory, so no password is sent.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import BinaryIO

from redis_perf.errors import ServerUnavailable

TIMEOUT_S = 60.0
PROTOCOL_3_0 = 196608


def execute(socket_path: str, statement: str) -> str:
    """Run one statement as `postgres` in the database `postgres`; returns the server's version (`18.4`).

    Raises OSError while the server cannot be reached or is not ready, ServerUnavailable for a refused statement.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(socket_path)
        with connection.makefile("rb") as answers:
            settings = b"user\0postgres\0database\0postgres\0application_name\0redisperf\0\0"
            connection.sendall(_message(b"", struct.pack("!I", PROTOCOL_3_0) + settings))
            version = _started(answers)
            connection.sendall(_message(b"Q", statement.encode() + b"\0"))
            _finished(answers, statement)
            connection.sendall(_message(b"X", b""))
    return version


def _started(answers: BinaryIO) -> str:
    version = ""
    for kind, body in _until_ready(answers):
        if kind == b"E":
            raise ConnectionError(f"the server is not ready: {_problem(body)}")
        if kind == b"R" and body[:4] != b"\0\0\0\0":
            raise ServerUnavailable("the server wants a password on its private socket, where it should want none")
        if kind == b"S" and body.startswith(b"server_version\0"):
            version = body.split(b"\0")[1].decode().split()[0]
    return version


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
