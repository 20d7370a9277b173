"""What a Redis command is to the one who waits for its reply: its name, its purpose, whether it blocks, its secrets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from redis_perf.trace import Purpose

SUBSCRIBE: Final = frozenset({b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"})
UNSUBSCRIBE: Final = frozenset({b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"})

_CONTAINERS = frozenset(
    b"ACL CLIENT CLUSTER COMMAND CONFIG DEBUG FUNCTION LATENCY MEMORY MODULE OBJECT PUBSUB SCRIPT SENTINEL SLOWLOG "
    b"XGROUP XINFO".split()
)
_WHO_IS_WHERE = frozenset({"CLUSTER SLOTS", "CLUSTER SHARDS"}) | {
    f"SENTINEL {what}" for what in ("MASTERS", "MASTER", "GET-MASTER-ADDR-BY-NAME", "SLAVES", "REPLICAS", "SENTINELS")
}
_ALWAYS_SETUP = frozenset({"HELLO", "AUTH", "ASKING", "READONLY"}) | _WHO_IS_WHERE
_SETUP_AT_FIRST = frozenset({"SELECT", "READWRITE"}) | {
    f"CLIENT {what}"
    for what in ("SETINFO", "SETNAME", "MAINT_NOTIFICATIONS", "TRACKING", "CACHING", "NO-EVICT", "NO-TOUCH")
}
_TRANSACTION = frozenset({"MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"})
_BLOCKING = frozenset(
    b"BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF".split()
)  # fmt: skip
_WITH_SECRETS = frozenset({b"AUTH", b"MIGRATE", b"HELLO", b"ACL", b"CONFIG"})
_READS_STREAM = frozenset({b"XREAD", b"XREADGROUP"})


def name(argv: Sequence[bytes]) -> str:
    """`GET`, or `CLIENT SETINFO` where the first word alone says little."""
    words = argv[:2] if argv[0].upper() in _CONTAINERS else argv[:1]
    return b" ".join(words).upper().decode("ascii", "backslashreplace")


def purpose(name: str, *, first: bool, worked: bool) -> Purpose:
    """`first`: nothing was sent on this connection before. `worked`: something was that is not setup.

    A PING that comes before the handshake is the client's health check; any later one is the user's.
    """
    if name in _ALWAYS_SETUP or (not worked and _is_setup_at_first(name)) or (first and name == "PING"):
        return "setup"
    return "transaction" if name in _TRANSACTION else "work"


def _is_setup_at_first(name: str) -> bool:
    return name in _SETUP_AT_FIRST or name.split(" ", 1)[0] in ("COMMAND", "SENTINEL")


def blocks(argv: Sequence[bytes]) -> bool:
    """Whether the server may hold the reply back until something happens."""
    command = argv[0].upper()
    if command in _READS_STREAM:
        options = [word.upper() for word in argv[1:]]
        return b"BLOCK" in options[: options.index(b"STREAMS") if b"STREAMS" in options else None]
    return command in _BLOCKING


def may_have_secrets(argv: Sequence[bytes]) -> bool:
    return argv[0].upper() in _WITH_SECRETS


def without_secrets(argv: Sequence[bytes]) -> Sequence[bytes]:
    """The arguments that may be looked at: no password gets as far as a shape."""
    command, option = argv[0].upper(), argv[1].upper() if len(argv) > 1 else b""
    if command in (b"AUTH", b"MIGRATE"):
        return argv[:1]
    if command == b"HELLO" or (command == b"ACL" and option == b"SETUSER"):
        return argv[:2]
    if command == b"CONFIG" and option == b"SET":
        return [*argv[:2], *argv[2::2]]
    return argv
