"""The proxy against real servers, with the in-process taps as witness: both see the same work and say the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio

import redis_perf
from redis_perf import ServerUnavailable, Trace, at_most
from redis_perf.budget import Budget
from redis_perf.check import check
from redis_perf.proxy import Proxy
from redis_perf.proxy.keeping import LATE_NS
from redis_perf.proxy.ledger import Ledger
from redis_perf.proxy.loop import LEAD_NS, Loop

HOLD_NS = 10_000_000
LONG_NS = 100_000_000
"""Longer than a busy machine keeps a client from sending on, or puts between things done at once: for what is sent in
several pieces, and for depth. Only then it counts as it would on a network."""


@pytest.fixture
def proxy(redis_url: str, postgres_dsn: str) -> Iterator[Proxy]:
    with Proxy(redis=redis_url, postgres=postgres_dsn, latency_ns=HOLD_NS) as proxy:
        yield proxy


# --- what redis-py costs


def gets(client: redis.Redis) -> None:
    for number in range(5):
        client.get(f"user:{number}")


def a_pipeline(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set(f"key:{number}", "x" * 100)
        pipe.execute()


def a_transaction(client: redis.Redis) -> None:
    with client.pipeline(transaction=True) as pipe:
        pipe.watch("balance")
        pipe.multi()
        pipe.incr("balance")
        pipe.incr("balance")
        pipe.execute()


def pubsub(client: redis.Redis) -> None:
    with client.pubsub() as messages:
        messages.subscribe("news", "sport")
        messages.psubscribe("weather.*")
        taken = [messages.get_message(timeout=5) for _ in range(3)]
        client.publish("news", "hello")
        taken.append(messages.get_message(timeout=5))
        messages.unsubscribe()
        taken += [messages.get_message(timeout=5) for _ in range(2)]
        assert [each["type"] for each in taken if each] == ["subscribe"] * 2 + ["psubscribe", "message"] + [
            "unsubscribe"
        ] * 2


def blocking_pop(client: redis.Redis) -> None:
    other = threading.Thread(target=lambda: client.rpush("queue", "job"))
    other.start()
    assert list(client.blpop(["queue"], timeout=5)) == [b"queue", b"job"]
    other.join()


def an_error(client: redis.Redis) -> None:
    client.set("text", "x")
    with pytest.raises(redis.ResponseError):
        client.lpush("text", "y")


def a_script_not_known(client: redis.Redis) -> None:
    assert client.register_script("return 42 -- proxied")() == 42


def monitor(client: redis.Redis) -> None:
    with client.monitor() as lines:
        for number in range(3):
            client.get(f"seen:{number}")
        while lines.next_command()["command"] != "GET seen:2":
            pass


def client_reply_skip(client: redis.Redis) -> None:
    with redis.Redis.from_url(client.proxied_url, single_connection_client=True) as single:  # type: ignore[attr-defined]
        assert single.connection is not None
        single.connection.send_command("CLIENT", "REPLY", "SKIP")
        single.connection.send_command("SET", "quiet", "1")
        assert single.get("quiet") == b"1"


@pytest.mark.parametrize(
    ("work", "round_trips"),
    [
        (gets, 5), (a_pipeline, 1), (a_transaction, 2), (pubsub, 3), (blocking_pop, 2), (an_error, 2),
        (a_script_not_known, 3), (monitor, 4), (client_reply_skip, 1),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)  # fmt: skip
@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_costs_through_the_proxy_what_its_tap_says(
    proxy: Proxy, work: Callable[[redis.Redis], None], round_trips: int, protocol: int
) -> None:
    if work is a_pipeline:
        proxy.latency(LONG_NS)
    with proxy.record() as seen, redis_perf.record() as told:
        with redis.Redis.from_url(proxy.url("redis"), protocol=protocol) as client:
            client.proxied_url = proxy.url("redis")  # type: ignore[attr-defined]
            work(client)
        told_trace = told.trace
    assert figures(seen.trace) == figures(told_trace)
    assert seen.trace.redis.round_trips == round_trips


def figures(trace: Trace) -> dict[str, Any]:
    """Everything the proxy and a tap must agree on."""
    assert trace.problems == ()
    found: dict[str, Any] = {}
    for store in (trace.redis, trace.postgres):
        found |= {"commits": store.commits, "opened": store.connections}
    for purpose in (trace.setup, trace.transaction, trace.work):
        for name, store in (("redis", purpose.redis), ("postgres", purpose.postgres)):
            found[f"{name} {'/'.join(sorted(purpose.purposes))}"] = (
                store.round_trips, store.operations, store.sent_bytes, sorted(store.shapes), store.lost,
            )  # fmt: skip
    return found


def test_a_pipeline_of_five_megabytes_is_one_round_trip(proxy: Proxy) -> None:
    with redis.Redis.from_url(proxy.url("redis")) as client, client.pipeline(transaction=False) as pipe:
        client.ping()
        for number in range(5_000):
            pipe.set(f"key:{number}", "x" * 1024)
        proxy.latency(LONG_NS)  # no pause within the sending is so long
        with proxy.record() as seen:
            assert pipe.execute() == [True] * 5_000
    assert (seen.trace.redis.round_trips, seen.trace.redis.operations) == (1, 5_000)


def test_gathered_gets_on_a_cold_pool_have_the_depth_of_one(proxy: Proxy) -> None:
    async def work() -> None:
        async with redis.asyncio.Redis.from_url(proxy.url("redis"), max_connections=10) as client:
            await asyncio.gather(*(client.get(f"key:{number}") for number in range(10)))

    proxy.latency(3 * LONG_NS)
    with proxy.record() as seen, redis_perf.record() as told:
        asyncio.run(work())
        told_trace = told.trace
    assert figures(seen.trace) == figures(told_trace)
    assert (seen.trace.redis.round_trips, seen.trace.redis.depth) == (10, 1)


def test_tasks_that_share_a_connection_have_the_depth_of_the_longest(proxy: Proxy) -> None:
    coredis = pytest.importorskip("coredis")

    async def work() -> None:
        async with coredis.Redis.from_url(proxy.url("redis"), max_connections=1) as client:
            await client.ping()

            async def ask(number: int) -> None:
                await asyncio.sleep(number * apart_ns / 1e9)
                for _ in range(3):
                    await client.get("a")

            proxy.latency(4 * apart_ns)
            with proxy.record() as seen:
                await asyncio.gather(*(ask(number) for number in range(3)))
        spent = seen.trace.redis
        assert (spent.round_trips, spent.operations, spent.depth) == (1, 9, 3)

    apart_ns = LONG_NS  # each reply finds requests of the others under way, and no fourth fits behind three
    asyncio.run(work())


# --- what psycopg costs

Connection = psycopg.Connection[Any]


def executemany(connection: Connection) -> None:
    with connection.transaction():
        connection.cursor().executemany("insert into t values (%s, 'x')", [(number,) for number in range(50)])


def eight_executions(connection: Connection) -> None:
    connection.autocommit = True
    for number in range(8):
        connection.execute("select %s::int", (number,))


def copy_in(connection: Connection) -> None:
    with connection.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
        for number in range(20_000):
            copy.write_row((number, "x" * 50))
    connection.commit()


def copy_out(connection: Connection) -> None:
    connection.execute("insert into t select g, repeat('x', 50) from generate_series(1, 20000) g")
    with connection.cursor() as cursor, cursor.copy("copy t to stdout") as copy:
        assert sum(1 for _ in copy.rows()) == 20_000


def a_pipeline_of_statements(connection: Connection) -> None:
    with connection.pipeline():
        for number in range(30):
            connection.execute("insert into t values (%s, 'x')", (number,))
    connection.commit()


def large_rows(connection: Connection) -> None:
    rows = connection.execute("select g, repeat('x', 100000) from generate_series(1, 100) g").fetchall()
    assert len(rows) == 100


def a_failed_statement(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("select 1 / 0")
    connection.rollback()


def notifications(connection: Connection) -> None:
    heard: list[str] = []
    connection.autocommit = True
    connection.add_notify_handler(lambda note: heard.append(note.payload))
    connection.execute("listen news")
    connection.execute("notify news, 'hello'")
    connection.execute("select 1")
    assert heard == ["hello"]


def a_server_cursor(connection: Connection) -> None:
    with connection.cursor("slow") as cursor:
        cursor.execute("select generate_series(1, 250)")
        assert len(cursor.fetchmany(100) + cursor.fetchall()) == 250


@pytest.mark.parametrize("work", [
    executemany, eight_executions, copy_in, copy_out, a_pipeline_of_statements, large_rows, a_failed_statement,
    notifications, a_server_cursor,
])  # fmt: skip
def test_psycopg_costs_through_the_proxy_what_its_tap_says(proxy: Proxy, work: Callable[[Connection], None]) -> None:
    if work in (executemany, a_pipeline_of_statements):
        proxy.latency(LONG_NS)
    with proxy.record() as seen, redis_perf.record() as told:
        with psycopg.connect(proxy.url("postgres")) as connection:
            connection.execute("create temp table t (id int, body text)")
            connection.commit()
            work(connection)
        told_trace = told.trace
    assert figures(seen.trace) == figures(told_trace)


def test_executemany_of_fifty_is_three_round_trips_and_52_statements(proxy: Proxy) -> None:
    with psycopg.connect(proxy.url("postgres")) as connection:
        connection.execute("create temp table t (id int, body text)")
        connection.commit()
        proxy.latency(LONG_NS)
        with proxy.record() as seen:
            executemany(connection)
    assert (seen.trace.postgres.round_trips, seen.trace.postgres.statements) == (3, 52)
    assert seen.trace.postgres.commits == 1


def test_eight_executions_of_one_statement_are_nine_round_trips(proxy: Proxy) -> None:
    with psycopg.connect(proxy.url("postgres")) as connection, proxy.record() as seen:
        eight_executions(connection)
    assert seen.trace.postgres.round_trips == 9


def test_an_async_pool_costs_what_its_tap_says(proxy: Proxy) -> None:
    async def work() -> None:
        async with psycopg_pool.AsyncConnectionPool(proxy.url("postgres"), min_size=3, max_size=3) as pool:
            await pool.wait()

            async def one(number: int) -> None:
                async with pool.connection() as connection:
                    await connection.execute("select %s::int", (number,))

            await asyncio.gather(*(one(number) for number in range(3)))

    proxy.latency(3 * LONG_NS)
    with proxy.record() as seen, redis_perf.record() as told:
        asyncio.run(work())
        told_trace = told.trace
    assert figures(seen.trace) == figures(told_trace)
    assert (seen.trace.postgres.round_trips, seen.trace.postgres.depth) == (9, 3)


# --- what it is told, and how it is used


def test_both_stores_and_budgets_on_them(proxy: Proxy) -> None:
    with proxy.record() as seen:
        with redis.Redis.from_url(proxy.url("redis")) as client:
            client.get("a")
        with psycopg.connect(proxy.url("postgres"), autocommit=True) as connection:
            connection.execute("select 1")
    check(seen.trace, Budget.of(redis=1, postgres=1, depth=at_most(2)))


def test_two_servers_of_one_store_are_told_apart_by_name(redis_url: str) -> None:
    with Proxy(redis=redis_url, streams=redis_url, latency_ns=HOLD_NS) as proxy:
        with redis.Redis.from_url(proxy.url("redis")) as cache, redis.Redis.from_url(proxy.url("streams")) as streams:
            cache.get("a")
            streams.xlen("events")
            streams.xlen("events")
        trace = proxy.trace()
    assert trace.named("streams").round_trips == 2
    assert trace.redis.round_trips == 3
    check(trace, Budget.of(redis=3, streams=2))


def test_a_server_can_be_added_to_a_running_proxy(redis_url: str, postgres_dsn: str) -> None:
    with Proxy(redis=redis_url, latency_ns=HOLD_NS) as proxy, redis.Redis.from_url(proxy.url("redis")) as cache:
        cache.get("a")
        added = proxy.add("postgres", postgres_dsn)
        assert added == proxy.url("postgres")
        with redis.Redis.from_url(proxy.add("streams", redis_url)) as streams:
            streams.xlen("events")
        with psycopg.connect(added, autocommit=True) as connection:
            connection.execute("select 1")
        trace = proxy.trace()
        check(trace, Budget.of(redis=2, streams=1, postgres=1))
        assert proxy.names == ("redis", "postgres", "streams")
        assert [tap.name for tap in trace.taps] == ["proxy of redis", "proxy of postgres", "proxy of streams"]


def test_a_proxy_may_begin_without_a_server(redis_url: str) -> None:
    with Proxy(latency_ns=HOLD_NS) as proxy, redis.Redis.from_url(proxy.add("redis", redis_url)) as client:
        client.get("a")
        assert proxy.trace().redis.round_trips == 1


def test_a_server_that_cannot_be_added_says_why_and_the_proxy_lives_on(redis_url: str) -> None:
    with Proxy(redis=redis_url, latency_ns=HOLD_NS) as proxy:
        for name, url, at, said in (
            ("redis", redis_url, None, "a server of that name already"),
            ("other", "mysql://127.0.0.1", None, "no scheme the proxy knows"),
            ("other", redis_url, proxy.address("redis"), "Address already in use"),
        ):
            with pytest.raises(ServerUnavailable, match=said):
                proxy.add(name, url, at=at)
        assert proxy.names == ("redis",)
        with redis.Redis.from_url(proxy.add("other", redis_url)) as client:
            client.get("a")
        assert proxy.trace().named("other").round_trips == 1


def test_the_url_keeps_credentials_database_and_options(redis_url: str) -> None:
    upstream = redis_url.replace("redis://", "redis://user:pass%40word@").replace("/0", "/3?health_check_interval=5")
    with Proxy(redis=upstream) as proxy:
        host, port = proxy.address("redis")
        assert proxy.url("redis") == f"redis://user:pass%40word@{host}:{port}/3?health_check_interval=5"


def test_unix_sockets_on_both_sides(valkey_server: Any, postgres_server: Any, postgres_dsn: str) -> None:
    login, _, database = postgres_dsn.rpartition("/")
    user = login.partition("//")[2].rpartition("@")[0]
    postgres = f"postgresql://{user}@/{database}?host={postgres_server.unix_directory}&port={postgres_server.port}"
    with (
        Proxy(redis=f"unix://{valkey_server.unix_path}", postgres=postgres, latency_ns=HOLD_NS) as unix,
        unix.record() as seen,
        redis_perf.record() as told,
    ):
        with redis.Redis.from_url(unix.url("redis")) as client:
            client.get("a")
        with psycopg.connect(unix.url("postgres"), autocommit=True) as connection:
            connection.execute("select 1")
        told_trace = told.trace
    assert figures(seen.trace) == figures(told_trace)
    assert seen.trace.redis.at(valkey_server.unix_path).round_trips == 1


def test_latency_is_added_once_per_round_trip(redis_url: str) -> None:
    with Proxy(redis=redis_url, latency_ns=LONG_NS) as proxy:
        with redis.Redis.from_url(proxy.url("redis")) as client:
            client.get("a")
            a_pipeline(client)
        get, pipeline = proxy.trace().redis
    for trip in (get, pipeline):
        assert trip.ended_ns - trip.started_ns >= LONG_NS - LATE_NS
    assert pipeline.ended_ns - pipeline.started_ns < 100 * LONG_NS  # it is of 100 commands, each with a reply


class Slow:
    """Takes its time to hand over what it kept, as on a machine that others have."""

    def release(self, now_ns: int) -> None:
        time.sleep(LEAD_NS / 1e9)


def test_the_latency_is_shortened_by_handing_over_but_by_no_more_than_the_most() -> None:
    loop = Loop(Ledger())
    for _ in range(100):
        loop.wake(0, Slow())
        loop.turn([])
    assert LEAD_NS * 0.9 < loop.lead_ns <= LEAD_NS


def test_latency_can_be_changed_while_running(redis_url: str) -> None:
    with Proxy(redis=redis_url, latency_ns=0) as proxy:
        assert any("upper bound" in note for note in proxy.trace().notes)
        proxy.latency(HOLD_NS)
        assert proxy.latency_ns == HOLD_NS
        with redis.Redis.from_url(proxy.url("redis")) as client, proxy.record() as seen:
            client.get("a")
    assert seen.trace.redis.round_trips == 1
    assert seen.trace.notes == ()


@pytest.mark.parametrize("latency_ns", [-1, True, 1.5])
def test_a_latency_that_is_none_is_refused(redis_url: str, latency_ns: Any) -> None:
    with Proxy(redis=redis_url) as proxy, pytest.raises(ValueError, match="expected nanoseconds"):
        proxy.latency(latency_ns)


def test_forgotten_round_trips_are_not_counted_again(redis_url: str) -> None:
    with Proxy(redis=redis_url) as proxy, redis.Redis.from_url(proxy.url("redis")) as client:
        client.get("a")
        proxy.forget()
        client.get("b")
        assert (proxy.trace().redis.round_trips, proxy.trace().redis.connections) == (1, 0)
