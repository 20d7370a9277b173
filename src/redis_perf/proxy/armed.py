"""The faults that lie in wait in the proxy process, and how often each has fired."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from redis_perf.proxy.faults import Fault
from redis_perf.trace import Operation, Purpose


class Armed:
    """One fault and its count."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.fired = 0
        self.lifted = False
        self._seen = 0
        self._hung: list[Callable[[], None]] = []

    def takes(self, purpose: Purpose, operations: tuple[Operation, ...]) -> bool:
        """Whether it befalls this round trip; counts it."""
        return self.fault.on.matches(purpose, operations) and self.next()

    def next(self) -> bool:
        """Whether it befalls the next of those that match."""
        self._seen += 1
        return self.fault.on.nth in (None, self._seen)

    def until_lifted(self, go_on: Callable[[], None]) -> None:
        self._hung.append(go_on)

    def lift(self) -> None:
        """It is removed: what hangs goes on."""
        self.lifted = True
        hung, self._hung = self._hung, []
        for go_on in hung:
            go_on()


class Ambush:
    """The faults of one server, in the order they were added. Empty is false."""

    def __init__(self) -> None:
        self._armed: dict[int, Armed] = {}

    def __bool__(self) -> bool:
        return bool(self._armed)

    def add(self, key: int, fault: Fault) -> None:
        self._armed[key] = Armed(fault)

    def fired(self, key: int) -> int:
        return self._armed[key].fired

    def remove(self, key: int) -> int:
        """Returns how often it has fired."""
        armed = self._armed.pop(key)
        armed.lift()
        return armed.fired

    def befalls(self, purpose: Purpose, operations: tuple[Operation, ...]) -> Armed | None:
        """The fault that befalls this round trip, the earliest if there are several; all of them count it."""
        return _first([armed for armed in self._of(refusing=False) if armed.takes(purpose, operations)])

    def refuses(self) -> bool:
        """Whether a new connection is refused."""
        return _first([armed for armed in self._of(refusing=True) if armed.next()]) is not None

    def _of(self, *, refusing: bool) -> Iterator[Armed]:
        return (armed for armed in self._armed.values() if armed.fault.refuses() == refusing)


def _first(firing: list[Armed]) -> Armed | None:
    for armed in firing[:1]:
        armed.fired += 1
        return armed
    return None
