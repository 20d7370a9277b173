"""The lines of what is counted on the wire: the same as in the clients, where these are in this process."""

import json

import pytest

BOTH = ("--redisperf", "--redisperf-redis=embedded", "--redisperf-postgres=embedded", "-Werror", "-p", "no:randomly")
SAME = """
    import asyncio
    import json
    from pathlib import Path

    import asyncpg
    import psycopg
    import psycopg2
    import pytest
    import redis
    import redis.asyncio

    @pytest.fixture(autouse=True)
    def told(redisperf, request):
        yield
        work = redisperf.trace.charged
        told = [[[each.shape for each in trip.operations], trip.site and trip.site.line] for trip in work]
        (request.path.parent / f"{request.node.name}.json").write_text(json.dumps(told))

    def test_redis(redisperf_redis_url):
        with redis.Redis.from_url(redisperf_redis_url) as client:
            for number in range(3):
                client.get(f"user:{number}")
            pipeline = client.pipeline(transaction=False)
            pipeline.get("a").get("b")
            pipeline.execute()

    def test_redis_asyncio(redisperf_redis_url):
        async def main():
            async with redis.asyncio.Redis.from_url(redisperf_redis_url) as client:
                for number in range(3):
                    await client.get(f"user:{number}")
                await asyncio.gather(client.get("a"), client.get("a"))

        asyncio.run(main())

    def test_psycopg(redisperf_postgres_dsn):
        with psycopg.connect(redisperf_postgres_dsn) as connection:
            for number in range(3):
                connection.execute("select %s::int", [number])
            connection.execute("select 1")

    def test_psycopg_asyncio(redisperf_postgres_dsn):
        async def main():
            async with await psycopg.AsyncConnection.connect(redisperf_postgres_dsn) as connection:
                for number in range(3):
                    await connection.execute("select %s::int", [number])
                await asyncio.gather(connection.execute("select 1"))
                await asyncio.create_task(connection.cursor().execute("select 2"))

        asyncio.run(main())

    def test_asyncpg(redisperf_postgres_dsn):
        async def main():
            connection = await asyncpg.connect(redisperf_postgres_dsn)
            for number in range(3):
                await connection.fetch("select $1::int", number)
            await asyncio.gather(connection.fetchval("select 1"))
            await asyncio.create_task(connection.execute("select 2"))
            await connection.close()

        asyncio.run(main())

    def test_psycopg2(redisperf_postgres_dsn):
        connection = psycopg2.connect(redisperf_postgres_dsn)
        with connection, connection.cursor() as cursor:
            for number in range(3):
                cursor.execute("select %s", [number])
            cursor.executemany("select %s", [[1], [2]])
        connection.close()
"""


def seen(run, pytester, tap):
    """What each test's round trips asked and at which line, and the suspects of the summary."""
    result = run(SAME, f"--redisperf-tap={tap}", *BOTH)
    result.assert_outcomes(passed=6)
    lines = {path.stem: json.loads(path.read_text()) for path in pytester.path.glob("test_*.json")}
    return lines, [line for line in result.outlines if line.startswith(("suspected N+1", "    in the loop of"))]


def test_lines_and_suspects_are_the_same_in_the_clients_and_on_the_wire(run, pytester):
    lines, suspects = seen(run, pytester, "clients")
    assert len(lines) == 6
    assert [line for told in lines.values() for _, line in told if line is None] == []
    assert [line[:13] for line in suspects] == ["suspected N+1", "    in the lo"] * 6
    assert seen(run, pytester, "proxy") == (lines, suspects)


def test_a_client_in_another_process_has_no_line(run):
    run(
        """
        import subprocess
        import sys

        def test_it(redisperf_proxy):
            program = "import sys, redis; redis.Redis.from_url(sys.argv[1]).get('a')"
            with redisperf_proxy.budget(redis=1) as spent:
                subprocess.run([sys.executable, "-c", program, redisperf_proxy.redis_url], check=True)
            assert [trip.site for trip in spent.redis] == [None]
            assert spent.trace.round_trips[0].client.startswith("127.0.0.1:")
        """,
        "--redisperf-redis=embedded",
        "-Werror",
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("tap", ["clients", "proxy"])
def test_a_client_that_does_not_fit_its_tap_costs_the_wire_its_lines_only(run, monkeypatch, tap):
    import redis.connection

    monkeypatch.delattr(redis.connection.UnixDomainSocketConnection, "_connect")
    result = run(
        """
        def test_it(redisperf, redisperf_redis):
            with redisperf.budget(redis=1) as spent:
                redisperf_redis.get("a")
            assert [trip.site for trip in spent.redis] == [None]
        """,
        f"--redisperf-tap={tap}",
        "--redisperf-redis=embedded",
    )
    if tap == "proxy":
        result.assert_outcomes(passed=1)
    else:
        result.stderr.fnmatch_lines(["ERROR: redisperf: redis-py * has no *UnixDomainSocketConnection._connect, *"])
