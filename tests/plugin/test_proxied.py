"""The wire proxy in tests: its own fixture, and whole runs counted on the wire instead of in the clients."""

import pytest

EMBEDDED = ("--redisperf-redis=embedded", "--redisperf-postgres=embedded", "-Werror")
PROXY = ("--redisperf-tap=proxy", *EMBEDDED)


def shown(result):
    """The lines of a failure, without pytest's margin."""
    return [line[1:].strip() for line in result.outlines if line.startswith("E ")]


# --- the fixture, beside taps in the clients


def test_a_program_of_any_kind_is_counted_through_its_urls(run):
    run(
        """
        import subprocess
        import sys

        PROGRAM = (
            "import sys, redis, psycopg\\n"
            "redis.Redis.from_url(sys.argv[1]).set('from', 'outside')\\n"
            "with psycopg.connect(sys.argv[2]) as connection:\\n"
            "    connection.execute('create table seen (id int)')\\n"
        )

        def test_it(redisperf_proxy, redisperf_redis, redisperf_postgres):
            urls = [redisperf_proxy.redis_url, redisperf_proxy.postgres_dsn]
            Spend, exactly = redisperf_proxy.Spend, redisperf_proxy.exactly
            with redisperf_proxy.budget(redis=exactly(1), postgres=Spend(round_trips=exactly(3), commits=1)) as spent:
                subprocess.run([sys.executable, "-c", PROGRAM, *urls], check=True)
            assert spent.redis.shapes == ["SET from"]
            assert spent.trace.setup.redis.round_trips and spent.trace.problems == ()
            assert redisperf_redis.get("from") == b"outside"
            assert redisperf_postgres.execute("select count(*) from seen").fetchone() == (0,)
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=1)


def test_an_overspent_budget_reads_as_any_other(run, push_module):
    result = run(
        """
        import memory
        import redis

        def test_it(redisperf_proxy):
            with redis.Redis.from_url(redisperf_proxy.redis_url) as client:
                with redisperf_proxy.budget(redis=1):
                    memory.push(client)
        """,
        *EMBEDDED,
    )
    result.assert_outcomes(failed=1)
    assert shown(result) == [
        "redis round trips: budget 1, spent 3   (3 commands, depth 3; 6 ms at 2 ms a trip, 90 ms at 30 ms)",
        "1  RPUSH working:{}:turns     memory.py:2 in push",
        "1  LTRIM working:{}:turns     memory.py:3 in push",
        "1  EXPIRE working:{}:turns    memory.py:4 in push",
        "3 commands in a row on one connection: if none needs another's reply, "
        "one pipeline or MULTI would be 1 round trip (saves 2)",
    ]


def test_a_recording_holds_what_passed_and_nothing_that_went_straight(run):
    run(
        """
        import redis

        def test_it(redisperf_proxy, redisperf_redis):
            with redis.Redis.from_url(redisperf_proxy.redis_url) as client:
                client.get("before")
                with redisperf_proxy.record() as outer:
                    client.get("a")
                    with redisperf_proxy.record() as inner:
                        client.get("b")
                        redisperf_redis.get("straight")
                        assert inner.redis.shapes == ["GET b"]
                    client.get("c")
                client.get("after")
            assert (outer.redis.shapes, inner.trace.redis.shapes) == (["GET a", "GET b", "GET c"], ["GET b"])
            assert [trip.site.line for trip in outer.redis] == [7, 9, 12]
            assert outer.trace.children == 0
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=1)


def test_a_server_first_asked_for_inside_a_recording_is_in_it(run):
    run(
        """
        import pytest
        import redis

        def test_it(redisperf_proxy):
            seen = redisperf_proxy.record()
            with pytest.raises(RuntimeError, match="this recording has not begun"):
                seen.trace
            with seen:
                with redis.Redis.from_url(redisperf_proxy.redis_url) as client:
                    client.get("a")
            assert (seen.redis.round_trips, seen.redis.connections) == (1, 1)
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=1)


def test_the_proxies_are_not_reported_as_processes_of_the_tests(run):
    result = run("def test_it(redisperf_proxy): redisperf_proxy.redis_url", "--redisperf", *EMBEDDED)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("not counted: *")


def test_every_test_finds_its_servers_clean_and_the_same_proxy(run):
    run(
        """
        import psycopg
        import pytest
        import redis

        urls = set()

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(turn, redisperf_proxy):
            with redis.Redis.from_url(redisperf_proxy.redis_url) as client:
                assert client.incr("count") == 1
            with psycopg.connect(redisperf_proxy.postgres_dsn) as connection:
                connection.execute("create table left_behind (id int)")
            urls.add(redisperf_proxy.redis_url)
            urls.add(redisperf_proxy.postgres_dsn.rpartition("/")[0])
            assert len(urls) == 2
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=2)


