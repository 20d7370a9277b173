"""Faults on real servers: what the client sees, whether the server executed it, and that it happened where asked.

Servers are looked at by connections of their own, past the proxy.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from redis_perf import NothingMeasured, RoundTrip
from redis_perf.proxy import Proxy, fault_points
from redis_perf.proxy.faults import (
    ErrorReply,
    Fault,
    HalfReply,
    Nothing,
    Refuse,
    Reset,
    SlowDrip,
    Stall,
    command,
    every_round_trip,
    nth_connection,
    nth_round_trip,
    statement,
)

HOLD_NS = 3_000_000
LONG_NS = 200_000_000
"""Long beside the pauses a busy machine puts into the sending of a large pipeline."""
BROKEN, SILENT, LOADING = redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError


@pytest.fixture(params=[0, HOLD_NS], ids=["no latency", "latency"])
def proxy(request: pytest.FixtureRequest, redis_url: str, postgres_dsn: str) -> Iterator[Proxy]:
    with Proxy(redis=redis_url, postgres=postgres_dsn, latency_ns=request.param) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[redis.Redis]:
    """One that tries once, and is connected."""
    retry = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(proxy.url("redis"), retry=retry, socket_timeout=10) as client:
        client.ping()
        yield client


@pytest.fixture
def direct(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def table(postgres_dsn: str) -> Iterator[Callable[[], int]]:
    """Called, it says how many rows are in the table `t`, which is empty."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (x int)")
        yield lambda: connection.execute("SELECT FROM t").rowcount


def answers(proxy: Proxy) -> list[str]:
    return [trip.answer for trip in proxy.trace().redis.everything if names(trip) != ["PING"]]


def names(trip: RoundTrip) -> list[str]:
    return [operation.name for operation in trip.operations]


# --- redis-py


@pytest.mark.parametrize(
    ("fault", "sees", "executed", "answer"),
    [
        (Nothing(), None, True, "complete"),
        (SlowDrip(chunk_bytes=2, pause_ns=100_000), None, True, "complete"),
        (Reset("before"), BROKEN, False, "lost"),
        (Reset("during"), BROKEN, True, "lost"),
        (Reset("during", at_byte=1), BROKEN, True, "lost"),
        (Reset("after"), BROKEN, True, "lost"),
        (ErrorReply("LOADING", "Redis is loading the dataset in memory"), LOADING, False, "complete"),
        (ErrorReply("OOM command not allowed"), redis.exceptions.OutOfMemoryError, False, "complete"),
    ],
    ids=repr,
)
def test_what_redis_py_sees_and_whether_redis_executed_it(
    proxy: Proxy, client: redis.Redis, direct: redis.Redis, fault: Fault, sees: Any, executed: bool, answer: str
) -> None:
    with proxy.faulty("redis", fault) as lying:
        if sees is None:
            assert client.set("key", "x") is True
        else:
            with pytest.raises(sees):
                client.set("key", "x")
        assert lying.fired == 1
    assert (direct.get("key") == b"x", answers(proxy)) == (executed, [answer])
    assert proxy.trace().problems == ()
    assert client.set("key", "y") is True


@pytest.mark.parametrize("fault", [Stall(), HalfReply(), HalfReply(at_byte=1)], ids=repr)
def test_a_reply_that_hangs_comes_when_the_fault_is_removed(
    proxy: Proxy, client: redis.Redis, direct: redis.Redis, fault: Fault
) -> None:
    seen: list[Any] = []
    waiting = threading.Thread(target=lambda: seen.append(client.set("key", "x")))
    lying = proxy.faults.add("redis", fault)
    waiting.start()
    until(lambda: lying.fired == 1)
    until(lambda: direct.get("key") == b"x")
    assert seen == []
    proxy.faults.clear()
    waiting.join()
    assert (seen, lying.fired, client.get("key")) == ([True], 1, b"x")


