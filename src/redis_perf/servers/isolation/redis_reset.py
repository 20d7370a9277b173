"""A Redis as it was before the first test: empty, with its own settings and users, and nobody connected.

Two pipelines over one socket of our own. The first asks who is there and which commands were called, for only these
can have changed a setting or a user; the second takes everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from redis_perf.servers.resp import Command, Reply

Ask: TypeAlias = "Callable[..., list[Reply]]"

LOOK = (["CLIENT", "ID"], ["CLIENT", "LIST"], ["INFO", "commandstats"], ["CONFIG", "GET", "*"], ["ACL", "LIST"])
EMPTY = (
    "CLIENT UNPAUSE",
    "FLUSHALL ASYNC",
    "SLOWLOG RESET",
    "LATENCY RESET",
    "ACL LOG RESET",
    "CONFIG RESETSTAT",
)
MARK = ["ECHO", "redisperf"]
"""Left in the statistics: whoever resets these as well takes it away."""
CHANGES = frozenset({"config", "config|set", "acl", "acl|setuser", "acl|deluser", "acl|load"})
"""Commands that change settings or users; Redis 6 does not name their second word."""
REPLICATED = frozenset({"replicaof", "slaveof"})
CODE = {
    ("SCRIPT", "FLUSH"): frozenset({"script", "script|load", "eval", "eval_ro"}),
    ("FUNCTION", "FLUSH"): frozenset({"function|load", "function|restore"}),
}
"""By the commands that load it: a new interpreter takes as long as all the rest."""


class RedisReset:
    """Of one server of ours that nobody has used yet. `ask` sends a pipeline as somebody who may do everything."""

    def __init__(self, ask: Ask, version: str) -> None:
        """Raises ServerUnavailable when it does not answer."""
        self._ask = ask
        self._has_functions = not version.startswith("Redis 6")
        *_, self._settings, self._users, _ = ask(*LOOK, MARK)
        settings = _words(self._settings)
        self._clustered = ("cluster-enabled", "yes") in zip(settings[::2], settings[1::2], strict=True)
        """Then it refuses REPLICAOF."""

    def __call__(self) -> None:
        """Take everything back. Raises ServerUnavailable, also for a setting that cannot be set again."""
        self._ask(*LOOK[:3], then=self._taking_back)

    def _taking_back(self, seen: list[Reply]) -> Iterator[Command]:
        *_, me, clients, statistics = seen
        yield from _ending(_text(clients), str(me))
        yield from self._changed(_called(_text(statistics)))
        yield from map(str.split, EMPTY)
        yield MARK

    def _changed(self, called: set[str]) -> Iterator[Command]:
        doubt = "echo" not in called
        if doubt or called & CHANGES:
            settings, users = self._ask(*LOOK[3:])
            yield from _setting_back(_words(self._settings), _words(settings))
            yield from _users_back(_words(self._users), _words(users))
        if (doubt and not self._clustered) or called & REPLICATED:
            yield ["REPLICAOF", "NO", "ONE"]
        for flush, loading in CODE.items():
            if (doubt or called & (loading | REPLICATED)) and (self._has_functions or flush[0] == "SCRIPT"):
                yield flush


def _ending(clients: str, me: str) -> Iterator[Command]:
    """Those of the tests: not we, no replica or primary, no sentinel."""
    for line in clients.splitlines():
        fields = dict(field.partition("=")[::2] for field in line.split())
        ours = fields["id"] == me or fields.get("name", "").startswith("sentinel-")
        if not ours and not {*fields["flags"]} & {"S", "M"}:
            yield ["CLIENT", "KILL", "ID", fields["id"]]


def _called(statistics: str) -> set[str]:
    lines = (line for line in statistics.splitlines() if line.startswith("cmdstat_"))
    return {line.removeprefix("cmdstat_").partition(":")[0] for line in lines}


def _setting_back(before: list[str], now: list[str]) -> Iterator[Command]:
    found = dict(zip(now[::2], now[1::2], strict=True))
    for name, value in zip(before[::2], before[1::2], strict=True):
        if found.get(name) != value and name not in REPLICATED:
            yield ["CONFIG", "SET", name, value]


def _users_back(before: list[str], now: list[str]) -> Iterator[Command]:
    if before == now:
        return
    names = {line.split()[1] for line in before}
    for line in now:
        if line.split()[1] not in names:
            yield ["ACL", "DELUSER", line.split()[1]]
    for line in before:
        _, name, *rules = line.split()
        yield ["ACL", "SETUSER", name, "reset", *rules]


def _words(reply: Reply) -> list[str]:
    return [_text(word) for word in reply] if isinstance(reply, list) else []


def _text(reply: Reply) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