def test_latency_is_added_in_a_block_or_to_the_end_of_the_test(run):
    run(
        """
        import redis
        from pytest_redisperf.wire import wire_of
        from redis_perf.proxy.keeping import LATE_NS

        def took(client, proxy):
            with proxy.record() as seen:
                client.get("a")
            (trip,) = seen.redis
            return trip.ended_ns - trip.started_ns

        def test_block(redisperf_proxy, request):
            with redis.Redis.from_url(redisperf_proxy.redis_url) as client:
                client.ping()
                with redisperf_proxy.latency("40ms"):
                    assert took(client, redisperf_proxy) >= 40_000_000 - LATE_NS
                    with redisperf_proxy.latency("80ms"):
                        assert took(client, redisperf_proxy) >= 80_000_000 - LATE_NS
                    assert wire_of(request.config).latency_ns == 40_000_000
                redisperf_proxy.latency("60ms")
                assert took(client, redisperf_proxy) >= 60_000_000 - LATE_NS

        def test_next(redisperf_proxy, request):
            assert wire_of(request.config).latency_ns == 1_000_000
        """,
        "-p",
        "no:randomly",
        *EMBEDDED,
    ).assert_outcomes(passed=2)


def test_a_latency_that_is_no_time_is_refused(run):
    result = run("def test_it(redisperf_proxy): redisperf_proxy.latency('2')", *EMBEDDED)
    result.assert_outcomes(failed=1)
    assert shown(result) == ["ValueError: '2' is not a time; give a number with a unit, such as 2ms"]


