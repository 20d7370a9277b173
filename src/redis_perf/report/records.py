"""The values of a trace as attributes and back, each pair side by side.

Names are OpenTelemetry's where it has one (semantic conventions 1.44.0), else `redisperf.*`; docs/trace-file.md has
the list. An attribute that is absent was not seen; `error.type` alone is absent when nothing failed.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final, TypeAlias

from redis_perf.report.attributes import Attributes, WrongAttribute
from redis_perf.trace import Answer, Opened, Operation, Path, Problem, Purpose, RoundTrip, Site, Store, Tapped

Record: TypeAlias = dict[str, object]

OTHER_ERROR: Final = "_OTHER"
"""What OpenTelemetry calls an error whose kind is not known."""
PURPOSES: Final[dict[str, Purpose]] = {"setup": "setup", "transaction": "transaction", "work": "work"}

_SYSTEMS: Final[dict[Store, str]] = {"redis": "redis", "postgres": "postgresql"}
_STORES: Final[dict[str, Store]] = {system: store for store, system in _SYSTEMS.items()}
_ANSWERS: Final[dict[str, Answer]] = {
    "complete": "complete", "lost": "lost", "in flight": "in flight", "none owed": "none owed",
}  # fmt: skip


def from_round_trip(trip: RoundTrip) -> Record:
    return _seen(
        {
            "db.system.name": _SYSTEMS[trip.store],
            **_from_operations(trip.operations),
            "redisperf.connection": trip.connection,
            "redisperf.started_ns": trip.started_ns,
            "redisperf.ended_ns": trip.ended_ns,
            "redisperf.sent_bytes": trip.sent_bytes,
            "redisperf.received_bytes": trip.received_bytes,
            "redisperf.purpose": trip.purpose,
            "redisperf.answer": trip.answer,
            "redisperf.commits": trip.commits,
            "redisperf.waited": trip.waited,
            "redisperf.lane": trip.lane,
            **from_site(trip.site),
            **_from_server(trip.server),
            "redisperf.server.name": trip.name,
            **_from_client(trip.client),
            "redisperf.waits": [{"started_ns": began, "ended_ns": ended} for began, ended in trip.waits] or None,
            "redisperf.path": None if trip.path is None else from_path(trip.path),
        }
    )


def to_round_trip(attributes: Attributes) -> RoundTrip:
    """Raises WrongAttribute, as all of these do."""
    return RoundTrip(
        store=attributes.one_of("db.system.name", _STORES),
        operations=_to_operations(attributes),
        connection=attributes.number("redisperf.connection"),
        started_ns=attributes.number("redisperf.started_ns"),
        ended_ns=attributes.number("redisperf.ended_ns"),
        sent_bytes=attributes.seen_number("redisperf.sent_bytes"),
        received_bytes=attributes.seen_number("redisperf.received_bytes"),
        purpose=attributes.one_of("redisperf.purpose", PURPOSES),
        answer=attributes.one_of("redisperf.answer", _ANSWERS),
        commits=attributes.number("redisperf.commits"),
        waited=attributes.truth("redisperf.waited"),
        lane=attributes.seen_text("redisperf.lane"),
        site=_to_site(attributes),
        server=_to_server(attributes),
        name=attributes.seen_text("redisperf.server.name"),
        client=_to_client(attributes),
        waits=_to_waits(attributes),
        path=to_path(attributes.nested("redisperf.path")) if "redisperf.path" in attributes.values else None,
    )


def from_opened(opened: Opened) -> Record:
    return _seen(
        {
            "db.system.name": _SYSTEMS[opened.store],
            "redisperf.connection": opened.connection,
            "redisperf.at_ns": opened.at_ns,
            **_from_server(opened.server),
            "redisperf.server.name": opened.name,
        }
    )


def to_opened(attributes: Attributes) -> Opened:
    return Opened(
        store=attributes.one_of("db.system.name", _STORES),
        connection=attributes.number("redisperf.connection"),
        at_ns=attributes.number("redisperf.at_ns"),
        server=_to_server(attributes),
        name=attributes.seen_text("redisperf.server.name"),
    )


def from_tapped(tap: Tapped) -> Record:
    named = {"name": tap.name, "db.system.name": _SYSTEMS[tap.store]}
    return _seen({**named, "version": tap.version, "problem": tap.problem, "seen": tap.seen})


def to_tapped(attributes: Attributes) -> Tapped:
    return Tapped(
        name=attributes.text("name"),
        store=attributes.one_of("db.system.name", _STORES),
        version=attributes.seen_text("version"),
        problem=attributes.seen_text("problem"),
        seen=attributes.seen_number("seen"),
    )


def from_problem(problem: str) -> Record:
    if not isinstance(problem, Problem):
        return {"redisperf.problem": problem}
    return _seen(
        {
            "redisperf.problem": str(problem),
            "db.system.name": None if problem.store is None else _SYSTEMS[problem.store],
            **_from_server(problem.server),
            "redisperf.server.name": problem.name,
        }
    )


def to_problem(attributes: Attributes) -> Problem:
    known = "db.system.name" in attributes.values
    return Problem(
        attributes.text("redisperf.problem"),
        attributes.one_of("db.system.name", _STORES) if known else None,
        _to_server(attributes),
        attributes.seen_text("redisperf.server.name"),
    )


def from_path(path: Path) -> Record:
    return _seen(
        {
            "callers": [from_site(caller) for caller in path.callers],
            "key": path.key,
            "loop": None if path.loop is None else from_site(path.loop),
            "through": path.through,
        }
    )


def to_path(attributes: Attributes) -> Path:
    return Path(
        callers=tuple(to_a_site(caller) for caller in attributes.objects("callers")),
        key=attributes.number("key"),
        loop=_to_site(attributes.nested("loop")) if "loop" in attributes.values else None,
        through=attributes.seen_text("through"),
    )


def _to_waits(attributes: Attributes) -> tuple[tuple[int, int], ...]:
    if "redisperf.waits" not in attributes.values:
        return ()
    return tuple((wait.number("started_ns"), wait.number("ended_ns")) for wait in attributes.objects("redisperf.waits"))


def _seen(attributes: Record) -> Record:
    return {name: value for name, value in attributes.items() if value is not None}


def _from_operations(operations: tuple[Operation, ...]) -> Record:
    """One operation by OpenTelemetry's names; several as a batch, equal neighbours written once."""
    if len(operations) <= 1:
        return _from_operation(operations[0]) if operations else {}
    return {
        "db.operation.name": _batch({operation.name for operation in operations}),
        "db.query.summary": _batch({operation.shape for operation in operations}),
        "db.operation.batch.size": len(operations),
        "redisperf.operations": [
            {**_from_operation(operation), "times": len(list(same))} for operation, same in groupby(operations)
        ],
    }


