"""One thread, one epoll: wakes handlers of sockets, and releases what was kept back when its time has come.

Handlers of clients run before those of servers, and both before anything is released: what a client has sent by then
was sent without it. epoll rounds waiting times to milliseconds, `select` on the epoll's own descriptor does not; the
last stretch is spent polling, for a sleeper is woken late.

While answers and requests follow each other closely it polls between them too, for being woken twice costs more than
all else the proxy does. It stops as soon as one wait was in vain.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
from bisect import insort
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from time import monotonic_ns
from typing import Final, Protocol, TypeAlias

from redis_perf.errors import ServerUnavailable

Handler: TypeAlias = Callable[[int], None]
"""Called with the epoll events of its socket."""

READ: Final = getattr(select, "EPOLLIN", 1)
WRITE: Final = getattr(select, "EPOLLOUT", 4)
POLLED_NS = 200_000
"""Before something is due: sleepers are woken so late."""
BUSY_NS = 100_000
"""A shorter wait is spent polling, if the one before was as short."""
QUIET_NS = 2_000_000
LEAD_NS = 60_000
"""At most so much earlier than due is something released, for handing it over takes a while too."""
DRAINING_TURNS = 4
"""From a connection being accepted to its end being passed on; without end it would be under load."""
_SET_TIMER_SLACK = 29


class Keeper(Protocol):
    """Has something to release."""

    def release(self, now_ns: int) -> None: ...


class Background(Protocol):
    """Work that can wait."""

    @property
    def unread(self) -> bool: ...
    @property
    def pressing(self) -> bool: ...
    def read_some(self) -> None: ...


class Loop:
    """Runs until `running` is false."""

    def __init__(self, background: Background) -> None:
        if not hasattr(select, "epoll"):
            raise ServerUnavailable("the proxy needs epoll, which only Linux has; in-process taps work everywhere")
        self.running = True
        self._background = background
        self._epoll = select.epoll()
        self._first: dict[int, Handler] = {}
        self._second: dict[int, Handler] = {}
        self._masks: dict[int, int] = {}
        self._kept: deque[tuple[int, Keeper]] = deque()
        self._newest_ns = 0  # when the last that was kept is due
        self.lead_ns = 0
        """How long it took of late to hand over what was released."""
        self._busy = False
        self._may_poll = len(os.sched_getaffinity(0)) > 1  # on a single core nobody answers while this polls

    def watch(self, descriptor: int, mask: int, handler: Handler, *, first: bool) -> None:
        """Call `handler` when the socket is ready for any of `mask`; 0: not for now."""
        (self._first if first else self._second)[descriptor] = handler
        self.change(descriptor, mask)

    def change(self, descriptor: int, mask: int) -> None:
        """From now on wait for these. With 0 the socket is not even looked at for errors."""
        known = self._masks.get(descriptor, 0)
        if mask and known:
            self._epoll.modify(descriptor, mask)
        elif mask:
            self._epoll.register(descriptor, mask)
        elif known:
            self._epoll.unregister(descriptor)
        self._masks[descriptor] = mask

    def forget(self, descriptor: int) -> None:
        """The socket is about to be closed."""
        if self._masks.pop(descriptor, 0):
            self._epoll.unregister(descriptor)
        self._first.pop(descriptor, None)
        self._second.pop(descriptor, None)

    def keep(self, due_ns: int, keeper: Keeper) -> int:
        """Call `keeper.release` then, but not before what was kept earlier is released. Returns when that is."""
        due_ns = self._newest_ns = max(due_ns, self._newest_ns)
        if self._kept and self._kept[-1][0] > due_ns:  # a later `wake`
            self.wake(due_ns, keeper)
        else:
            self._kept.append((due_ns, keeper))
        return due_ns

    def wake(self, at_ns: int, keeper: Keeper) -> None:
        """Call `keeper.release` then, whatever else is kept."""
        insort(self._kept, (at_ns, keeper), key=itemgetter(0))

    def run(self) -> None:
        _wake_in_time()
        while self.running:
            self.turn(self._wait())

    def turn(self, ready: list[tuple[int, int]]) -> None:
        """Handle these events, then release what is due."""
        first, second = self._first, self._second
        for descriptor, events in ready:
            handler = first.get(descriptor)
            if handler is not None:
                handler(events)
        for descriptor, events in ready:
            handler = second.get(descriptor)
            if handler is not None:
                handler(events)
        if self._kept and self._kept[0][0] <= monotonic_ns():
            self._release()
        if self._background.pressing:
            self._background.read_some()

    def drain(self) -> None:
        """Handle everything that has happened by now."""
        for _ in range(DRAINING_TURNS):
            self.turn(self._epoll.poll(0))

    def _release(self) -> None:
        """What clients have sent up to now comes first: it was sent without what is released."""
        now_ns = monotonic_ns()
        for descriptor, events in self._epoll.poll(0):
            handler = self._first.get(descriptor)
            if handler is not None:
                handler(events)
        self._kept.popleft()[1].release(now_ns)
        self.lead_ns += (min(monotonic_ns() - now_ns, LEAD_NS) - self.lead_ns) // 8
        while self._kept and self._kept[0][0] <= now_ns:
            self._kept.popleft()[1].release(now_ns)

    def _wait(self) -> list[tuple[int, int]]:
        if self._kept:
            return self._wait_until(self._kept[0][0])
        ready = self._epoll.poll(0)
        if ready:
            return ready
        began_ns = monotonic_ns()
        while self._busy and not ready:
            ready = self._epoll.poll(0)
            self._busy = monotonic_ns() - began_ns < BUSY_NS
        if not ready:
            ready = self._sleep()
            self._busy = self._may_poll and monotonic_ns() - began_ns < BUSY_NS
        return ready

    def _sleep(self) -> list[tuple[int, int]]:
        """Until something happens; meanwhile what is unread is read."""
        if not self._background.unread:
            return self._epoll.poll()
        ready = self._epoll.poll(QUIET_NS / 1e9)
        while not ready and self._background.unread:
            self._background.read_some()
            ready = self._epoll.poll(0)
        return ready

    def _wait_until(self, due_ns: int) -> list[tuple[int, int]]:
        left_ns = due_ns - monotonic_ns() - POLLED_NS
        if left_ns > QUIET_NS and self._background.unread:
            ready = self._epoll.poll(0)
            if not ready:
                self._background.read_some()
            return ready
        if left_ns > 0:
            select.select([self._epoll.fileno()], (), (), left_ns / 1e9)
        return self._epoll.poll(0)


def _wake_in_time() -> None:
    """The kernel may wake a sleeper 50 us late to save power; ask it not to."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1, 0, 0, 0)
