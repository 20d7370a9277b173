"""What a case is: a few lines of client code whose round trips are counted twice, by a tap and by a witness.

A case opens its own connections and closes them, so that everything it costs lies inside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SYSTEM_CALLS = "system calls"
"""strace of the client process: on each socket a run of sends followed by a receive is one round trip."""
TURNS = "delay pipe"
"""The same rule at a pipe that holds back what the server says, so that nothing arrives early; and its slope."""
SLOPE = "slope"
"""How much longer the case takes when every answer takes longer: the number of waits one after another."""

TWIN = "the same calls to a real server"
"""For a fake, which has no wire; compared without setup, since a fake shakes hands in its own way."""


@dataclass(frozen=True)
class At:
    """Where the servers of one run are; through a delay pipe the same fields name the pipe's ends."""

    redis_port: int
    redis_unix: str
    redis_password: str
    cluster_port: int
    cluster_ports: list[int]
    fake_port: int
    sentinel_port: int
    master_port: int
    tls_port: int
    tls_certificate: str
    postgres_host: str
    postgres_port: int
    postgres_unix: str
    postgres_user: str
    postgres_database: str
    scram_user: str
    scram_password: str


@dataclass(frozen=True)
class Case:
    """`counters`: the server counts the same operations as a client does (not so inside Lua, for example).

    `own_commits` are transactions the server commits here of its own accord, beside those the client asked for.
    `unseen` are round trips the tap is known not to see, and says so (the handshake of psycopg2).
    `tap`: there is one for this client; without, the proxy's numbers are what a witness is asked about.
    `hold_ms` is how long the proxy keeps answers back here: longer than what the client does side by side.
    `looks_like_work` are round trips of setup that only the driver knows as such: from outside they are work.
    `twin` names the case that makes the same calls to a real server. `needs` names a feature of the run (`"tls"`,
    `"cluster"`) or a module; without it the case is skipped.
    """

    name: str
    store: str
    client: str
    mode: str
    run: Callable[[At], object]
    witness: str
    before: Callable[[At], object] | None
    needs: tuple[str, ...]
    counters: bool
    latencies_ms: tuple[int, int]
    twin: str
    own_commits: int
    unseen: int
    tap: bool
    hold_ms: int
    looks_like_work: int
    note: str


CASES: dict[str, Case] = {}


def case(
    store: str,
    client: str,
    mode: str,
    *,
    witness: str = SYSTEM_CALLS,
    before: Callable[[At], object] | None = None,
    needs: tuple[str, ...] = (),
    counters: bool = True,
    latencies_ms: tuple[int, int] = (20, 160),
    twin: str = "",
    own_commits: int = 0,
    unseen: int = 0,
    tap: bool = True,
    hold_ms: int = 3,
    looks_like_work: int = 0,
    note: str = "",
) -> Callable[[Callable[[At], Any]], Callable[[At], Any]]:
    """Register a function as the case of its own name."""

    def register(run: Callable[[At], Any]) -> Callable[[At], Any]:
        name = run.__name__
        assert name not in CASES, f"two cases are called {name}"
        unheard = f"the tap does not see the handshake: {unseen} more, which the proxy sees" if unseen else ""
        if looks_like_work:
            unheard = f"{looks_like_work} of setup are statements of the driver's own, which the proxy takes for work"
        CASES[name] = Case(
            name,
            store,
            client,
            mode,
            run,
            witness,
            before,
            needs,
            counters and witness != TWIN,
            latencies_ms,
            twin,
            own_commits,
            unseen,
            tap,
            hold_ms,
            looks_like_work,
            note or unheard,
        )
        return run

    return register