def test_a_server_the_proxy_cannot_stand_before_fails_the_test_with_the_reason_only(run):
    result = run(
        """
        from pytest_redisperf.wire import wire_of

        def test_it(request):
            wire_of(request.config).through("redis", "http://127.0.0.1:1/0")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("During handling of *")
    result.stdout.fnmatch_lines(["redisperf: redis: 'http' is no scheme the proxy knows; it knows *"])


def test_a_proxy_that_died_fails_the_budgets_on_its_store(run):
    result = run(
        """
        import redis
        from pytest_redisperf.wire import wire_of

        def test_it(redisperf_proxy, request):
            with redis.Redis.from_url(redisperf_proxy.redis_url) as client:
                client.get("a")
            proxy = wire_of(request.config)._proxy
            with redisperf_proxy.budget(redis=1, allow_nothing=True):
                proxy._process.kill()
                proxy._process.wait()
        """,
        *EMBEDDED,
    )
    result.assert_outcomes(failed=1)
    assert shown(result) == [
        "not everything was seen: the proxy process has ended (status -9); what it had seen is lost; "
        "what followed on that connection is not counted"
    ]


# --- a whole run on the wire

SAME = """
    import asyncio

    import psycopg
    import pytest
    import redis

    @pytest.mark.redisperf(redis=redisperf_exactly(2), postgres=redisperf_exactly(3))
    def test_marked(redisperf_redis, redisperf_postgres):
        redisperf_redis.set("a", 1)
        redisperf_redis.get("a")
        redisperf_postgres.execute("select 1")
        redisperf_postgres.commit()

    def test_blocks(redisperf, redisperf_redis_url, redisperf_postgres_dsn):
        with redisperf.budget(redis=redisperf.exactly(1), postgres=redisperf.exactly(2)) as spent:
            with redis.Redis.from_url(redisperf_redis_url) as client:
                client.get("a")
            with psycopg.connect(redisperf_postgres_dsn, autocommit=True) as connection:
                connection.execute("select 1")
                connection.execute("select 2")
        assert spent.redis.connections == spent.postgres.connections == 1
        assert redisperf.trace.redis.round_trips == 1

    def test_async(redisperf, redisperf_async_redis, redisperf_async_postgres):
        async def work():
            async with redisperf_async_postgres() as connection:
                await connection.execute("select 1")
            return await redisperf_async_redis.get("a")

        with redisperf.budget(redis=redisperf.exactly(1), postgres=redisperf.exactly(3)):
            asyncio.run(work())

    def test_more_servers(redisperf, redisperf_redis_url, redisperf_redis_factory, redisperf_postgres_factory):
        with redisperf.budget(redis=redisperf.exactly(2), postgres=redisperf.exactly(1)) as spent:
            for url in (redisperf_redis_url, redisperf_redis_factory()):
                with redis.Redis.from_url(url) as client:
                    client.get("a")
            with psycopg.connect(redisperf_postgres_factory(), autocommit=True) as connection:
                connection.execute("select 1")
        assert len({trip.connection for trip in spent.redis}) == 2
""".replace("redisperf_exactly", "__import__('redis_perf').exactly")


@pytest.mark.parametrize("tap", ["clients", "proxy"])
def test_the_same_budgets_hold_in_the_clients_and_on_the_wire(run, tap):
    run(SAME, f"--redisperf-tap={tap}", *EMBEDDED).assert_outcomes(passed=4)


def test_the_same_budgets_hold_in_the_workers_of_xdist(run):
    run(SAME, "-p", "xdist", "-n2", *PROXY, subprocess=True).assert_outcomes(passed=4)


def test_header_and_summary_are_of_the_wire(run, push_module):
    result = run(
        """
        import memory

        def test_push(redisperf_redis):
            memory.push(redisperf_redis)
        """,
        "--redisperf",
        "--redisperf-latency=2ms",
        *PROXY,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "redisperf: wire proxy, 2 ms a reply | redis embedded (Valkey *), postgres embedded (PostgreSQL *) | "
            "network 2 ms, 30 ms",
            "round trips by test, setup and teardown apart:",
            "      3         0           3      3       6 ms  test_header_and_summary_are_of_the_wire.py::test_push",
            "connecting, not charged: * redis and 0 postgres round trips, for 1 connection opened",
        ]
    )
    result.stdout.no_fnmatch_line("not counted*")


def test_without_latency_the_header_says_that_counts_are_upper_bounds(run):
    result = run("def test_it(): pass", "--redisperf", "--redisperf-latency=0ms", *PROXY)
    result.stdout.fnmatch_lines(["redisperf: wire proxy, no latency: counts are upper bounds | *"])


def test_an_overspent_marker_fails_the_test_on_the_wire(run, push_module):
    result = run(
        """
        import memory
        import pytest

        @pytest.mark.redisperf(redis=2)
        def test_it(redisperf_redis):
            memory.push(redisperf_redis)
        """,
        *PROXY,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["redis round trips: budget 2, spent 3   (3 commands, depth 3; 6 ms at 2 ms a trip, 90 ms at 30 ms)"]
    )


def test_a_budget_that_saw_nothing_says_what_the_proxy_can_see(run):
    result = run(
        """
        def test_it(redisperf):
            with redisperf.budget(redis=1):
                pass
        """,
        *PROXY,
    )
    result.assert_outcomes(failed=1)
    assert shown(result)[:2] == [
        "redis: nothing measured: a budget was set, but no redis traffic was seen, so it proves nothing",
        "proxy of redis: not started, for no fixture was asked for a URL; only what goes through it is seen",
    ]


def test_the_stand_in_for_postgres_is_counted_on_the_wire(run):
    run(
        """
        def test_it(redisperf, redisperf_fake_postgres, redisperf_postgres):
            redisperf_fake_postgres.on("SELECT name").rows([("ada",)])
            with redisperf.budget(postgres=redisperf.exactly(2)):
                assert redisperf_postgres.execute("SELECT name").fetchall() == [("ada",)]
        """,
        "--redisperf-tap=proxy",
        "--redisperf-postgres=fake",
        "-Werror",
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("fixture", ["redisperf_redis", "redisperf_async_redis"])
def test_a_fake_redis_has_no_wire_and_says_so(run, fixture):
    result = run(f"def test_it({fixture}): pass", "--redisperf-tap=proxy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "redisperf: redis=fake lives in the client, so nothing passes the proxy; "
            "use --redisperf-redis=embedded or --redisperf-tap=clients"
        ]
    )


def test_redisperf_latency_is_the_proxys_and_ends_with_the_test(run):
    run(
        """
        from pytest_redisperf.wire import wire_of
        from redis_perf.proxy.keeping import LATE_NS

        def test_set(redisperf, redisperf_redis):
            redisperf_redis.ping()
            redisperf.latency("40ms")
            with redisperf.budget(redis=1) as spent:
                redisperf_redis.get("a")
            (trip,) = spent.redis
            assert trip.ended_ns - trip.started_ns >= 40_000_000 - LATE_NS

        def test_next(redisperf, request):
            assert wire_of(request.config).latency_ns == 3_000_000
        """,
        "-p",
        "no:randomly",
        "--redisperf-latency=3ms",
        *PROXY,
    ).assert_outcomes(passed=2)


def test_a_test_that_stops_the_clock_is_counted_on_the_wire_too(run):
    run(
        """
        import sys
        import time

        def test_it(redisperf, redisperf_redis, monkeypatch):
            real = time.monotonic_ns
            for name, module in list(sys.modules.items()):
                if name.startswith("redis_perf.") and getattr(module, "monotonic_ns", None) is real:
                    monkeypatch.setattr(module, "monotonic_ns", lambda: 0)
            with redisperf.budget(redis=redisperf.exactly(1)):
                redisperf_redis.get("a")
        """,
        *PROXY,
    ).assert_outcomes(passed=1)
