"""The servers and clients the fixtures give, on embedded servers where a wire is needed."""

import pytest

EMBEDDED = ("--redisperf-redis=embedded", "--redisperf-postgres=embedded", "-Werror")


@pytest.mark.parametrize("choice", ["fake", "embedded"])
def test_every_test_finds_redis_empty(run, choice):
    run(
        """
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(turn, redisperf_redis):
            assert redisperf_redis.keys() == []
            redisperf_redis.set("left", "behind")
        """,
        f"--redisperf-redis={choice}",
        "-Werror",
    ).assert_outcomes(passed=2)


def test_client_and_url_are_of_one_server_and_answers_are_bytes(run):
    run(
        """
        import redis

        def test_it(redisperf_redis, redisperf_redis_url):
            redisperf_redis.set("a", "1")
            with redis.Redis.from_url(redisperf_redis_url) as other:
                assert other.get("a") == b"1"
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=1)


def test_a_fake_redis_has_no_url_and_says_so(run):
    result = run("def test_it(redisperf_redis_url): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["redisperf: redis=fake has no URL: *"])


def test_several_redis_servers_are_apart_and_each_is_empty(run):
    run(
        """
        import pytest
        import redis

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(turn, redisperf_redis_url, redisperf_redis_factory):
            urls = {redisperf_redis_url, redisperf_redis_factory(), redisperf_redis_factory()}
            assert len(urls) == 3
            for url in urls:
                with redis.Redis.from_url(url) as client:
                    assert client.dbsize() == 0
                    client.set("left", "behind")
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize("choice", ["fake", "embedded"])
def test_the_async_client_works_in_one_loop_after_another(run, choice):
    run(
        """
        import asyncio

        def test_it(redisperf, redisperf_async_redis):
            async def both():
                await redisperf_async_redis.set("a", 1)
                return await redisperf_async_redis.get("a")

            with redisperf.budget(redis=redisperf.exactly(4)):
                assert asyncio.run(both()) == b"1"
                assert asyncio.run(both()) == b"1"

        def test_never_used(redisperf_async_redis):
            pass

        def test_a_loop_that_is_left_open(redisperf_async_redis):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(redisperf_async_redis.get("a"))
            loops.append(loop)

        def test_and_closed_later():
            loops.pop().close()

        loops = []
        """,
        f"--redisperf-redis={choice}",
        "-Werror",
    ).assert_outcomes(passed=4)


def test_the_async_client_works_under_uvloop(run):
    pytest.importorskip("uvloop")
    run(
        """
        import uvloop

        def test_it(redisperf_async_redis):
            async def ping():
                return await redisperf_async_redis.ping()

            assert uvloop.run(ping())
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=1)


def test_every_test_has_a_new_database(run):
    run(
        """
        import psycopg
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(turn, redisperf, redisperf_postgres, redisperf_postgres_dsn, redisperf_postgres_factory):
            with redisperf.budget(postgres=redisperf.Spend(round_trips=3, commits=1)):
                redisperf_postgres.execute("CREATE TABLE turns (id int)")
                redisperf_postgres.commit()
            with psycopg.connect(redisperf_postgres_dsn) as same:
                assert same.execute("SELECT count(*) FROM turns").fetchone() == (0,)
            with psycopg.connect(redisperf_postgres_factory()) as other:
                assert other.execute("SELECT to_regclass('turns')").fetchone() == (None,)
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=2)


ASYNC_POSTGRES = """
    async def one(connection):
        return await (await connection.execute("SELECT 1")).fetchone()

    {mark}
    async def test_entered(redisperf_async_postgres):
        async with redisperf_async_postgres() as connection:
            assert await one(connection) == (1,)
        assert connection.closed

    {mark}
    async def test_awaited_and_left_open(redisperf_async_postgres):
        connection = await redisperf_async_postgres(autocommit=True)
        assert connection.autocommit
        assert await one(connection) == (1,)
"""


def test_async_postgres_connections_under_pytest_asyncio(run, pytester):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    source = ASYNC_POSTGRES.format(mark="@pytest.mark.asyncio")
    run("\n    import pytest\n" + source, "-p", "pytest_asyncio.plugin", *EMBEDDED).assert_outcomes(passed=2)


def test_async_postgres_connections_under_anyio(run):
    source = ASYNC_POSTGRES.format(
        mark="@pytest.mark.anyio\n    @pytest.mark.parametrize('anyio_backend', ['asyncio'])"
    )
    run("\n    import pytest\n" + source, "-p", "anyio", *EMBEDDED).assert_outcomes(passed=2)


def test_servers_of_our_own_are_not_reported_as_processes_of_the_tests(run):
    result = run("def test_it(redisperf_redis): redisperf_redis.ping()", "--redisperf", *EMBEDDED)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("not counted: *")


def test_each_worker_of_xdist_has_its_own_server(run):
    run(
        """
        import pytest

        @pytest.mark.parametrize("turn", range(4))
        def test_it(turn, redisperf_redis):
            assert redisperf_redis.incr("count") == 1
        """,
        "-p",
        "xdist",
        "-n2",
        *EMBEDDED,
        subprocess=True,
    ).assert_outcomes(passed=4)


def test_a_server_that_cannot_be_had_fails_the_test_with_the_reason_only(run):
    result = run("def test_it(redisperf_postgres_dsn): pass", "--redisperf-postgres=postgres+x://h/d")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["redisperf: postgres=postgres+x://h/d: no such choice; there are *"])
    result.stdout.no_fnmatch_line("*servers.py*")


def test_a_missing_client_names_the_extra(run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    result = run("def test_it(redisperf_redis): pass", "--redisperf-redis=embedded")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["redisperf: this fixture needs redis-py, which is not installed (*); pip install 'pytest-redisperf*redis*'"]
    )


def test_the_commit_at_the_end_of_an_async_block_is_the_users_line(run):
    run(
        """
        import asyncio

        def test_it(redisperf, redisperf_async_postgres):
            async def ask():
                async with redisperf_async_postgres() as connection:
                    await connection.execute("select 1")

            with redisperf.budget(postgres=redisperf.exactly(3)) as spent:
                asyncio.run(ask())
            assert [trip.site and trip.site.function for trip in spent.postgres] == ["ask"] * 3
        """,
        *EMBEDDED,
    ).assert_outcomes(passed=1)
