"""How clean a test's servers are, as options, ini keys, markers and fixtures say it."""

import os
import re
import signal
import time
from pathlib import Path

import psycopg
import pytest

from pytest_redisperf import isolation
from redis_perf import servers

EMBEDDED = ("--redisperf-redis=embedded", "--redisperf-postgres=embedded", "-Werror")
FOUR_TESTS = """
    import pytest

    @pytest.mark.parametrize("turn", range(4))
    def test_it(turn, redisperf_postgres):
        (database,) = redisperf_postgres.execute("SELECT current_database()").fetchone()
        with open("seen", "a") as seen:
            print(database, redisperf_postgres.info.backend_pid, file=seen)
        assert redisperf_postgres.execute("INSERT INTO users DEFAULT VALUES RETURNING id").fetchone() == (1,)
        if turn != 2:
            redisperf_postgres.commit()
"""


@pytest.fixture
def seen(pytester, run):
    """The databases and the connections that four tests had, in turn."""
    pytester.path.joinpath("schema.sql").write_text("CREATE TABLE users (id serial)")

    def seen(*options, source=FOUR_TESTS):
        run(source, "--redisperf-schema=schema.sql", *EMBEDDED, *options).assert_outcomes(passed=4)
        lines = pytester.path.joinpath("seen").read_text().split()
        return lines[::2], lines[1::2]

    return seen


def test_by_default_each_test_has_a_new_database_with_the_schema(seen):
    databases, connections = seen()
    assert len(set(databases)) == 4
    assert len(set(connections)) == 4


def test_reset_keeps_the_database_but_not_what_was_written(seen):
    databases, connections = seen("--redisperf-isolation=reset")
    assert len(set(databases)) == 1
    assert len(set(connections)) == 4


def test_rollback_keeps_the_connection_too_and_a_commit_leaves_nothing(seen):
    databases, connections = seen("--redisperf-isolation=rollback")
    assert len(set(databases)) == 1
    assert len(set(connections)) == 1


def test_rollback_through_the_proxy(seen):
    databases, connections = seen("--redisperf-isolation=rollback", "--redisperf-tap=proxy")
    assert len(set(databases)) == 1
    assert len(set(connections)) == 1


def test_a_marker_wins_over_the_option(seen):
    source = FOUR_TESTS.replace("    @pytest", '    @pytest.mark.redisperf_isolation("rollback")\n    @pytest', 1)
    databases, connections = seen("--redisperf-isolation=database", source=source)
    assert len(set(databases)) == 1
    assert len(set(connections)) == 1


@pytest.mark.parametrize("mode", ["database", "reset", "rollback"])
def test_what_keeps_tests_apart_is_not_counted_in_them(pytester, run, mode):
    pytester.path.joinpath("schema.sql").write_text("CREATE TABLE users (id serial)")
    result = run(
        """
        import pytest

        @pytest.mark.redisperf(postgres=3)
        @pytest.mark.parametrize("turn", range(3))
        def test_it(turn, redisperf, redisperf_postgres):
            with redisperf.budget(postgres=redisperf.Spend(round_trips=redisperf.exactly(3), commits=1)):
                redisperf_postgres.execute("INSERT INTO users DEFAULT VALUES")
                redisperf_postgres.commit()
        """,
        "--redisperf",
        "--redisperf-schema=schema.sql",
        f"--redisperf-isolation={mode}",
        *EMBEDDED,
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*      0         9           9 * in all, 3 tests"])
    result.stdout.no_fnmatch_line("around the tests: *")
    result.stdout.no_fnmatch_line("not counted: *")


def test_a_schema_can_be_a_fixture_whose_traffic_is_nobodys(pytester, run):
    pytester.makeconftest(
        """
        import psycopg
        import pytest

        calls = []

        @pytest.fixture(scope="session")
        def redisperf_postgres_schema():
            def make(dsn):
                calls.append(dsn)
                assert len(calls) == 1
                with psycopg.connect(dsn) as connection:
                    connection.execute("CREATE TABLE users (id serial)")
            return make
        """
    )
    result = run(
        """
        import psycopg

        def test_one(redisperf, redisperf_postgres_dsn):
            assert redisperf.trace.every.postgres.round_trips == 0
            with psycopg.connect(redisperf_postgres_dsn) as connection:
                assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)

        def test_other(redisperf_postgres_factory):
            with psycopg.connect(redisperf_postgres_factory()) as connection:
                assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        """,
        "--redisperf",
        *EMBEDDED,
    )
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("around the tests: setup*")


def test_a_mistake_in_the_schema_is_told_once(pytester, run):
    pytester.path.joinpath("schema.sql").write_text("CREATE TABLE users (id nothing)")
    result = run(
        """
        def test_one(redisperf_postgres_dsn): pass
        def test_two(redisperf_postgres_dsn): pass
        """,
        "--redisperf-schema=schema.sql",
        *EMBEDDED,
    )
    result.assert_outcomes(errors=2)
    told = [line for line in result.outlines if line.startswith("redisperf: ")]
    assert told == [
        f'redisperf: redisperf_schema: {pytester.path}/schema.sql, line 1: type "nothing" does not exist (42704)',
        "redisperf: no schema in this run, see the error of test_a_mistake_in_the_schema_is_told_once.py::test_one",
    ]


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        ("'fresh'", "'fresh' is no isolation; give 'database' or 'reset' or 'rollback'"),
        ("redis='new'", "'new' is no isolation; give 'reset' or 'fresh'"),
        ("mode='reset'", "*unexpected keyword argument 'mode'"),
    ],
)
def test_a_marker_that_cannot_be_read_says_so(run, marker, problem):
    result = run(
        f"""
        import pytest

        @pytest.mark.redisperf_isolation({marker})
        def test_it(redisperf_postgres_dsn, redisperf_redis_url): pass
        """,
        *EMBEDDED,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"redisperf: @pytest.mark.redisperf_isolation: {problem}"])


