"""What the proxy says for itself: refusals in the protocol of the store, and a guess at a wrong one. No I/O."""

from __future__ import annotations

from typing import Final

from redis_perf.trace import Store

_POSTGRES_STARTUP: Final = (b"\x00\x03\x00", b"\x04\xd2\x16")
_CANNOT_CONNECT: Final = b"08006"
_LOOKS_LIKE: Final = (
    ((b"GET /", b"POST /", b"PUT /", b"HEAD /", b"OPTIONS ", b"DELETE /", b"HTTP/1."), "HTTP"),
    ((b"PRI * HTTP/2",), "HTTP/2"),
    ((b"\x16\x03",), "TLS"),
    ((b"SSH-",), "SSH"),
)
_REDIS_STARTS: Final = (b"*", b"PING", b"ping", b"+", b"-", b"$", b":", b"%")

NOT_TLS: Final = (
    "this port does not speak TLS, and what came looks like TLS: connect with redis://, "
    "or have the proxy speak TLS to its clients (--tls, tls=True)"
)
TLS_ALONE: Final = (
    "this port speaks TLS alone, and what came is not TLS: connect with rediss:// and the proxy's ssl_ca_certs"
)
UNENCRYPTED: Final = "unencrypted data came after the request for TLS, before it was answered"


def refusal(store: Store, text: str) -> bytes:
    """An error reply of Redis, or a fatal error of Postgres."""
    line = " ".join(text.split())
    if store == "redis":
        return f"-ERR {line}\r\n".encode()
    fields = [b"SFATAL", b"VFATAL", b"C" + _CANNOT_CONNECT, b"M" + line.encode(), b""]
    body = b"\0".join(fields) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


def looks_like(store: Store, beginning: bytes) -> str | None:
    """Which protocol these first bytes of a connection are, if it is another than this store's."""
    for starts, name in _LOOKS_LIKE:
        if beginning.startswith(starts):
            return name
    if store == "redis" and beginning[4:7] in _POSTGRES_STARTUP:
        return "Postgres"
    if store == "postgres" and beginning.startswith(_REDIS_STARTS):
        return "Redis"
    return None


def advice(guess: str) -> str:
    """What to do about a protocol that was not expected."""
    return " (the proxy can: --tls, or tls=True)" if guess == "TLS" else ""
