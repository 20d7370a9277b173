"""What can be done to a server that is ours: kill, start, restart, pause. Its data is what its own persistence keeps.

Address, password and directory stay the same. What a test leaves killed or paused is brought back when the next one
asks for a clean state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.conditions import Condition, Conditions
from redis_perf.servers.guard import Guard, Life
from redis_perf.servers.watched import GONE_DEADLINE_S, Watched


class Lifecycle(Protocol):
    """A server that can be ended and started again. One that is not ours raises ServerUnavailable."""

    @property
    def alive(self) -> bool:
        """Whether there is a server process, paused or not."""
        ...

    def kill(self) -> None:
        """SIGKILL, to all its processes; returns when they are gone. `start` or `restart` bring it back."""
        ...

    def start(self) -> None:
        """Start it again after `kill`, at the same address; returns when it answers."""
        ...

    def restart(self) -> None:
        """End it in good order, if it runs, and start it again; returns when it answers."""
        ...

    def pause(self) -> None:
        """SIGSTOP, to all its processes: it hangs and connections stay open, until `resume`."""
        ...

    def resume(self) -> None:
        """It goes on where it was paused."""
        ...

    @property
    def crashing(self) -> Callable[[], None]:
        """Kills it, starts it again and waits until it answers; a value that works in any process of this machine."""
        ...

    def fill_memory(self) -> Condition:
        """Writes fail for want of memory, from now on."""
        ...

    def read_only(self) -> Condition:
        """Writes are refused, from now on."""
        ...


class Crash(NamedTuple):
    """Kills and starts a server, from whatever process it is called in."""

    guard: Guard
    ask: Callable[[], object]
    """Returns once the server answers, raises OSError before."""

    def __call__(self) -> None:
        """Raises ServerUnavailable when the server does not come back, with the end of its log."""
        try:
            life = Life(self.guard)
        except OSError as error:
            raise ServerUnavailable(f"cannot kill the server: it was stopped ({error})") from error
        try:
            self.guard.tell("kill")
            if not life.ended(GONE_DEADLINE_S):
                raise self.guard.failure("was killed, but not all of its children")
            self.guard.tell("start")
            life.until(self.ask)
        finally:
            life.close()


class OurProcess:
    """The lifecycle of a server that is a process of ours. `_ask` returns once it answers, raises OSError before."""

    _watched: Watched

    def __init__(self) -> None:
        self._paused = self._killed = False
        self._conditions = Conditions()

    def _ask(self) -> Callable[[], object]:
        """A value that can be handed to another process."""
        raise NotImplementedError

    @property
    def alive(self) -> bool:
        """Whether there is a server process, paused or not."""
        return self._watched.alive

    def kill(self) -> None:
        """SIGKILL to it and all its children; returns when they are gone. Its files stay until `stop`."""
        self._watched.kill()
        self._killed, self._paused = True, False

    def start(self) -> None:
        """Start it after `kill`; returns when it answers. Raises ServerUnavailable when it runs or does not start."""
        self._watched.start(self._ask())
        self._killed = False
        self._started_anew()

    def restart(self) -> None:
        """End it in good order, if it runs, and start it; returns when it answers."""
        if self.alive:
            if self._paused:
                self.resume()
            self._end()
        self.start()

    def _end(self) -> None:
        self._watched.end()

    def pause(self) -> None:
        """SIGSTOP to it and all its children: it hangs, connections stay open."""
        self._watched.pause()
        self._paused = True

    def resume(self) -> None:
        """SIGCONT: it goes on where it was paused."""
        self._watched.resume()
        self._paused = False

    @property
    def crashing(self) -> Crash:
        """See `Lifecycle`."""
        return Crash(self._watched.guard, self._ask())

    def _started_anew(self) -> None:
        self._conditions.forget()

    def disown(self) -> None:
        """Let go of it: it was handed over to another process, by pickle, and ends with that."""
        self._watched.disown()

    def settle(self) -> None:
        """Return when all is there that it leaves to later runs."""

    def recover(self) -> None:
        """Take back what was done to it. One that died by itself stays dead: that is to be seen."""
        if self._killed:
            self.start()
        if self._paused:
            self.resume()
        self._conditions.end()


class NotOurs:
    """The lifecycle of a server that is no process of ours: each of it raises ServerUnavailable."""

    choice: str
    whose = "is not ours"
    """Why not."""

    @property
    def alive(self) -> bool:
        raise self._refusal("asked whether its process lives")

    def kill(self) -> None:
        raise self._refusal("killed")

    def start(self) -> None:
        raise self._refusal("started")

    def restart(self) -> None:
        raise self._refusal("restarted")

    def pause(self) -> None:
        raise self._refusal("paused")

    def resume(self) -> None:
        raise self._refusal("resumed")

    @property
    def crashing(self) -> Callable[[], None]:
        raise self._refusal("killed")

    def fill_memory(self) -> Condition:
        raise self._refusal("filled")

    def read_only(self) -> Condition:
        raise self._refusal("made read-only")

    def _refusal(self, what: str) -> ServerUnavailable:
        return ServerUnavailable(
            f"{self.choice} {self.whose}, so it cannot be {what}; use embedded or system, or faults of the proxy"
        )