def test_a_bad_mode_is_a_usage_error(run):
    result = run("def test_it(): pass", "--redisperf-isolation=none")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--redisperf-isolation: 'none' is no isolation; give database, reset or rollback"])


@pytest.fixture
def somebody_elses():
    """The URLs of a Redis and a Postgres that inner runs take for somebody else's."""
    running = servers.redis("embedded"), servers.postgres("embedded")
    yield running[0].url, running[1].dsn
    for server in running:
        server.stop()


def test_nothing_is_done_to_somebody_elses_servers(run, somebody_elses):
    redis_url, postgres_dsn = somebody_elses
    result = run(
        """
        import pytest

        def test_postgres(redisperf_postgres_dsn): pass

        @pytest.mark.redisperf_isolation(redis="fresh")
        def test_redis(redisperf_redis_url): pass
        """,
        f"--redisperf-redis={redis_url}",
        f"--redisperf-postgres={postgres_dsn}",
        "--redisperf-schema=schema.sql",
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "redisperf: redisperf_schema is for servers of ours, which postgresql://* is not; *",
            f"redisperf: *redis='fresh') needs a server of ours, which {redis_url} is not; *",
        ]
    )


def test_a_fresh_redis_is_another_server_each_time(run):
    result = run(
        """
        import pytest

        seen = set()

        @pytest.mark.redisperf_isolation(redis="fresh")
        @pytest.mark.parametrize("turn", range(3))
        def test_it(turn, redisperf, redisperf_redis):
            with redisperf.budget(redis=1):
                run_id = redisperf_redis.info("server")["run_id"]
            assert run_id not in seen
            seen.add(run_id)
            redisperf_redis.config_set("maxmemory", "123mb")

        def test_the_usual_one(redisperf_redis):
            assert redisperf_redis.config_get("maxmemory") == {"maxmemory": "0"}
        """,
        "--redisperf",
        *EMBEDDED,
    )
    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("not counted: *")


def test_as_many_fresh_servers_are_started_ahead_as_it_takes_that_no_test_waits(monkeypatch):
    class Starting:
        ready = False

        def __init__(self, start):
            self.result = start

        def stop(self):
            self.result().stop()

    class Server:
        owned = True

        def stop(self):
            stopped.append(self)

    class Servers:
        def start(self):
            server = Server()
            started.append(server)
            return server

    started, stopped, ahead = [], [], []
    monkeypatch.setattr("pytest_redisperf.ahead.Ahead", Starting)
    fresh = isolation.FreshRedis()
    for _ in range(6):
        with fresh.server(Servers()) as server:
            ahead.append(len(fresh._spares))
        assert stopped[-1] is server
    assert ahead == [1, 2, 3, 4, 4, 4]
    Starting.ready = True
    fresh.close()
    assert stopped == started


@pytest.mark.parametrize("mode", ["database", "reset", "rollback"])
@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["serial", "xdist"])
def test_the_database_of_a_failed_test_can_be_entered_after_the_run(pytester, run, mode, workers):
    result = run(
        """
        def test_fails(redisperf_postgres):
            redisperf_postgres.execute("CREATE TABLE left_behind AS SELECT 42 AS answer")
            assert not "reached"

        def test_passes(redisperf_postgres):
            assert redisperf_postgres.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)
        """,
        "--redisperf-keep-failed",
        f"--redisperf-isolation={mode}",
        *workers,
        *EMBEDDED,
        subprocess=True,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*- redisperf: the database of this test is kept -*", "*= redisperf: kept databases =*"]
    )
    dsns = re.findall(r"psql '(postgresql://[^']*)'", result.stdout.str())
    waiting = int(re.findall(r"to end its server sooner: kill (\d+)", result.stdout.str())[0])
    assert len(dsns) == 2
    try:
        with psycopg.connect(dsns[0]) as connection:
            assert connection.execute("SELECT answer FROM left_behind").fetchone() == (42,)
            (data,) = connection.execute("SHOW data_directory").fetchone()
    finally:
        os.kill(waiting, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while Path(data).parent.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_is_kept_of_tests_that_pass(run):
    result = run("def test_it(redisperf_postgres): pass", "--redisperf-keep-failed", *EMBEDDED)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*kept databases*")


@pytest.mark.parametrize(("fixture", "imported"), [("redisperf_postgres", True), ("redisperf_postgres_dsn", False)])
def test_the_client_of_a_fixture_is_imported_while_its_server_starts(pytester, run, fixture, imported):
    pytester.makeconftest(
        """
        import sys
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_setup():
            print("imported:", "psycopg" in sys.modules)
        """
    )
    result = run(f"def test_it({fixture}): pass", "-s", *EMBEDDED, subprocess=True)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*imported: {imported}*"])
