"""At which round trip a fault fires. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf.trace import Operation, Purpose


@dataclass(frozen=True, slots=True)
class When:
    """The `nth` round trip that matches, counted from when the fault is added, over all connections of the server;
    `nth` None: each one. Without a `shape` every round trip matches but those of setup."""

    shape: str = ""
    nth: int | None = 1

    def __post_init__(self) -> None:
        if self.nth is not None and (type(self.nth) is not int or self.nth < 1):
            raise ValueError(f"nth={self.nth!r}: expected 1 for the first, 2 for the second, ...")

    def matches(self, purpose: Purpose, operations: tuple[Operation, ...]) -> bool:
        if not self.shape:
            return purpose != "setup"
        return any(_begins(operation, self.shape) for operation in operations)

    def __str__(self) -> str:
        what = f"round trip with {self.shape}" if self.shape else "round trip"
        return f"each {what}" if self.nth is None else f"{what} {self.nth}"


FIRST = When()
EACH = When(nth=None)


def nth_round_trip(nth: int) -> When:
    """The n-th round trip, the first is 1. What a client sends to set itself up is not counted."""
    return When("", nth)


def every_round_trip() -> When:
    """Each round trip but those of setup, until the fault is removed."""
    return When("", None)


def nth_connection(nth: int) -> When:
    """For `Refuse`: the n-th connection from when the fault is added."""
    return When("", nth)


def command(shape: str, nth: int | None = 1) -> When:
    """The n-th round trip that executes this Redis command: `command("EVALSHA")`, `command("GET user:{}")`."""
    return When(_given(shape, "a command, as in command('EVALSHA')"), nth)


def statement(shape: str, nth: int | None = 1) -> When:
    """The n-th round trip that executes a statement beginning so: `statement("INSERT INTO messages")`."""
    return When(_given(shape, "the beginning of a statement, as in statement('INSERT')"), nth)


def _given(shape: str, expected: str) -> str:
    words = " ".join(shape.split())
    if not words:
        raise ValueError(f"{shape!r}: expected {expected}")
    return words


def _begins(operation: Operation, shape: str) -> bool:
    """By whole words, in any case."""
    wanted = f"{shape} ".upper()
    return any(f"{text} ".upper().startswith(wanted) for text in (operation.name, operation.shape))
