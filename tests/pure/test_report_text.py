"""The text of a failure, to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from redis_perf import Budget, BudgetExceeded, NothingMeasured, Spend, between, exactly
from redis_perf.analysis.projection import NETWORKS_NS
from redis_perf.check import check
from redis_perf.report.lines import place
from redis_perf.report.text import spent_line
from redis_perf.report.units import count, duration, size
from redis_perf.trace import Answer, Opened, Operation, Purpose, RoundTrip, Site, Store, Tapped, Trace

MS = 1_000_000


def trip(
    at: int,
    *shapes: str,
    line: int | None = 64,
    store: Store = "redis",
    purpose: Purpose = "work",
    answer: Answer = "complete",
    size: int | None = 100,
    ends: int | None = None,
    name: str | None = None,
    commits: int = 0,
) -> RoundTrip:
    return RoundTrip(
        store=store,
        connection=1,
        operations=tuple(Operation(shape.split()[0], shape) for shape in shapes),
        started_ns=at,
        ended_ns=at + 1 if ends is None else ends,
        sent_bytes=size,
        received_bytes=size,
        site=None if line is None else Site("/home/ada/axel/src/memory.py", line, "push_turn"),
        purpose=purpose,
        answer=answer,
        name=name,
        server="127.0.0.1:6379" if store == "redis" else "127.0.0.1:5432",
        commits=commits,
    )


PUSH = (
    trip(0, "RPUSH working:{}:turns", line=64),
    trip(1, "LTRIM working:{}:turns", line=65),
    trip(2, "EXPIRE working:{}:turns", line=66),
)
PUSH_LINES = """\
  1  RPUSH working:{}:turns     memory.py:64 in push_turn
  1  LTRIM working:{}:turns     memory.py:65 in push_turn
  1  EXPIRE working:{}:turns    memory.py:66 in push_turn