def test_a_client_that_gives_up_a_stalled_reply_leaves_a_lost_request(proxy: Proxy, client: redis.Redis) -> None:
    with redis.Redis.from_url(proxy.url("redis"), retry=Retry(NoBackoff(), 0), socket_timeout=1) as impatient:
        impatient.ping()
        with proxy.faulty("redis", Stall()), pytest.raises(SILENT):
            impatient.get("key")
    assert client.get("key") is None
    until(lambda: sorted(answers(proxy)) == ["complete", "lost"])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline


def test_it_fires_at_the_third_round_trip_over_all_connections_and_setup_is_not_counted(
    proxy: Proxy, direct: redis.Redis
) -> None:
    with proxy.faulty("redis", Reset("before", on=nth_round_trip(3))) as lying:
        for number in range(4):
            with (
                redis.Redis.from_url(
                    proxy.url("redis"), retry=Retry(NoBackoff(), 0), client_name="ada", db=0
                ) as client,
                suppress(BROKEN),
            ):
                client.rpush("numbers", number)
    assert (direct.lrange("numbers", 0, -1), lying.fired) == ([b"0", b"1", b"3"], 1)


def test_it_fires_at_the_command_named_in_a_pipeline_and_befalls_all_of_that(
    proxy: Proxy, client: redis.Redis, direct: redis.Redis
) -> None:
    with proxy.faulty("redis", ErrorReply("READONLY You can't write", on=command("INCRBY hits:{}", nth=2))) as lying:
        client.incr("hits:1")
        pipe = client.pipeline(transaction=False).get("other").incr("hits:2").set("key", "x")
        said = pipe.execute(raise_on_error=False)
        client.incr("hits:3")
    assert [type(each) for each in said] == [redis.exceptions.ReadOnlyError] * 3
    assert (lying.fired, sorted(direct.keys())) == (1, [b"hits:1", b"hits:3"])


