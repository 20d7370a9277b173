"""A connection that breaks off. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redis_perf.proxy.faults.fault import Fault, Instead, Outcome, Request, checked_offset, cut
from redis_perf.proxy.faults.when import FIRST, When


@dataclass(frozen=True, slots=True, init=False)
class Reset(Fault):
    """The connection is reset `before` the server gets the request, `during` its reply (half of it has arrived, or
    `at_byte` of it), or `after` the server executed it, with the whole reply lost."""

    when: Literal["before", "during", "after"] = "before"
    at_byte: int | None = None

    def __init__(
        self, when: Literal["before", "during", "after"], on: When | None = None, *, at_byte: int | None = None
    ) -> None:
        if when not in ("before", "during", "after"):
            raise ValueError(f"when={when!r}: expected 'before', 'during' or 'after' the reply")
        if at_byte is not None and when != "during":
            raise ValueError(f"at_byte={at_byte!r} is an offset in the reply, which only Reset('during') has")
        checked_offset(at_byte)
        object.__setattr__(self, "on", on or FIRST)
        object.__setattr__(self, "when", when)
        object.__setattr__(self, "at_byte", at_byte)

    def instead(self, request: Request) -> Instead | None:
        return Instead(then="reset") if self.when == "before" else None

    def outcome(self, reply: bytes) -> Outcome:
        return Outcome(reply, cut(reply, self.at_byte) if self.when == "during" else b"", "reset")
