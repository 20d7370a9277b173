"""A redis-server or valkey-server of our own, run from its binary: on loopback and a private socket."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import resp
from redis_perf.servers.lifecycle import OurProcess
from redis_perf.servers.our_redis import OurRedis
from redis_perf.servers.ports import on_free_port
from redis_perf.servers.redis_options import RedisOptions
from redis_perf.servers.watched import Watched, run_directory

PLAIN = RedisOptions()
WITHOUT_TLS = ("Failed finding TLS support", "Bad directive or wrong number of arguments")
NO_TLS = (
    "{choice}: {binary} was built without TLS. Other ways: a redis-server with TLS on PATH (Debian's has it: apt-get "
    "install redis-server) and --redisperf-redis=system, or --redisperf-redis=docker"
)


class NoTls(ServerUnavailable):
    """This program cannot speak it."""


class LocalRedis(OurRedis, OurProcess):
    """A RedisServer; `unix_path` is its second address, `port` part of the first."""

    def __init__(
        self,
        choice: str,
        binary: Path,
        options: RedisOptions = PLAIN,
        *,
        port: int | None = None,
        furnish: Callable[[Path], None] | None = None,
    ) -> None:
        """Start it and return when it answers. Raises ServerUnavailable with the end of its log.

        At this port, or at a free one; `furnish` is called with its directory before the start, to put files there.
        """
        super().__init__()
        self.choice = choice
        self.options = options
        self._binary = binary
        self._furnish = furnish
        self._administrator_password = os.urandom(16).hex()
        self._watched = on_free_port(self._start) if port is None else self._start(port)

    def _start(self, port: int) -> Watched:
        directory = run_directory()
        self.port = port
        self.unix_path = str(directory / "redis.sock")
        authority = directory / "ca.pem" if self.options.tls else None
        self.url = self.options.url(port, authority)
        serve = [str(self._binary), str(directory / "redis.conf")]
        watched = Watched(directory, serve, furnish=self._furnished, farewell=False)
        try:
            # Over the private socket: whoever answers there is ours, and has the port too or it would have ended.
            self.version = watched.until(self._ask())
        except ServerUnavailable as failure:
            watched.stop()
            if self.options.tls and any(said in str(failure) for said in WITHOUT_TLS):
                raise NoTls(NO_TLS.format(choice=self.choice, binary=self._binary)) from failure
            raise
        except BaseException:
            watched.stop()
            raise
        return watched

    def _furnished(self, directory: Path) -> None:
        if self._furnish is not None:
            self._furnish(directory)
        if self.options.tls:
            from redis_perf.certificates import Certificates

            Certificates.make(directory)
        configuration = directory / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("\n".join(self._lines(directory)) + "\n")

    def _lines(self, directory: Path) -> Iterator[str]:
        yield "bind 127.0.0.1"
        yield f'dir "{directory}"'
        yield f'unixsocket "{self.unix_path}"'
        yield "unixsocketperm 700"
        yield 'save ""'
        if self.options.tls:
            yield from ("port 0", f"tls-port {self.port}", "tls-auth-clients no")
            yield f'tls-ca-cert-file "{directory}/ca.pem"'
            yield f'tls-cert-file "{directory}/server.pem"'
            yield f'tls-key-file "{directory}/server.key"'
        else:
            yield f"port {self.port}"
        yield from self.options.lines(self._administrator_password)

    def ask(self, *commands: Sequence[str], then: resp.Then = resp.nothing) -> list[resp.Reply]:
        """The replies, over the private socket, as somebody who may do everything; see `resp.ask`.

        Raises ServerUnavailable when it refuses a command or does not answer any more.
        """
        login = self.options.login(self._administrator_password)
        try:
            return resp.ask(self.unix_path, *login, *commands, then=then)[len(login) :]
        except OSError as error:
            raise self._watched.failure(f"does not answer any more ({error})") from error

    def _ask(self) -> Callable[[], str]:
        return partial(resp.ready, self.unix_path, self.options.login(self._administrator_password))

    def _end(self) -> None:
        """By command: a signal is noticed only ten times a second."""
        with suppress(ServerUnavailable):  # it hangs up instead of answering
            self.ask(["SHUTDOWN"])
        self._watched.gone("was told SHUTDOWN")

    def reset(self) -> None:
        """As it was when it started: no keys, scripts, functions, statistics, clients; its own settings and users.

        Killed it is started, paused it is resumed, a condition is ended. Raises ServerUnavailable when it does not
        answer any more.
        """
        self.recover()
        try:
            self._as_before()
        except ServerUnavailable:
            if not self.alive:
                raise
            self.kill()  # a password was set, for example: started anew it lets us in
            self.start()
            self._as_before()

    def stop(self) -> None:
        """End it and return when process and files are gone. Idempotent."""
        self._watched.stop()
