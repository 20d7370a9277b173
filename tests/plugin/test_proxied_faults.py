"""Faults by the fixtures: they lie in wait before this test's servers and end with the test."""

EMBEDDED = ("--redisperf-redis=embedded", "--redisperf-postgres=embedded", "-Werror", "-p", "no:randomly")


def shown(result):
    """The lines of a failure, without pytest's margin."""
    return [line[1:].strip() for line in result.outlines if line.startswith("E ")]


def test_a_fault_befalls_this_tests_server_until_it_is_removed_or_the_test_ends(run):
    run(
        """
        import psycopg
        import pytest
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
        from redis_perf.proxy.faults import ErrorReply, Reset, command, every_round_trip

        def client(url):
            return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))

        def test_added(redisperf_proxy):
            lying = redisperf_proxy.faults.add("redis", ErrorReply("LOADING not yet", on=every_round_trip()))
            redisperf_proxy.faults.add("postgres", ErrorReply("40001", "again"))
            with client(redisperf_proxy.redis_url) as plain:
                with pytest.raises(redis.BusyLoadingError):
                    plain.get("a")
                with psycopg.connect(redisperf_proxy.postgres_dsn, autocommit=True) as connection:
                    with pytest.raises(psycopg.errors.SerializationFailure):
                        connection.execute("select 1")
                redisperf_proxy.faults.clear()
                assert plain.get("a") is None
            assert lying.fired == 1
            redisperf_proxy.faults.add("redis", ErrorReply("LOADING not yet", on=every_round_trip()))

        def test_next(redisperf_proxy):
            with client(redisperf_proxy.redis_url) as plain:
                assert plain.get("a") is None

        def test_block(redisperf_proxy):
            with client(redisperf_proxy.redis_url) as plain:
                with redisperf_proxy.faulty("redis", Reset("after", on=command("INCRBY"))) as lying:
                    with pytest.raises(redis.ConnectionError):
                        plain.incr("count")
                assert (lying.fired, plain.get("count")) == (1, b"1")
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=3)


def test_a_server_that_is_not_there_is_named(run):
    result = run(
        """
        from redis_perf.proxy.faults import Stall

        def test_it(redisperf_proxy):
            redisperf_proxy.faults.add("cache", Stall())
        """,
        *EMBEDDED,
    )
    result.assert_outcomes(failed=1)
    assert shown(result)[-1] == (
        "ValueError: 'cache' names no servers before which a proxy stands; "
        "there is none: no fixture was asked for a URL through it"
    )


FAULT_POINTS = '''
    import pytest
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    class Visits:
        """Counts each visitor once, whatever breaks: done again it does no harm."""

        def __init__(self, url):
            self._client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))

        def visit(self, visitor):
            self._client.sadd("visitors", visitor)
            self._client.set("last", visitor)

    def test_a_visit_that_breaks_can_be_made_again(redisperf, redisperf_redis_url, redisperf_redis):
        visits = Visits(redisperf_redis_url)
        places = []
        for point in redisperf.fault_points(lambda: visits.visit("ada")):
            redisperf_redis.flushdb()
            with point, pytest.raises(redis.ConnectionError):
                visits.visit("ada")
            visits.visit("ada")
            assert redisperf_redis.scard("visitors") == 1, point
            places.append(str(point))
        assert places == [
            "redis round trip 1 (SADD visitors), before the server executed it",
            "redis round trip 1 (SADD visitors), after the server executed it",
            "redis round trip 2 (SET last), before the server executed it",
            "redis round trip 2 (SET last), after the server executed it",
        ]
'''


def test_a_function_is_broken_at_each_of_its_round_trips(run):
    run(FAULT_POINTS, "--redisperf-tap=proxy", *EMBEDDED).assert_outcomes(passed=1)


def test_an_async_function_is_broken_on_both_stores(run):
    run(
        """
        import asyncio

        import asyncpg
        import pytest
        import redis
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        def test_it(redisperf_proxy):
            async def run():
                client = redis.asyncio.Redis.from_url(redisperf_proxy.redis_url, retry=Retry(NoBackoff(), 0))
                try:
                    await client.set("a", 1)
                    connection = await asyncpg.connect(redisperf_proxy.postgres_dsn)
                    try:
                        await connection.execute("select 1")
                    finally:
                        connection.terminate()
                finally:
                    await client.aclose()

            async def main():
                places = []
                async for point in redisperf_proxy.fault_points(run):
                    with point, pytest.raises((redis.ConnectionError, asyncpg.PostgresError, OSError)):
                        await run()
                    places.append((point.server, point.number, point.when))
                return places

            assert asyncio.run(main()) == [
                (server, 1, when) for server in ("redis", "postgres") for when in ("before", "after")
            ]

        def test_each_kind_of_function_has_its_loop(redisperf_proxy):
            async def run():
                pass

            async def main():
                async for point in redisperf_proxy.fault_points(lambda: None):
                    pass

            with pytest.raises(TypeError, match="async for point in"):
                next(redisperf_proxy.fault_points(run))
            with pytest.raises(TypeError, match="without `async`"):
                asyncio.run(main())
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=2)


def test_two_servers_of_a_store_are_told_apart_by_their_addresses(run):
    run(
        """
        import pytest
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        def test_it(redisperf, redisperf_redis_url, redisperf_redis_factory):
            clients = [
                redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
                for url in (redisperf_redis_url, redisperf_redis_factory())
            ]

            def run():
                for client in clients:
                    client.get("a")

            points = []
            for point in redisperf.fault_points(run):
                with point, pytest.raises(redis.ConnectionError):
                    run()
                points.append(point)
            assert [(point.number, point.when) for point in points] == [(1, "before"), (1, "after")] * 2
            assert [point.server == point.trip.server for point in points] == [True] * 4
            assert len({point.server for point in points}) == 2
        """,
        "--redisperf-tap=proxy",
        *EMBEDDED,
    ).assert_outcomes(passed=1)


def test_what_does_not_go_through_the_proxy_cannot_break_and_that_is_said(run):
    result = run(
        """
        def test_it(redisperf, redisperf_redis):
            next(redisperf.fault_points(lambda: redisperf_redis.get("a")))
        """,
        *EMBEDDED,
    )
    result.assert_outcomes(failed=1)
    assert shown(result)[-1] == "no round trip passed the proxy: are its URLs in use?"
