"""Latency where tests are counted in the clients: in process for blocking redis-py, by the proxy for all others."""

import pytest

EMBEDDED = ("--redisperf-redis=embedded", "--redisperf-postgres=embedded", "-Werror", "-p", "no:randomly")
TOOK = """
    import asyncio

    import pytest
    import redis
    from redis_perf.recording import pace

    def took(recording):
        return [trip.ended_ns - trip.started_ns for trip in recording.trace.charged]

"""


def shown(result):
    """The lines of a failure, without pytest's margin."""
    return [line[1:].strip() for line in result.outlines if line.startswith("E ")]


def test_all_clients_on_the_fixtures_urls_are_slowed_down_once_and_counted_with_their_lines(run):
    result = run(
        TOOK
        + """
    def test_it(redisperf, redisperf_redis, redisperf_redis_url, redisperf_postgres, redisperf_async_redis):
        with redis.Redis.from_url(redisperf_redis_url) as by_url:
            redisperf_redis.ping(), by_url.ping()
            with redisperf.budget(redis=redisperf.exactly(3), postgres=redisperf.exactly(2)) as spent:
                redisperf_redis.get("a")
                by_url.get("a")
                redisperf_postgres.execute("select 1")
                asyncio.run(redisperf_async_redis.get("a"))
        assert min(took(spent)) >= 20_000_000
        assert None not in [trip.site for trip in spent.trace.round_trips]
        assert len(pace().slowed) == 1
    """,
        "--redisperf",
        "--redisperf-latency=40ms",
        *EMBEDDED,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["redisperf: *, 40 ms a reply | redis embedded*"])


def test_a_blocking_redis_client_is_slowed_down_in_a_block_or_to_the_end_of_the_test(run):
    run(
        TOOK
        + """
    def test_block(redisperf, redisperf_redis):
        redisperf_redis.ping()
        with redisperf.latency("40ms"), redisperf.record() as slow:
            redisperf_redis.get("a")
            with redisperf_redis.pipeline() as pipeline:
                pipeline.get("a").get("b").execute()
            with redisperf.latency("80ms"), redisperf.record() as slower:
                redisperf_redis.get("a")
        assert pace().latency_ns == 0
        assert (slow.redis.round_trips, min(took(slow)) >= 20_000_000) == (3, True)
        assert took(slower)[0] >= 60_000_000

    def test_rest(redisperf, redisperf_redis):
        redisperf.latency("40ms")
        with redisperf.budget(redis=1) as spent:
            redisperf_redis.get("a")
        assert took(spent)[0] >= 20_000_000

    def test_next(redisperf):
        assert pace().latency_ns == 0
    """,
        *EMBEDDED,
    ).assert_outcomes(passed=3)


@pytest.mark.parametrize("how", ["with redisperf.latency('2ms'):", "if redisperf.latency('2ms'):"])
def test_what_cannot_be_slowed_down_is_an_error_that_says_how_it_can(run, how):
    result = run(
        f"""
        def test_it(redisperf, redisperf_redis, redisperf_postgres):
            {how}
                redisperf_redis.get("a")
                redisperf_postgres.execute("select 1")
        """,
        *EMBEDDED,
    )
    result.assert_outcomes(**({"failed": 1} if how.startswith("with") else {"passed": 1, "errors": 1}))
    assert shown(result)[-1].endswith(
        "UsageError: redisperf.latency: 2 postgres round trips (BEGIN) took no longer than ever: in this process only "
        "blocking redis-py clients can be slowed down; run with --redisperf-tap=proxy, or with "
        "--redisperf-latency=0ms, so that the fixtures' URLs lead through the proxy"
    )


def test_with_a_latency_of_0_ms_a_test_can_slow_all_of_them_down(run):
    run(
        TOOK
        + """
    def test_it(redisperf, redisperf_redis, redisperf_postgres):
        with redisperf.latency("40ms"), redisperf.record() as slow:
            redisperf_redis.get("a")
            redisperf_postgres.execute("select 1")
        assert min(took(slow)) >= 20_000_000
    """,
        "--redisperf-latency=0ms",
        *EMBEDDED,
    ).assert_outcomes(passed=1)


def test_a_client_in_the_place_of_a_server_cannot_be_slowed_down(run):
    result = run("def test_it(redisperf_redis): pass", "--redisperf-latency=2ms")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "redisperf: redis=fake lives in the client and cannot be slowed down; "
            "use --redisperf-redis=embedded or no --redisperf-latency"
        ]
    )


def test_a_latency_that_is_no_time_is_refused(run):
    result = run("def test_it(redisperf): redisperf.latency('2')")
    result.assert_outcomes(failed=1)
    assert shown(result) == ["ValueError: '2' is not a time; give a number with a unit, such as 2ms"]
