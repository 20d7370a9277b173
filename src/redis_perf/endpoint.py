"""The name of a TCP connection's end, `127.0.0.1:53122`: one connection has the same two whoever looks at it."""

from __future__ import annotations

import _socket


def named(address: object) -> str | None:
    """Of a socket's address as `getsockname` gives it; None for what has no port (a Unix socket)."""
    if not isinstance(address, tuple) or len(address) < 2:
        return None
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def own_end(sock: _socket.socket) -> str | None:
    """This side's; None where there is none, or it is gone."""
    try:
        return named(sock.getsockname())
    except OSError:
        return None


def peer_end(sock: _socket.socket) -> str | None:
    """The other side's."""
    try:
        return named(sock.getpeername())
    except OSError:
        return None


def own_end_of(descriptor: int) -> str | None:
    """This side's, of a socket that only a library has."""
    try:
        sock = _socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return own_end(sock)
    finally:
        sock.detach()
