"""One round trip as a value, with what it says of itself: where it was spent, by which calls, what it asked.

What a round trip is: see `redis_perf.conversation`, which is the definition as code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Store: TypeAlias = Literal["redis", "postgres"]
STORES: Final[tuple[Store, Store]] = ("redis", "postgres")
Purpose: TypeAlias = Literal["setup", "transaction", "work"]
Answer: TypeAlias = Literal["complete", "lost", "in flight", "none owed"]


class Site(NamedTuple):
    """The user's own line that spent a round trip."""

    file: str
    line: int
    function: str


class Path(NamedTuple):
    """By which calls the running code had come to a site: the user's lines above it, the nearest first.

    `key` is the same for the same way and no other (two calls on one line are two ways), within one trace. `loop` is
    the head of the innermost loop around any of these calls, where one is known. `through` is the ORM between the
    site and the client, if there is one: `"sqlalchemy"`, `"sqlalchemy lazy load"`, `"django"`, `"django lazy load"`.
    """

    callers: tuple[Site, ...]
    key: int
    loop: Site | None = None
    through: str | None = None


class Operation(NamedTuple):
    """One Redis command or one Postgres statement as it was executed.

    `name` is the command or the statement's verb (`"GET"`, `"INSERT"`), `shape` the kind of question it is
    (`"GET user:{}"`, `"INSERT INTO messages VALUES ($?)"`). Argument values are never kept.
    """

    name: str
    shape: str
    failed: bool = False


class _Marked:
    """A place for the mark that is no value of a round trip: neither compared nor shown, copied or pickled with it."""

    __slots__ = ("alike",)
    alike: object | None


@dataclass(frozen=True, slots=True)
class RoundTrip(_Marked):
    """One wait: everything sent before the client looked at another reply, and the replies it was owed.

    `answer` says how it ended. Only `"complete"` ones are counted as round trips: `"lost"` means the connection
    ended first, `"in flight"` that the recording did, `"none owed"` that the client had asked for no reply
    (`CLIENT REPLY OFF`). Their operations were sent all the same and are counted.
    `waited` marks a blocking command: its time is waiting, not network.
    `commits` is the number of transactions this round trip committed (Postgres: explicit or implicit; Redis: EXEC).
    `lane` names the thread or asyncio task that opened it; `server` is its address, `name` the user's name for it.
    `client` is the client's end of the connection (`"127.0.0.1:53122"`; a Unix socket has no name there): by it the
    two ends of one connection, seen in the client and on the wire, are known for the same.
    `waits` says from when to when those waited whose requests shared the connection and merged into this one round
    trip (tasks of a multiplexing client); empty: it is one wait. Depth is counted in waits.
    `path` is how the code came to `site`.
    `arguments` and `key` tell whether two round trips of one trace asked with the same arguments, and about the same
    first argument (a Redis key, say): salted hashes, good for nothing else. What was asked is the same without them.
    `alike` is the same object on those that differ in nothing but when they were, sizes, `arguments` and `key`, which
    spares comparing them; two objects say nothing, and nor does None. It is no field, and a copy has none.
    """

    store: Store
    connection: int
    operations: tuple[Operation, ...]
    started_ns: int
    ended_ns: int
    sent_bytes: int | None
    received_bytes: int | None
    site: Site | None = None
    purpose: Purpose = "work"
    lane: str | None = None
    server: str | None = None
    name: str | None = None
    commits: int = 0
    answer: Answer = "complete"
    waited: bool = False
    client: str | None = None
    waits: tuple[tuple[int, int], ...] = ()
    path: Path | None = None
    arguments: int | None = field(default=None, compare=False, repr=False)
    key: int | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "alike", None)

    def __setstate__(self, state: list[Any]) -> None:
        for name, value in zip(VALUES, state, strict=True):
            object.__setattr__(self, name, value)
        self.__post_init__()

    @property
    def intervals(self) -> tuple[tuple[int, int], ...]:
        """Its waits, of which it is itself the only one if nothing else is known."""
        return self.waits or ((self.started_ns, self.ended_ns),)


VALUES: Final = tuple(each.name for each in fields(RoundTrip))
VARIES: Final = ("started_ns", "ended_ns", "sent_bytes", "received_bytes", "arguments", "key")
"""Those of VALUES in which round trips that are alike may differ; the first four stand together, the others last."""
SAME: Final = tuple(name for name in VALUES if name not in VARIES)
of_same: Final = attrgetter(*SAME)
SAME_BEFORE: Final = VALUES.index(VARIES[0])
"""So many of SAME stand before those that vary."""


class Loose(_Marked):
    """A RoundTrip that is not frozen yet: set its `__class__`. Freezing pays for each field, eight times as much."""

    __slots__ = VALUES

    def __init__(
        self,
        store: Store,
        connection: int,
        operations: tuple[Operation, ...],
        started_ns: int,
        ended_ns: int,
        sent_bytes: int | None,
        received_bytes: int | None,
        site: Site | None,
        purpose: Purpose,
        lane: str | None,
        server: str | None,
        name: str | None,
        commits: int,
        answer: Answer,
        waited: bool,
        client: str | None,
        waits: tuple[tuple[int, int], ...],
        path: Path | None,
        arguments: int | None,
        key: int | None,
        alike: object | None = None,
    ) -> None:
        self.store = store
        self.connection = connection
        self.operations = operations
        self.started_ns = started_ns
        self.ended_ns = ended_ns
        self.sent_bytes = sent_bytes
        self.received_bytes = received_bytes
        self.site = site
        self.purpose = purpose
        self.lane = lane
        self.server = server
        self.name = name
        self.commits = commits
        self.answer = answer
        self.waited = waited
        self.client = client
        self.waits = waits
        self.path = path
        self.arguments = arguments
        self.key = key
        self.alike = alike


def round_trip(*values: Any) -> RoundTrip:
    """`RoundTrip(*values)` for all of its VALUES, made fast: reading logs and files makes them by the million. One more
    is what it is `alike` by."""
    loose: Any = Loose(*values)
    loose.__class__ = RoundTrip
    made: RoundTrip = loose
    return made
