"""A redis-server or valkey-server of our own, run from its binary: nothing persisted, loopback and a private socket."""

from __future__ import annotations

from pathlib import Path

from redis_perf.servers import resp
from redis_perf.servers.ports import on_free_port
from redis_perf.servers.watched import Watched, run_directory


class LocalRedis:
    """A RedisServer; `unix_path` is its second address."""

    owned = True
    fake = False

    def __init__(self, choice: str, binary: Path) -> None:
        """Start it and return when it answers. Raises ServerUnavailable with the end of its log."""
        self.choice = choice
        self._binary = binary
        self._watched = on_free_port(self._start)

    def _start(self, port: int) -> Watched:
        directory = run_directory()
        self.unix_path = str(directory / "redis.sock")
        self.url = f"redis://127.0.0.1:{port}/0"
        watched = Watched(directory, [str(self._binary), *self._options(port, directory)])
        try:
            # Over the private socket: whoever answers there is ours, and has the port too or it would have ended.
            (info,) = watched.until(lambda: resp.ask(self.unix_path, ["INFO", "server"]))
        except BaseException:
            watched.stop()
            raise
        self.version = resp.version(info)
        return watched

    def _options(self, port: int, directory: Path) -> list[str]:
        options = {
            "--bind": "127.0.0.1",
            "--port": str(port),
            "--unixsocket": self.unix_path,
            "--unixsocketperm": "700",
            "--dir": str(directory),
            "--daemonize": "no",
            "--save": "",
            "--appendonly": "no",
        }
        return [word for option in options.items() for word in option]

    def reset(self) -> None:
        """Empty it, in one pipeline: keys of all databases, scripts, functions, statistics, slow log, a pause.

        Raises ServerUnavailable when it does not answer any more. Settings changed by CONFIG SET stay changed.
        """
        commands = ["CLIENT UNPAUSE", "FLUSHALL", "SCRIPT FLUSH", "CONFIG RESETSTAT", "SLOWLOG RESET"]
        if not self.version.startswith("Redis 6"):
            commands.append("FUNCTION FLUSH")
        try:
            resp.ask(self.unix_path, *map(str.split, commands))
        except OSError as error:
            raise self._watched.failure(f"does not answer any more ({error})") from error

    def stop(self) -> None:
        """End it and return when process and files are gone. Idempotent."""
        self._watched.stop()
