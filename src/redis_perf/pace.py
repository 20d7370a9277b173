"""A network's latency where there is none: how much longer a reply takes for clients that are slowed down in process.

Only a blocking client can be: it waits where it is, and nothing else of its thread is kept from going on. Counts are
the same with and without.
"""

from __future__ import annotations

import os
from functools import partial
from time import monotonic_ns, sleep
from typing import Final

from redis_perf.conversation import Conversation

POLLED_NS: Final = 120_000
"""A sleeper is woken late by up to this much, so the last stretch is spent looking at the clock."""
_let_others_run: Final = getattr(os, "sched_yield", partial(sleep, 0))
"""To sleep for no time is to sleep for the kernel's slack, 50 us."""


class Pace:
    """One for the process: taps ask it, whoever is to slow things down sets it."""

    def __init__(self) -> None:
        self.latency_ns = 0
        """Added to each reply, once for each round trip."""
        self.elsewhere: set[str] = set()
        """Servers whose replies take longer on their way already (`"127.0.0.1:6390"`): the doors of a proxy."""
        self.slowed: set[int] = set()
        """The connections that were slowed down here."""

    def hold_back(self, conversation: Conversation) -> None:
        """The first of a reply has come: return when it would have."""
        if conversation.server in self.elsewhere:
            return
        due_ns = monotonic_ns() + self.latency_ns
        self.slowed.add(conversation.connection)
        left_ns = self.latency_ns - POLLED_NS
        if left_ns > 0:
            sleep(left_ns / 1e9)
        while monotonic_ns() < due_ns:
            _let_others_run()
