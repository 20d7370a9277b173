"""What one number may be: a plain int is the most, a `Limit` says more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from redis_perf.network import duration_ns, round_trip_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one number may be. `low` is None where only the upper end was given.

    `cold` is the upper end for a block that did what only a first run does, see `warm`.
    """

    low: int | None = None
    high: int
    cold: int | None = None

    def allows(self, seen: int, *, cold: bool = False) -> bool:
        high = self.high if self.cold is None or not cold else self.cold
        return (self.low or 0) <= seen <= high

    @property
    def names_zero(self) -> bool:
        """Whether zero was asked for, not merely not excluded."""
        return self.high == 0 or self.low == 0

    def __str__(self) -> str:
        if self.cold is not None:
            return f"{self.high} ({self.cold} when cold)"
        if self.low is None:
            return str(self.high)
        return f"exactly {self.high}" if self.low == self.high else f"{self.low} to {self.high}"


def exactly(n: int) -> Limit:
    """This many, neither more nor fewer. Raises TypeError or ValueError unless `n` is an int of 0 or more."""
    n = _number("exactly", "n", n)
    return Limit(low=n, high=n)


def at_most(n: int) -> Limit:
    """Up to this many; the same as the plain int. Raises TypeError or ValueError unless `n` is an int of 0 or more."""
    return Limit(high=_number("at_most", "n", n))


def between(a: int, b: int) -> Limit:
    """From `a` to `b`, both included. Raises TypeError or ValueError unless they are ints and 0 <= a <= b."""
    a, b = _number("between", "a", a), _number("between", "b", b)
    if a > b:
        raise ValueError(f"between({a}, {b}): expected the smaller number first")
    return Limit(low=a, high=b)


def warm(n: int, *, cold: int) -> Limit:
    """Up to `n`, or up to `cold` if the block opened a connection, loaded a script or prepared a statement.

    For code whose first run costs more, in tests whose order is not known. Raises TypeError or ValueError unless they
    are ints and 0 <= n <= cold.
    """
    n, cold = _number("warm", "n", n), _number("warm", "cold", cold)
    if n > cold:
        raise ValueError(f"warm({n}, cold={cold}): expected a first run to cost no less")
    return Limit(high=n, cold=cold)


Amount: TypeAlias = int | Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLimit:
    """The most that waiting may take where one round trip takes `round_trip_ns`."""

    most_ns: int
    round_trip_ns: int

    @classmethod
    def of(cls, latency: str | LatencyLimit) -> LatencyLimit:
        """`5ms@2ms`, `5ms@cross-zone`. Raises TypeError or ValueError with a sentence that says what was expected."""
        if isinstance(latency, LatencyLimit):
            return latency
        if not isinstance(latency, str):
            raise TypeError(f"latency={latency!r}: {_LATENCY_EXPECTED}")
        most, at, network = (part.strip() for part in latency.partition("@"))
        try:
            if at:
                return cls(most_ns=duration_ns(most), round_trip_ns=round_trip_ns(network))
        except ValueError as error:
            raise ValueError(f"latency={latency!r}: {error}") from None
        raise ValueError(f"latency={latency!r}: {_LATENCY_EXPECTED}")


_LATENCY_EXPECTED = "expected a time at a round-trip time, such as 5ms@2ms"
EXPECTED = "expected an int of 0 or more, exactly(n), at_most(n), between(a, b)"


def _number(function: str, argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{function}({argument}={value!r}): expected an int of 0 or more")
    if value < 0:
        raise ValueError(f"{function}({argument}={value!r}): expected an int of 0 or more")
    return value


def as_limit(function: str, argument: str, value: object) -> Limit:
    """What the user gave for `argument`, as a Limit. Raises TypeError or ValueError with a sentence naming it."""
    if isinstance(value, Limit):
        return value
    or_spend = " or Spend(...)" if function == "Budget" and argument != "depth" else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{function}({argument}={value!r}): {EXPECTED}{or_spend}")
    if value < 0:
        raise ValueError(f"{function}({argument}={value!r}): {EXPECTED}{or_spend}")
    return Limit(high=value)
