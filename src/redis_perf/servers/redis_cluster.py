"""A Redis Cluster of three primaries on loopback, ready in about 0.1 s.

A primary that starts refuses to serve for two seconds, lest it be one that others have replaced. A replica does not
wait, nor does one that takes over from its primary. So each node starts as the replica of a ghost: a primary that
exists only in the configuration it finds, and owns its third of the slots. The node takes over, then all forget the
ghosts, and nothing tells the cluster from any other.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis_perf.errors import ServerUnavailable
from redis_perf.own_children import own_children
from redis_perf.servers import installed
from redis_perf.servers.local_redis import PLAIN, LocalRedis
from redis_perf.servers.ports import free_port, on_free_port
from redis_perf.servers.redis_options import RedisOptions

SLOTS = ("0-5460", "5461-10922", "10923-16383")
KNOWS_SHARDS = (7, 2)
NOBODY = "127.0.0.1:1@1"
# Until every node knows of every take-over: half of the time-out is how soon a node asks another once more.
AT_FIRST = {"cluster-node-timeout": "1000", "cluster-require-full-coverage": "no"}
LATER = {"cluster-node-timeout": "5000", "cluster-require-full-coverage": "yes"}
AGREED_DEADLINE_S = 30.0
POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class _Seat:
    """One node, before it runs."""

    slots: str
    port: int
    bus_port: int = field(default_factory=free_port)
    node: str = field(default_factory=partial(secrets.token_hex, 20))
    ghost: str = field(default_factory=partial(secrets.token_hex, 20))
    shard: str = field(default_factory=partial(secrets.token_hex, 20))

    def lines(self, epoch: int, *, myself: bool, shards: bool) -> Iterator[str]:
        """Of `nodes.conf`: the ghost, and the node as its replica."""
        shard = f",,shard-id={self.shard}" if shards else ""
        flags = "myself,slave" if myself else "slave"
        yield f"{self.ghost} {NOBODY}{shard} master - 0 0 {epoch} disconnected {self.slots}"
        yield f"{self.node} 127.0.0.1:{self.port}@{self.bus_port}{shard} {flags} {self.ghost} 0 0 {epoch} connected"


class RedisCluster:
    """Three `nodes`, each of which can be killed, paused and restarted. `url` is the first one's: clients find the
    others. A node that was restarted serves after two seconds."""

    owned = True
    fake = False

    def __init__(self, choice: str, binary: Path, options: RedisOptions = PLAIN) -> None:
        """Start it and return when all nodes agree that it is well. Raises ServerUnavailable."""
        if options.tls:
            raise ServerUnavailable(f"{choice}: a Redis Cluster of ours does not speak TLS; a single server does")
        self.choice = choice
        self._binary = binary
        self._shards = installed.version(binary) >= KNOWS_SHARDS
        self._options = options
        self.nodes: tuple[LocalRedis, ...] = on_free_port(self._start)
        try:
            self._take_over()
        except BaseException:
            self.stop()
            raise
        self.version = self.nodes[0].version

    @property
    def url(self) -> str:
        """Of one node; a client learns the rest from it."""
        return self.nodes[0].url

    def reset(self) -> None:
        """Bring back all nodes and empty them; returns when the cluster is well. Raises ServerUnavailable."""
        for node in self.nodes:
            node.reset()
        self._until(self._agreed)

    def stop(self) -> None:
        """End all nodes and return when they and their files are gone. Idempotent."""
        for node in self.nodes:
            node.stop()

    def _start(self, port: int) -> tuple[LocalRedis, ...]:
        ports = (port, free_port(), free_port())
        self._seats = tuple(_Seat(slots, port) for slots, port in zip(SLOTS, ports, strict=True))
        with ThreadPoolExecutor(len(SLOTS)) as threads:
            starting = [threads.submit(self._node, seat) for seat in self._seats]
        try:
            return tuple(node.result() for node in starting)
        except ServerUnavailable:
            for node in starting:
                with suppress(ServerUnavailable):
                    node.result().stop()
            raise

    def _node(self, seat: _Seat) -> LocalRedis:
        settings = {
            **self._options.settings,
            "cluster-enabled": "yes",
            "cluster-port": str(seat.bus_port),
            **AT_FIRST,
        }
        options = self._options._replace(settings=settings)
        with own_children():  # known for each thread
            return LocalRedis(
                self.choice, self._binary, options, port=seat.port, furnish=lambda place: self._furnish(place, seat)
            )

    def _furnish(self, directory: Path, own: _Seat) -> None:
        lines = [
            line
            for epoch, seat in enumerate(self._seats, 1)
            for line in seat.lines(epoch, myself=seat is own, shards=self._shards)
        ]
        lines.append(f"vars currentEpoch {len(self._seats)} lastVoteEpoch 0")
        (directory / "nodes.conf").write_text("\n".join(lines) + "\n")

    def _take_over(self) -> None:
        for node in self.nodes:
            self._until(lambda: _is_well(node))  # noqa: B023  called at once
            node.ask(["CLUSTER", "FAILOVER", "TAKEOVER"])
        for node in self.nodes:
            node.ask(*(["CLUSTER", "FORGET", seat.ghost] for seat in self._seats))
        self._until(self._agreed)
        for node in self.nodes:
            node.ask(*(["CONFIG", "SET", *setting] for setting in LATER.items()), ["CONFIG", "REWRITE"])

    def _agreed(self) -> bool:
        """Whether all nodes are well and know who has which slots."""
        views = [_owners(node) for node in self.nodes]
        wanted = sorted((seat.slots, seat.port) for seat in self._seats)
        return all(view == wanted for view in views) and all(map(_is_well, self.nodes))

    def _until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + AGREED_DEADLINE_S
        while not happened():
            if time.monotonic() > deadline:
                said = self.nodes[0].ask(["CLUSTER", "NODES"])[0]
                raise ServerUnavailable(
                    f"{self.choice}: the nodes of the cluster do not agree after {AGREED_DEADLINE_S:.0f} s: {said!r}"
                )
            time.sleep(POLL_S)


def _is_well(node: LocalRedis) -> bool:
    said = node.ask(["CLUSTER", "INFO"])[0]
    return isinstance(said, bytes) and b"cluster_state:ok" in said


def _owners(node: LocalRedis) -> list[tuple[str, int]]:
    """Slots and ports, as this node knows them."""
    ranges = node.ask(["CLUSTER", "SLOTS"])[0]
    assert isinstance(ranges, list)
    return sorted((f"{first}-{last}", owner[1]) for first, last, owner, *_ in map(_listed, ranges))


def _listed(reply: object) -> list[Any]:
    assert isinstance(reply, list)
    return reply