def test_a_pipeline_of_a_megabyte_is_befallen_as_one(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    proxy.latency(LONG_NS)
    with proxy.faulty("redis", ErrorReply("NOPERM not you")):
        pipe = client.pipeline(transaction=False)
        for number in range(1000):
            pipe.set(f"key:{number}", "x" * 1024)
        assert {type(each) for each in pipe.execute(raise_on_error=False)} == {redis.exceptions.NoPermissionError}
    assert direct.dbsize() == 0
    for number in range(1000):
        pipe.set(f"key:{number}", "x" * 1024)
    with proxy.faulty("redis", Reset("after")), pytest.raises(BROKEN):
        pipe.execute()
    assert direct.dbsize() == 1000


def test_loading_for_as_long_as_the_fault_is_there(proxy: Proxy, client: redis.Redis) -> None:
    with proxy.faulty("redis", ErrorReply("LOADING soon", on=every_round_trip())) as lying:
        for _ in range(3):
            with pytest.raises(LOADING):
                client.get("key")
        assert lying.fired == 3
    assert client.get("key") is None


def test_a_slot_that_has_moved_names_the_node_to_ask(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    with (
        proxy.faulty("redis", ErrorReply("MOVED 12539 10.0.0.7:6380")) as lying,
        pytest.raises(redis.exceptions.MovedError) as moved,
    ):
        client.set("key", "x")
    assert (moved.value.slot_id, moved.value.host, moved.value.port) == (12539, "10.0.0.7", 6380)
    assert (lying.fired, direct.get("key"), answers(proxy)) == (1, None, ["complete"])


def test_a_retry_hides_a_lost_reply_and_executes_twice(proxy: Proxy, direct: redis.Redis) -> None:
    with (
        redis.Redis.from_url(proxy.url("redis"), retry=Retry(NoBackoff(), 1), retry_on_error=[BROKEN]) as client,
        proxy.faulty("redis", Reset("after", on=command("INCRBY"))) as lying,
    ):
        assert client.incr("hits") == 2
    assert (lying.fired, direct.get("hits")) == (1, b"2")


def test_refusing_closes_new_connections_and_leaves_open_ones(proxy: Proxy, client: redis.Redis) -> None:
    with proxy.faulty("redis", Refuse(on=nth_connection(1))) as lying:
        assert client.ping() is True
        with redis.Redis.from_url(proxy.url("redis"), retry=Retry(NoBackoff(), 0)) as other:
            with pytest.raises(BROKEN):
                other.ping()
            assert other.ping() is True
    assert lying.fired == 1


def test_one_of_gathered_requests_is_befallen_and_the_others_are_not(proxy: Proxy, direct: redis.Redis) -> None:
    async def work() -> list[Any]:
        retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
        async with redis.asyncio.Redis.from_url(proxy.url("redis"), retry=retry, socket_timeout=5) as client:
            return await asyncio.gather(*(client.incr("hits") for _ in range(5)), return_exceptions=True)

    with proxy.faulty("redis", Reset("before", on=nth_round_trip(2))):
        seen = asyncio.run(work())
    assert (sorted(each for each in seen if isinstance(each, int)), direct.get("hits")) == ([1, 2, 3, 4], b"4")
    assert [type(each) for each in seen if not isinstance(each, int)] == [BROKEN]


def test_a_fault_changes_no_count_of_what_it_does_not_befall(proxy: Proxy, client: redis.Redis) -> None:
    with proxy.faulty("redis", Stall(on=command("FLUSHDB"))) as lying, proxy.record() as seen:
        client.get("a")
        client.pipeline(transaction=True).set("a", 1).incr("a").execute()
        with client.pubsub() as messages:
            messages.subscribe("news")
            assert messages.get_message(timeout=5)
    assert lying.fired == 0
    redis_trace = seen.trace.redis
    assert (redis_trace.round_trips, redis_trace.operations, redis_trace.commits, redis_trace.lost) == (3, 6, 1, 0)


# --- psycopg


def last_words(error: str) -> type[psycopg.Error]:
    """What is raised for a reply with which the server hangs up: psycopg 3.1 noticed only that."""
    known: type[psycopg.Error] = getattr(psycopg.errors, error)
    return psycopg.OperationalError if psycopg.__version__.startswith("3.1.") else known


@pytest.mark.parametrize("prepare", [False, True], ids=["simple", "prepared"])
@pytest.mark.parametrize(
    ("fault", "sees", "rows"),
    [
        (Nothing(on=statement("INSERT")), None, 1),
        (SlowDrip(on=statement("INSERT"), chunk_bytes=7, pause_ns=100_000), None, 1),
        (Reset("before", statement("INSERT")), psycopg.OperationalError, 0),
        (Reset("during", statement("INSERT")), psycopg.OperationalError, 1),
        (Reset("after", statement("INSERT")), psycopg.OperationalError, 1),
        (ErrorReply("40001", "try again", statement("INSERT")), psycopg.errors.SerializationFailure, 0),
        (ErrorReply("57P01", "bye", statement("INSERT")), last_words("AdminShutdown"), 0),
        (ErrorReply("53300", "too many", statement("INSERT")), last_words("TooManyConnections"), 0),
    ],
    ids=repr,
)
def test_what_psycopg_sees_and_whether_postgres_executed_it(
    proxy: Proxy, table: Callable[[], int], fault: Fault, sees: Any, rows: int, prepare: bool
) -> None:
    with psycopg.connect(proxy.url("postgres"), autocommit=True) as connection:
        with proxy.faulty("postgres", fault) as lying:
            connection.execute("SELECT 1")
            if sees is None:
                connection.execute("INSERT INTO t VALUES (%s)", [1], prepare=prepare)
            else:
                with pytest.raises(sees):
                    connection.execute("INSERT INTO t VALUES (%s)", [1], prepare=prepare)
            assert lying.fired == 1
        if not connection.broken:
            assert connection.execute("SELECT 2").fetchone() == (2,)
        assert connection.broken == (sees not in (None, psycopg.errors.SerializationFailure))
    assert (table(), proxy.trace().problems) == (rows, ())


@pytest.mark.parametrize(("when", "rows"), [("before", 0), ("after", 1)])
def test_a_commit_whose_reply_is_lost_was_executed_or_not(
    proxy: Proxy, table: Callable[[], int], when: Any, rows: int
) -> None:
    with psycopg.connect(proxy.url("postgres")) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        with proxy.faulty("postgres", Reset(when, on=statement("COMMIT"))), pytest.raises(psycopg.OperationalError):
            connection.commit()
    assert table() == rows


def test_an_error_inside_a_transaction_leaves_it_failed_on_both_sides(proxy: Proxy, table: Callable[[], int]) -> None:
    with psycopg.connect(proxy.url("postgres")) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        with (
            proxy.faulty("postgres", ErrorReply("40001", "it's so")) as lying,
            pytest.raises(psycopg.errors.SerializationFailure, match="it's so"),
        ):
            connection.execute("INSERT INTO t VALUES (2)")
        assert lying.fired == 1
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.commit()
    assert table() == 0


def test_a_statement_that_stalls_goes_on_when_the_fault_is_removed(proxy: Proxy, table: Callable[[], int]) -> None:
    with psycopg.connect(proxy.url("postgres"), autocommit=True) as connection:
        lying = proxy.faults.add("postgres", Stall())
        waiting = threading.Thread(target=connection.execute, args=["INSERT INTO t VALUES (1)"])
        waiting.start()
        until(lambda: table() == 1)
        assert waiting.is_alive()
        lying.remove()
        waiting.join()
        assert (lying.fired, connection.execute("SELECT FROM t").rowcount) == (1, 1)


def test_refusing_postgres_is_an_error_of_connecting(proxy: Proxy) -> None:
    with proxy.faulty("postgres", Refuse()) as lying:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxy.url("postgres"), sslmode="disable", gssencmode="disable")
        assert lying.fired == 1
    psycopg.connect(proxy.url("postgres")).close()


def test_copy_both_ways_passes_while_a_fault_lies_in_wait(proxy: Proxy, table: Callable[[], int]) -> None:
    with (
        psycopg.connect(proxy.url("postgres"), autocommit=True) as connection,
        connection.cursor() as cursor,
        proxy.faulty("postgres", Stall(on=statement("TRUNCATE"))) as lying,
    ):
        with cursor.copy("COPY t FROM STDIN") as copy:
            for number in range(100_000):
                copy.write_row([number])
        with cursor.copy("COPY t TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 100_000
        with connection.pipeline():
            for number in range(3):
                connection.execute("INSERT INTO t VALUES (%s)", [number])
    assert (table(), lying.fired) == (100_003, 0)


# --- points


def test_fault_points_are_every_round_trip_before_and_after_it_was_executed(
    proxy: Proxy, client: redis.Redis, direct: redis.Redis
) -> None:
    def run() -> None:
        client.delete("key")
        client.pipeline(transaction=False).set("key", 1).get("key").execute()

    points = []
    for point in fault_points(proxy, run):
        direct.set("key", "old")
        client.ping()
        with point, pytest.raises(BROKEN):
            run()
        points.append((str(point), direct.get("key")))
    assert points == [
        ("redis round trip 1 (DEL key), before the server executed it", b"old"),
        ("redis round trip 1 (DEL key), after the server executed it", None),
        ("redis round trip 2 (SET key and 1 more), before the server executed it", None),
        ("redis round trip 2 (SET key and 1 more), after the server executed it", b"1"),
    ]


def test_a_fault_point_that_is_not_reached_proves_nothing_and_says_so(proxy: Proxy, client: redis.Redis) -> None:
    point = next(fault_points(proxy, client.ping))
    with pytest.raises(NothingMeasured, match=r"redis round trip 1 \(PING\), before .*: never reached"), point:
        pass
    with pytest.raises(NothingMeasured, match="no round trip to redis, postgres passed the proxy"):
        next(fault_points(proxy, lambda: None))


@pytest.mark.parametrize(
    ("server", "fault", "said"),
    [("cache", Stall(), "'cache' names no servers"), ("postgres", ErrorReply("LOADING"), "is no SQLSTATE")],
)
def test_a_fault_that_fits_no_server_is_an_error(redis_url: str, server: str, fault: Fault, said: str) -> None:
    with (
        Proxy(redis=redis_url, postgres="postgresql://nobody@127.0.0.1/none") as proxy,
        pytest.raises(ValueError, match=said),
    ):
        proxy.faults.add(server, fault)
