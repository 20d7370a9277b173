"""A container that cannot outlive us.

Found and run with testcontainers' client, but without its Ryuk: beside each container waits a small `sh` on a pipe
whose other end only this process holds. The end of the pipe, by any death of ours, SIGKILL included, makes the shell
run a Python that removes the container by its name, waiting for it where the engine was still making it. `stop()`
removes the container itself and then tells the shell that nothing is left to do.

Its port is published on 127.0.0.1 of this machine only, and stays the same when the container is restarted.
What it writes below `MEMORY` is in memory, which is 7 times faster for a database, and lost when it is killed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.conditions import Conditions
from redis_perf.servers.engine import OTHER_WAYS, engine, one_line, problems, removed
from redis_perf.servers.lifecycle import NotOurs
from redis_perf.servers.ports import TAKEN

Answer = TypeVar("Answer")

START_DEADLINE_S = 60.0
POLL_S = 0.01
LOG_TAIL_LINES = 15
LABEL = "redisperf.run"
MEMORY = "/redisperf"

_SHELL = 'read -r done || exec "$@"'
_REMOVE = "import sys; from redis_perf.servers.engine import remove; remove(sys.argv[1])"


class Container:
    """One running container; `address` is where its port is reached."""

    def __init__(self, store: str, image: str, inner: int, outer: int, command: Sequence[str], **settings: str) -> None:
        """Run it with port `inner` published at `outer`, `settings` its environment. Raises ServerUnavailable."""
        self._store = store
        self._engine = engine(store)
        self.name = f"redisperf-{secrets.token_hex(6)}"
        self._end = weakref.finalize(self, _end, self._engine, self.name, _shell(self.name))
        os.register_at_fork(after_in_child=_disowning(weakref.ref(self)))
        try:
            self._container = self._run(image, inner, outer, command, settings)
        except BaseException:
            self.stop()
            raise
        self.address = ("127.0.0.1", outer)
        self._inner = inner

    def _run(self, image: str, inner: int, outer: int, command: Sequence[str], settings: Mapping[str, str]) -> Any:
        try:
            container = self._engine.run(
                image,
                list(command),
                detach=True,
                name=self.name,
                environment=dict(settings),
                tmpfs={MEMORY: "mode=1777"},
                ports={f"{inner}/tcp": ("127.0.0.1", outer)},
                labels={LABEL: run_id(), "redisperf.pid": str(os.getpid()), "redisperf.store": self._store},
            )
            container.reload()
        except problems() as error:
            reason = one_line(error)
            taken = f" [{TAKEN}]" if "already allocated" in reason or TAKEN.lower() in reason.lower() else ""
            raise ServerUnavailable(
                f"{self._store}=docker: the engine could not run the image {image}: {reason}{taken}. Another image: "
                f"--redisperf-{self._store}=docker:NAME:TAG; other ways: {OTHER_WAYS.format(store=self._store)}"
            ) from error
        return container

    def until(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` returns once it no longer raises OSError. Raises ServerUnavailable when the container ended."""
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                return ask()
            except OSError as error:
                last = error
            if isinstance(last, ConnectionRefusedError) and _inside() and _own_address(self._container):
                self.address = (_own_address(self._container), self._inner)
            if not self.running():
                raise self.failure("ended while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"gave no answer within {START_DEADLINE_S:.0f} s (last: {last})")
            time.sleep(POLL_S)

    def running(self) -> bool:
        """Whether the engine says so: its main process has not ended."""
        self._container.reload()
        return str(self._container.status) in ("running", "paused", "restarting")

    def failure(self, what: str) -> ServerUnavailable:
        """The error to raise: what happened, and the end of the container's log."""
        try:
            log = self._container.logs(tail=LOG_TAIL_LINES).decode(errors="replace").strip()
        except problems() as error:
            log = f"(cannot be read: {one_line(error)})"
        return ServerUnavailable(f"{self._store}=docker: the container {what}; the end of its log:\n{log or '(empty)'}")

    def kill(self) -> None:
        """SIGKILL to all of it; what it had in memory is lost."""
        self._container.kill()
        self._container.wait()

    def end(self) -> None:
        """Ask it to end in good order; returns when it has."""
        self._container.stop()

    def start(self) -> None:
        """Run it again, at its port, after `kill` or `end`."""
        self._container.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        self._container.pause()
        self._paused = True

    def resume(self) -> None:
        """Let it go on."""
        self._container.unpause()

    def stop(self) -> None:
        """Remove it with its files and return when it is gone. Idempotent; does nothing in a forked child."""
        self._end()

    def disown(self) -> None:
        """Let go of the pipe without removing the container: what a forked child must do."""
        found = self._end.detach()
        if found is not None:
            _, _, (_, _, shell), _ = found
            shell.stdin.close()
            shell.returncode = 0


class OurContainer(NotOurs):
    """The lifecycle of a server in a container: it can be frozen; what else a server allows it says itself."""

    _container: Container
    _killed = _paused = False

    def __init__(self) -> None:
        self._conditions = Conditions()

    @property
    def alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self._container.running()

    def pause(self) -> None:
        """It hangs and connections stay open, until `resume`."""
        self._container.pause()
        self._paused = True

    def resume(self) -> None:
        """It goes on where it was paused."""
        self._container.resume()
        self._paused = False

    def recover(self) -> None:
        """Take back what was done to it."""
        if self._killed:
            self.start()
        if self._paused:
            self.resume()
        self._conditions.end()

    def stop(self) -> None:
        """Remove the container and return when it is gone. Idempotent."""
        self._container.stop()

    def _refusal(self, what: str) -> ServerUnavailable:
        return ServerUnavailable(
            f"a server in a container keeps its data in memory and cannot be {what}; use embedded or system for that, "
            "or faults of the proxy"
        )


def run_id() -> str:
    """The same in all workers of one xdist run."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{os.getpid()}"


def _shell(name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["sh", "-c", _SHELL, "sh", sys.executable, "-P", "-c", _REMOVE, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(client: Any, name: str, shell: subprocess.Popen[bytes]) -> None:
    """Remove the container; if the engine does not let us, leave that to the shell, which tries for a while."""
    assert shell.stdin is not None
    with contextlib.suppress(*problems()):
        removed(client.client, name)
        with contextlib.suppress(BrokenPipeError):
            shell.stdin.write(b"done\n")
            shell.stdin.flush()
    shell.stdin.close()
    shell.wait()
    client.client.close()


def _disowning(container: weakref.ref[Container]) -> Callable[[], None]:
    def disown() -> None:
        alive = container()
        if alive is not None:
            alive.disown()

    return disown


def _inside() -> bool:
    """Whether we run in a container ourselves: then the engine's loopback is not ours, but its network is."""
    return os.path.exists("/.dockerenv")


def _own_address(container: Any) -> str:
    """In the engine's network; empty when it has none there."""
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    return next((str(network["IPAddress"]) for network in networks if network["IPAddress"]), "")
