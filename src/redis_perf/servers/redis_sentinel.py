"""A primary, its replica and a Sentinel that watches them: one decides alone, and fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import resp
from redis_perf.servers.lifecycle import OurProcess
from redis_perf.servers.local_redis import PLAIN, LocalRedis
from redis_perf.servers.ports import on_free_port
from redis_perf.servers.redis_options import RedisOptions, quoted
from redis_perf.servers.watched import Watched, run_directory

SERVICE = "redisperf"
# Sentinel looks at things every second or ten and waits for seconds, as befits machines far apart.
HURRY = ("INFO-PERIOD", "100", "PING-PERIOD", "100", "ASK-PERIOD", "100", "PUBLISH-PERIOD", "100")
# Otherwise the replica looks once a second whether it has all of a file.
IN_STEP_AT_ONCE = {"repl-diskless-sync-delay": "0", "repl-diskless-load": "swapdb"}
DOWN_AFTER_MS = 500
FAILOVER_TIMEOUT_MS = 2000
AGREED_DEADLINE_S = 30.0
POLL_S = 0.005


class Sentinel(OurProcess):
    """The process that watches; can be killed and paused like a server."""

    def __init__(self, binary: Path, primary: LocalRedis) -> None:
        """Start it and return when it answers. Raises ServerUnavailable with the end of its log."""
        super().__init__()
        self._binary = binary
        self._primary = primary
        self._watched = on_free_port(self._start)

    def ask(self, *commands: list[str]) -> list[resp.Reply]:
        """Its replies. Raises ServerUnavailable when it refuses a command or does not answer."""
        try:
            return resp.ask(("127.0.0.1", self.port), *commands)
        except OSError as error:
            raise self._watched.failure(f"does not answer any more ({error})") from error

    def stop(self) -> None:
        """End it and return when process and files are gone. Idempotent."""
        self._watched.stop()

    def _start(self, port: int) -> Watched:
        self.port = port
        directory = run_directory()
        serve = [str(self._binary), str(directory / "sentinel.conf"), "--sentinel"]
        watched = Watched(directory, serve, furnish=self._furnish, farewell=False)
        try:
            watched.until(self._ask())
        except BaseException:
            watched.stop()
            raise
        return watched

    def _ask(self) -> Callable[[], object]:
        return partial(_hurry, ("127.0.0.1", self.port))

    def _furnish(self, directory: Path) -> None:
        configuration = directory / "sentinel.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("\n".join(self._lines(directory)) + "\n")

    def _lines(self, directory: Path) -> Iterator[str]:
        options = self._primary.options
        yield "bind 127.0.0.1"
        yield f"port {self.port}"
        yield f'dir "{directory}"'
        yield f"sentinel monitor {SERVICE} 127.0.0.1 {self._primary.port} 1"
        yield f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}"
        yield f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}"
        if options.password:
            yield f"sentinel auth-pass {SERVICE} {quoted(options.password)}"
        if options.user:
            yield f"sentinel auth-user {SERVICE} {options.user}"


class RedisSentinel:
    """`servers`, of which one is the `primary` and the other its `replica`; `sentinels` is what clients are given, and
    `service` the name they ask for: `redis.sentinel.Sentinel(setup.sentinels).master_for(setup.service)`."""

    owned = True
    fake = False
    service = SERVICE

    def __init__(self, choice: str, binary: Path, options: RedisOptions = PLAIN) -> None:
        """Start all three and return when the Sentinel knows both servers and they are in step.

        Raises ServerUnavailable.
        """
        if options.tls or options.user:
            raise ServerUnavailable(f"{choice}: servers under a Sentinel of ours have a password at most")
        self.choice = choice
        self.password = options.password
        """Of both servers; the Sentinel asks for none."""
        self._binary = binary
        settings = {**IN_STEP_AT_ONCE, **options.settings}
        if options.password:
            settings["masterauth"] = quoted(options.password)
        self._options = options._replace(settings=settings)
        self._running: list[LocalRedis | Sentinel] = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        self.version = self.servers[0].version

    def _start(self) -> None:
        first = self._server()
        self.sentinel = Sentinel(self._binary, first)
        self._running.append(self.sentinel)
        second = self._server()
        second.ask(["REPLICAOF", "127.0.0.1", str(first.port)], ["CONFIG", "REWRITE"])
        self.servers = (first, second)
        self._until(self._agreed)

    def _server(self) -> LocalRedis:
        server = LocalRedis(self.choice, self._binary, self._options)
        self._running.append(server)
        return server

    @property
    def sentinels(self) -> list[tuple[str, int]]:
        """Hosts and ports; one."""
        return [("127.0.0.1", self.sentinel.port)]

    @property
    def url(self) -> str:
        """Of the primary there is now."""
        return self.primary.url

    @property
    def primary(self) -> LocalRedis:
        """The one that takes writes now, as the Sentinel says. Raises ServerUnavailable if it does not answer."""
        (address,) = self.sentinel.ask(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])
        assert isinstance(address, list)
        port = int(address[1]) if isinstance(address[1], bytes) else 0
        return next(server for server in self.servers if server.port == port)

    @property
    def replica(self) -> LocalRedis:
        """The other one."""
        primary = self.primary
        return next(server for server in self.servers if server is not primary)

    def failover(self) -> None:
        """The replica becomes the primary; returns when both servers and the Sentinel have arranged themselves.

        As when the Sentinel finds the primary dead, but at once. Raises ServerUnavailable when it does not work.
        """
        before = self.primary
        self._until(self._accepts_failover)
        self._until(lambda: self.primary is not before and self._agreed())

    def reset(self) -> None:
        """Bring back whoever was killed or paused and empty both; returns when they are in step."""
        for process in self._running:
            process.recover()
        self._until(self._agreed)
        self.primary.reset()
        self.replica.ask(["SCRIPT", "FLUSH"], ["CONFIG", "RESETSTAT"], ["SLOWLOG", "RESET"])
        self._until(self._in_step)

    def stop(self) -> None:
        """End all three and return when they and their files are gone. Idempotent."""
        for process in reversed(self._running):
            process.stop()

    def _accepts_failover(self) -> bool:
        try:
            self.sentinel.ask(["SENTINEL", "FAILOVER", SERVICE])
        except ServerUnavailable as refusal:
            if any(code in str(refusal) for code in ("INPROG", "NOGOODSLAVE")):
                return False
            raise
        return True

    def _agreed(self) -> bool:
        """Whether the Sentinel sees a primary and a replica, well and at rest, and they see each other."""
        (about_primary,), (about_replicas,) = (
            self.sentinel.ask(["SENTINEL", question, SERVICE]) for question in ("MASTER", "SLAVES")
        )
        assert isinstance(about_replicas, list)
        flags = [_fields(about)[b"flags"] for about in (about_primary, *about_replicas)]
        return flags == [b"master", b"slave"] and self._in_step()

    def _in_step(self) -> bool:
        """Whether the replica has all that the primary has."""
        servers = self.primary, self.replica
        try:
            primary, replica = (server.ask(["ROLE"])[0] for server in servers)
        except ServerUnavailable:
            if all(server.alive for server in servers):
                return False  # a Sentinel that gives a server its part hangs up on all its clients, us among them
            raise
        assert isinstance(primary, list)
        assert isinstance(replica, list)
        linked = primary[0] == b"master" and replica[0] == b"slave" and replica[3] == b"connected"
        return linked and replica[4] == primary[1]

    def _until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + AGREED_DEADLINE_S
        while not happened():
            if time.monotonic() > deadline:
                said = self.sentinel.ask(["SENTINEL", "MASTER", SERVICE])[0]
                raise ServerUnavailable(
                    f"{self.choice}: the Sentinel and its servers are not at rest after {AGREED_DEADLINE_S:.0f} s; "
                    f"it says: {_fields(said)}"
                )
            time.sleep(POLL_S)


def _hurry(address: resp.Address) -> None:
    resp.ask(address, ["PING"])
    with suppress(ServerUnavailable):  # before Redis 7 it cannot be told to: then it takes its time
        resp.ask(address, ["SENTINEL", "DEBUG", *HURRY])


def _fields(about: resp.Reply) -> dict[bytes, bytes]:
    assert isinstance(about, list)
    words = [word for word in about if isinstance(word, bytes)]
    return dict(zip(words[::2], words[1::2], strict=True))