"""
PUSH_ADVICE = (
    "3 commands in a row on one connection: if none needs another's reply, one pipeline or MULTI would be 1 round trip "
    "(saves 2)\n"
)


def failure(
    trace: Trace,
    budget: Budget,
    *,
    networks_ns: Sequence[int] = NETWORKS_NS,
    verbosity: int = 0,
    root: str | None = None,
    error: type[AssertionError] = BudgetExceeded,
) -> str:
    with pytest.raises(error) as caught:
        check(trace, budget, networks_ns=networks_ns, verbosity=verbosity, root=root)
    return f"{caught.value}\n"


def test_round_trips_overspent() -> None:
    assert failure(Trace(PUSH), Budget(redis=1)) == (
        "redis round trips: budget 1, spent 3   (3 commands, depth 3; 6 ms at 2 ms a trip, 90 ms at 30 ms)\n"
        "  1  RPUSH working:{}:turns     memory.py:64 in push_turn\n"
        "  1  LTRIM working:{}:turns     memory.py:65 in push_turn\n"
        "  1  EXPIRE working:{}:turns    memory.py:66 in push_turn\n"
        "3 commands in a row on one connection: if none needs another's reply, "
        "one pipeline or MULTI would be 1 round trip (saves 2)\n"
    )


@pytest.mark.parametrize(
    ("budget", "headline"),
    [
        (
            Budget(redis=Spend(operations=2)),
            "redis commands: budget 2, spent 3   (in 3 round trips)",
        ),
        (
            Budget(redis=Spend(commands=exactly(1))),
            "redis commands: budget exactly 1, spent 3   (in 3 round trips)",
        ),
        (
            Budget(redis=Spend(depth=2)),
            "redis depth: budget 2, spent 3   (3 commands, 3 round trips; 6 ms at 2 ms a trip, 90 ms at 30 ms)",
        ),
        (
            Budget(depth=2),
            "depth: budget 2, spent 3   (3 commands, 3 round trips; 6 ms at 2 ms a trip, 90 ms at 30 ms)",
        ),
        (Budget(redis=Spend(bytes=500)), "redis bytes both ways: budget 500, spent 600   (in 3 round trips)"),
        (Budget(redis=Spend(sent_bytes=0)), "redis bytes sent: budget 0, spent 300   (in 3 round trips)"),
        (
            Budget(redis=Spend(received_bytes=between(1, 9))),
            "redis bytes received: budget 1 to 9, spent 300   (in 3 round trips)",
        ),
        (
            Budget(servers={"127.0.0.1:6379": 1}),
            "127.0.0.1:6379 round trips: budget 1, spent 3   "
            "(3 commands, depth 3; 6 ms at 2 ms a trip, 90 ms at 30 ms)",
        ),
        (
            Budget(redis=Spend(round_trips=1, commands=2)),
            "redis round trips: budget 1, spent 3   (3 commands, depth 3; 6 ms at 2 ms a trip, 90 ms at 30 ms)\n"
            "redis commands: budget 2, spent 3   (in 3 round trips)",
        ),
    ],
)
def test_each_measure_overspent(budget: Budget, headline: str) -> None:
    assert failure(Trace(PUSH), budget) == f"{headline}\n{PUSH_LINES}{PUSH_ADVICE}"


@pytest.mark.parametrize(("limit", "said"), [(exactly(5), "exactly 5"), (between(4, 9), "4 to 9")])
def test_too_little_spent_gets_no_advice(limit: int, said: str) -> None:
    assert failure(Trace(PUSH), Budget(redis=limit)) == (
        f"redis round trips: budget {said}, spent 3   "
        f"(3 commands, depth 3; 6 ms at 2 ms a trip, 90 ms at 30 ms)\n{PUSH_LINES}"
    )


def test_large_sizes_are_told_in_their_unit_too() -> None:
    trace = Trace((trip(0, "SET blob:{}", size=20_480),))
    assert failure(trace, Budget(redis=Spend(sent_bytes=1_000))) == (
        "redis bytes sent: budget 1000, spent 20480   (20.0 KiB in 1 round trip)\n"
        "  1  SET blob:{}    memory.py:64 in push_turn\n"
    )


def test_postgres_speaks_of_statements() -> None:
    trace = Trace(
        (
            trip(0, "BEGIN", store="postgres", purpose="transaction", line=7),
            trip(1, *["INSERT INTO t VALUES (...)"] * 20, store="postgres", line=8),
            trip(2, "COMMIT", store="postgres", purpose="transaction", line=9, commits=1),
        )
    )
    budget = Budget(postgres=Spend(round_trips=1, statements=1, commits=0))
    assert failure(trace, budget) == (
        "postgres round trips: budget 1, spent 3   (22 statements, depth 3; 6 ms at 2 ms a trip, 90 ms at 30 ms)\n"
        "postgres statements: budget 1, spent 22   (in 3 round trips)\n"
        "postgres commits: budget 0, spent 1   (in 3 round trips)\n"
        "  1  BEGIN                              memory.py:7 in push_turn\n"
        "  1  20 x INSERT INTO t VALUES (...)    memory.py:8 in push_turn\n"
        "  1  COMMIT                             memory.py:9 in push_turn\n"
    )


def test_connections_and_setup_show_the_setup_traffic() -> None:
    trace = Trace(
        (trip(0, "connect", purpose="setup"), trip(1, "HELLO", purpose="setup"), trip(2, "GET a")),
        opened=(Opened("redis", 1, 0),),
    )
    assert failure(trace, Budget(redis=Spend(connections=0, setup=0))) == (
        "redis connections opened: budget 0, spent 1   (2 setup round trips)\n"
        "redis setup round trips: budget 0, spent 2   (4 ms at 2 ms a trip, 60 ms at 30 ms)\n"
        "  1  connect    memory.py:64 in push_turn\n"
        "  1  HELLO      memory.py:64 in push_turn\n"
        "1 connection was opened inside the block: a pool, or a client that lives longer, keeps them open (saves 2)\n"
    )


def test_charged_setup_is_said() -> None:
    trace = Trace((trip(0, "HELLO", purpose="setup"), trip(1, "GET a")))
    assert failure(trace, Budget(redis=Spend(round_trips=1, setup=True))) == (
        "redis round trips: budget 1, spent 2   "
        "(2 commands, depth 2, setup charged; 4 ms at 2 ms a trip, 60 ms at 30 ms)\n"
        "  1  HELLO    memory.py:64 in push_turn\n"
        "  1  GET a    memory.py:64 in push_turn\n"
    )


def test_round_trips_that_overlapped_cost_their_depth_and_their_sum() -> None:
    trace = Trace(tuple(trip(0, "GET user:{}", ends=9) for _ in range(10)))
    assert failure(trace, Budget(redis=3)) == (
        "redis round trips: budget 3, spent 10   "
        "(10 commands, depth 1; 2 ms at 2 ms a trip, 30 ms at 30 ms; one after another 20 ms, 300 ms)\n"
        "  10  GET user:{}    memory.py:64 in push_turn\n"
        "10 x GET user:{}: one MGET, or a pipeline, would be 1 round trip (saves 9)\n"
    )


@pytest.mark.parametrize(
    ("networks_ns", "aside"),
    [
        ((), "(1 command, depth 1)"),
        ((500_000,), "(1 command, depth 1; 500 us at 500 us a trip)"),
        ((MS, 80 * MS, 1_500 * MS), "(1 command, depth 1; 1 ms at 1 ms a trip, 80 ms at 80 ms, 1.5 s at 1.5 s)"),
    ],
)
def test_networks_are_the_callers_choice(networks_ns: Sequence[int], aside: str) -> None:
    text = failure(Trace((trip(0, "GET a"),)), Budget(redis=0), networks_ns=networks_ns)
    assert text.splitlines()[0] == f"redis round trips: budget 0, spent 1   {aside}"


def test_stores_and_servers_have_an_account_each() -> None:
    trace = Trace((trip(0, "XADD s:{}", name="streams"), trip(1, "SELECT ?", store="postgres", line=None)))
    assert failure(trace, Budget.of(postgres=0, streams=0, depth=1), networks_ns=[MS]) == (
        "postgres round trips: budget 0, spent 1   (1 statement, depth 1; 1 ms at 1 ms a trip)\n"
        "  1  SELECT ?    line not seen\n"
        "streams round trips: budget 0, spent 1   (1 command, depth 1; 1 ms at 1 ms a trip)\n"
        "  1  XADD s:{}    memory.py:64 in push_turn\n"
        "depth: budget 1, spent 2   (2 operations, 2 round trips; 2 ms at 1 ms a trip)\n"
        "  1  XADD s:{}    memory.py:64 in push_turn\n"
        "  1  SELECT ?     line not seen\n"
    )


def test_a_pipeline_is_one_line_that_lists_its_commands() -> None:
    trace = Trace((trip(0, "MULTI", "RPUSH a", "RPUSH a", "LTRIM a", "EXPIRE a", "EXEC"), trip(1, line=65)))
    assert failure(trace, Budget(redis=0), networks_ns=()).splitlines()[1:3] == [
        "  1  6 commands: MULTI, 2 x RPUSH a, LTRIM a, EXPIRE a, and 1 more    memory.py:64 in push_turn",
        "  1  (no command)                                                     memory.py:65 in push_turn",
    ]


MANY = Trace(tuple(trip(n, f"GET k{n % 70}:{{}}", line=n % 70) for n in range(140)))


@pytest.mark.parametrize(
    ("verbosity", "shown", "cut"),
    [
        (-1, 12, "  ... and 58 more lines (116 round trips); -v shows 60, -vv all"),
        (0, 12, "  ... and 58 more lines (116 round trips); -v shows 60, -vv all"),
        (1, 60, "  ... and 10 more lines (20 round trips); -vv shows all"),
    ],
)
def test_a_long_trace_is_cut_and_says_what_is_left_out(verbosity: int, shown: int, cut: str) -> None:
    text = failure(MANY, Budget(redis=1), verbosity=verbosity).splitlines()
    assert len([line for line in text if line.startswith("  2  GET")]) == shown
    assert text[shown + 1] == cut


def test_nothing_is_cut_when_all_is_asked_for() -> None:
    text = failure(MANY, Budget(redis=1), verbosity=2).splitlines()
    assert len([line for line in text if line.startswith("  2  GET")]) == 70
    assert not any("more line" in line for line in text)


def test_what_is_not_counted_is_said() -> None:
    trace = Trace((trip(0, "GET a"), trip(1, "GET b", answer="lost"), trip(2, "GET c", answer="in flight")), children=1)
    assert failure(trace, Budget(redis=0), networks_ns=()) == (
        "redis round trips: budget 0, spent 1   (3 commands, depth 1)\n"
        "  1  GET a    memory.py:64 in push_turn\n"
        "  1  GET b    memory.py:64 in push_turn\n"
        "  1  GET c    memory.py:64 in push_turn\n"
        "1 redis request got no reply before the connection ended: not counted as round trips\n"
        "1 redis request still waited for a reply at the end: not counted as round trips\n"
        "1 process was started: what it sent is not counted\n"
    )


def test_what_is_to_be_known_when_reading_the_numbers_comes_last() -> None:
    trace = Trace((trip(0, "GET a"),), notes=("round trips are an upper bound",))
    assert failure(trace, Budget(redis=0), networks_ns=()) == (
        "redis round trips: budget 0, spent 1   (1 command, depth 1)\n"
        "  1  GET a    memory.py:64 in push_turn\n"
        "round trips are an upper bound\n"
    )


TAPS = (
    Tapped("redis-py", "redis", "8.1.0"),
    Tapped("psycopg", "postgres", problem="not installed"),
    Tapped("valkey-py", "redis", "6.2"),
)


def test_nothing_measured_for_redis() -> None:
    assert failure(Trace(taps=TAPS), Budget(redis=1), error=NothingMeasured) == (
        "redis: nothing measured: a budget was set, but no redis traffic was seen, so it proves nothing\n"
        "  redis-py 8.1.0: listening, never seen\n"
        "  psycopg: not installed\n"
        "  valkey-py 6.2: listening, never seen\n"
        "if no traffic is right, say so: redis=0 or allow_nothing=True; "
        "other processes and other clients are not seen\n"
    )


def test_nothing_measured_for_postgres() -> None:
    trace = Trace((trip(0, "GET a"), trip(1, "GET a")), taps=TAPS[:2], children=2)
    assert failure(trace, Budget(redis=2, postgres=1), error=NothingMeasured) == (
        "postgres: nothing measured: a budget was set, but no postgres traffic was seen, so it proves nothing\n"
        "  seen at 127.0.0.1:6379: 2 round trips\n"
        "  redis-py 8.1.0: 2 round trips seen\n"
        "  psycopg: not installed\n"
        "if no traffic is right, say so: postgres=0 or allow_nothing=True; "
        "other processes and other clients are not seen\n"
        "2 processes were started: what they sent is not counted\n"
    )


def test_nothing_measured_for_a_server_names_those_that_were_seen() -> None:
    trace = Trace((trip(0, "GET a", name="cache"),), taps=TAPS)
    assert failure(trace, Budget.of(streams=1), error=NothingMeasured) == (
        "streams: nothing measured: a budget was set, but no traffic with streams was seen, so it proves nothing\n"
        "  seen at cache: 1 round trip\n"
        "  redis-py 8.1.0: 1 round trip seen with redis, by this client or another\n"
        "  psycopg: not installed\n"
        "  valkey-py 6.2: 1 round trip seen with redis, by this client or another\n"
        "if no traffic is right, say so: streams=0 or allow_nothing=True; "
        "other processes and other clients are not seen\n"
    )


def test_nothing_measured_at_all() -> None:
    assert failure(Trace(), Budget(depth=1), error=NothingMeasured) == (
        "depth: nothing measured: a budget was set, but no traffic was seen, so it proves nothing\n"
        "  no client library was listened to\n"
        "if no traffic is right, say so: depth=0 or allow_nothing=True; "
        "other processes and other clients are not seen\n"
    )


@pytest.mark.parametrize(
    ("measure", "said"),
    [("bytes", "bytes both ways"), ("sent_bytes", "bytes sent"), ("received_bytes", "bytes received")],
)
def test_sizes_that_were_not_seen(measure: str, said: str) -> None:
    trace = Trace((trip(0, "GET a"), trip(1, "GET a", size=None), trip(2, "GET a")))
    assert failure(trace, Budget(redis=Spend(**{measure: 5})), error=NothingMeasured) == (
        f"redis {said}: not measured: the size of 1 of 3 round trips was not seen\n"
    )


def test_a_connection_that_could_not_be_read() -> None:
    trace = Trace((trip(0, "GET a"),), problems=("connection 3: not RESP at byte 7 of what the server sent",))
    assert failure(trace, Budget(redis=1), error=NothingMeasured) == (
        "not everything was seen: connection 3: not RESP at byte 7 of what the server sent; "
        "what followed on that connection is not counted\n"
    )


@pytest.mark.parametrize(
    ("root", "said"),
    [
        (None, "memory.py:3 in f"),
        ("/home/ada/axel", "src/memory.py:3 in f"),
        ("/home/grace", "memory.py:3 in f"),
    ],
)
def test_files_are_named_shortly(root: str | None, said: str) -> None:
    assert place(Site("/home/ada/axel/src/memory.py", 3, "f"), root) == said


def test_the_root_reaches_the_lines() -> None:
    text = failure(Trace(PUSH[:1]), Budget(redis=0), root="/home/ada/axel")
    assert text.splitlines()[1] == "  1  RPUSH working:{}:turns    src/memory.py:64 in push_turn"


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        (Trace(), "nothing seen"),
        (Trace(PUSH), "redis 3 round trips (3 commands), depth 3"),
        (Trace((trip(0, "SELECT ?", store="postgres"),)), "postgres 1 round trip (1 statement), depth 1"),
        (
            Trace((*PUSH, trip(3, "SELECT ?", store="postgres"), *(trip(9, "HELLO", purpose="setup"),) * 5)),
            "redis 3 round trips (3 commands), postgres 1 (1 statement), depth 4, setup 5",
        ),
        (Trace((trip(0, "HELLO", purpose="setup"),)), "1 setup round trip"),
    ],
)
def test_one_line_says_what_was_spent(trace: Trace, line: str) -> None:
    assert spent_line(trace) == line


def test_numbers_have_units() -> None:
    assert [count(1, "round trip"), count(2, "round trip"), count(2, "process")] == [
        "1 round trip",
        "2 round trips",
        "2 processes",
    ]
    assert [duration(ns) for ns in (7, 40_000, 6 * MS, 90 * MS, 1_234 * MS, 99_999 * MS, 5_000_000 * MS)] == [
        "7 ns", "40 us", "6 ms", "90 ms", "1.23 s", "100 s", "5000 s",
    ]  # fmt: skip
    assert [size(n) for n in (1, 1023, 1024, 5 << 20)] == ["1 byte", "1023 bytes", "1.0 KiB", "5.0 MiB"]


def test_a_depth_failure_shows_the_chain_and_what_may_shorten_it() -> None:
    beside = trip(0, "GET other", line=1, ends=9)
    chain = (trip(0, "GET user:{}", line=7), trip(1, "SELECT ?", line=8, store="postgres"))
    assert failure(Trace((*chain, beside)), Budget(depth=1)) == (
        "depth: budget 1, spent 2   (3 operations, 3 round trips; 4 ms at 2 ms a trip, 60 ms at 30 ms; one after "
        "another 6 ms, 90 ms)\n"
        "  1  GET user:{}    memory.py:7 in push_turn\n"
        "  1  SELECT ?       memory.py:8 in push_turn\n"
        "GET user:{}, then SELECT ?: if neither needs the other's reply, asked at once they are one step (saves 1)\n"
        "2 commands in a row on one connection: if none needs another's reply, one pipeline or MULTI would be "
        "1 round trip (saves 1)\n"
    )


@pytest.mark.parametrize(("tap", "said"), [("redis-py", True), ("proxy of redis", False)])
def test_the_depth_of_several_threads_is_called_a_bound_unless_it_was_seen_on_the_wire(tap: str, said: bool) -> None:
    trips = tuple(replace(trip(at, "GET a"), lane=lane) for at, lane in enumerate(("MainThread", "Thread-1")))
    text = failure(Trace(trips, taps=(Tapped(tap, "redis", "1"),)), Budget(latency="1ms@1ms"))
    assert text.startswith("latency: budget 1 ms, spent 2 ms   (depth 2 at 1 ms a trip, 2 round trips)\n")
    assert ("several threads or tasks took part, which seldom overlap on a loopback" in text) is said
