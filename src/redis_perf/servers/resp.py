"""Asking a Redis a few questions without a client library: one connection, a pipeline or two, closed again."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from redis_perf.errors import ServerUnavailable

if TYPE_CHECKING:
    import ssl

Address: TypeAlias = "str | tuple[str, int]"
Reply: TypeAlias = "bytes | int | list[Reply] | None"
Command: TypeAlias = "Sequence[str]"
Then: TypeAlias = "Callable[[list[Reply]], Iterable[Command]]"

TIMEOUT_S = 10.0


def nothing(_: list[Reply]) -> tuple[()]:
    """No more is to be sent."""
    return ()


def ask(
    address: Address, *commands: Sequence[str], tls: ssl.SSLContext | None = None, then: Then = nothing
) -> list[Reply]:
    """The replies to these commands, sent as one pipeline to a socket path or (host, port).

    What `then` makes of them is sent as another one, over the same connection; its replies are only looked at.

    Raises OSError when it cannot be reached or does not answer in time, ServerUnavailable for an error reply.
    """
    with _connect(address, tls) as connection, connection.makefile("rb") as replies:
        answers = _answers(connection, replies, commands)
        _answers(connection, replies, [*then(answers)])
        return answers


def _answers(connection: socket.socket, replies: BinaryIO, commands: Sequence[Command]) -> list[Reply]:
    if commands:
        connection.sendall(b"".join(map(_encoded, commands)))
    return [_reply(replies, command[0]) for command in commands]


def ready(address: Address, login: Sequence[Sequence[str]]) -> str:
    """The version of a server that has loaded its data. Raises OSError before, ServerUnavailable as `ask` does."""
    *_, info, persistence = ask(address, *login, ["INFO", "server"], ["INFO", "persistence"])
    if isinstance(persistence, bytes) and b"\nloading:1\r" in persistence:
        raise ConnectionError("the server still loads its data")
    return version(info)


def version(info: Reply) -> str:
    """`Valkey 9.1.2` or `Redis 7.0.15`, from the reply to INFO server."""
    text = info.decode() if isinstance(info, bytes) else ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if "valkey_version" in fields:
        return f"Valkey {fields['valkey_version']}"
    if "redis_version" in fields:
        return f"Redis {fields['redis_version']}"
    raise ServerUnavailable("the server's INFO has neither valkey_version nor redis_version")


def _connect(address: Address, tls: ssl.SSLContext | None) -> socket.socket:
    if isinstance(address, tuple):
        connection = socket.create_connection(address, TIMEOUT_S)
        return tls.wrap_socket(connection, server_hostname=address[0]) if tls else connection
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(TIMEOUT_S)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _encoded(command: Sequence[str]) -> bytes:
    words = [word.encode(errors="surrogateescape") for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _reply(replies: BinaryIO, command: str) -> Reply:
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError(f"the server closed the connection instead of answering {command}")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise ServerUnavailable(f"the server refused {command}: {rest.decode(errors='replace')}")
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind not in (b"$", b"*"):
        raise ServerUnavailable(f"the server's answer to {command} is not Redis protocol: {line[:40]!r}")
    length = int(rest)
    if length < 0:
        return None
    if kind == b"$":
        return replies.read(length + 2)[:-2]
    return [_reply(replies, command) for _ in range(length)]