def _to_operations(attributes: Attributes) -> tuple[Operation, ...]:
    if "redisperf.operations" not in attributes.values:
        return (_to_operation(attributes),) if "db.operation.name" in attributes.values else ()
    runs = [(_to_operation(run), run.number("times")) for run in attributes.objects("redisperf.operations")]
    size, found = attributes.number("db.operation.batch.size"), sum(times for _, times in runs)
    if size != found:
        raise WrongAttribute(f"db.operation.batch.size: expected {found} as redisperf.operations has, found {size}")
    return tuple(operation for operation, times in runs for _ in range(times))


def _from_operation(operation: Operation) -> Record:
    failed = OTHER_ERROR if operation.failed else None
    return _seen({"db.operation.name": operation.name, "db.query.summary": operation.shape, "error.type": failed})


def _to_operation(attributes: Attributes) -> Operation:
    return Operation(
        name=attributes.text("db.operation.name"),
        shape=attributes.text("db.query.summary"),
        failed=attributes.seen_text("error.type") is not None,
    )


def _batch(names: set[str]) -> str:
    return f"BATCH {names.pop()}" if len(names) == 1 else "BATCH"


def from_site(site: Site | None) -> Record:
    if site is None:
        return {}
    return {"code.file.path": site.file, "code.line.number": site.line, "code.function.name": site.function}


def _to_site(attributes: Attributes) -> Site | None:
    if "code.file.path" not in attributes.values:
        return None
    return to_a_site(attributes)


def to_a_site(attributes: Attributes) -> Site:
    return Site(
        file=attributes.text("code.file.path"),
        line=attributes.number("code.line.number"),
        function=attributes.text("code.function.name"),
    )


def _from_server(server: str | None) -> Record:
    if server is None:
        return {}
    address, port = _address(server)
    transport = "tcp" if port is not None else "unix" if server.startswith("/") else None
    return {"server.address": address, "server.port": port, "network.transport": transport}


def _to_server(attributes: Attributes) -> str | None:
    address = attributes.seen_text("server.address")
    return None if address is None else _server(address, attributes.seen_number("server.port"))


def _from_client(client: str | None) -> Record:
    if client is None:
        return {}
    address, port = _address(client)
    return {"client.address": address, "client.port": port}


def _to_client(attributes: Attributes) -> str | None:
    address = attributes.seen_text("client.address")
    return None if address is None else _server(address, attributes.seen_number("client.port"))


def _address(server: str) -> tuple[str, int | None]:
    """Host and port where these two say all of it, else the whole as it is."""
    host, _, digits = server.rpartition(":")
    if host and not host.startswith("/") and digits.isascii() and digits.isdecimal() and int(digits[:6]) <= 65_535:
        address, port = host.removeprefix("[").removesuffix("]"), int(digits[:6])
        if _server(address, port) == server:
            return address, port
    return server, None


def _server(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
