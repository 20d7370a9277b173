"""Each worker of pytest-xdist has servers of its own, and so has each of several runs at once."""

import subprocess
import sys

import pytest

SUITE = """
    import os
    from pathlib import Path

    import pytest

    @pytest.mark.parametrize("number", range({tests}))
    def test_it(number, redisperf_redis, redisperf_redis_url, redisperf_postgres, redisperf_postgres_dsn):
        redisperf_redis.set("mine", os.environ.get("PYTEST_XDIST_WORKER", "none"))
        assert redisperf_redis.dbsize() == 1
        redisperf_postgres.execute("create table mine (number int)")
        server = redisperf_postgres_dsn.rpartition("/")[0]
        name = f"{{os.environ.get('PYTEST_XDIST_WORKER', 'none')}}-{{os.getpid()}}-{{number}}"
        Path("seen", name).write_text(f"{{redisperf_redis_url}} {{server}}")
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """`suite(tests)` writes it; returns the addresses that were seen, by worker, when called without."""
    monkeypatch.setenv("REDISPERF_REDIS", "embedded")
    monkeypatch.setenv("REDISPERF_POSTGRES", "embedded")
    (pytester.path / "seen").mkdir()

    def suite(tests=0):
        if tests:
            pytester.makepyfile(test_it=SUITE.format(tests=tests))
        seen = {}
        for path in (pytester.path / "seen").iterdir():
            seen.setdefault(path.name.rpartition("-")[0], set()).add(path.read_text())
        return seen

    return suite


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_workers_share_nothing(workers, suite, run_pytest):
    suite(tests=2 * workers)
    result = run_pytest("-p", "xdist", "-n", str(workers), subprocess=True)
    result.assert_outcomes(passed=2 * workers)
    servers = suite()
    assert 1 <= len(servers) <= workers
    assert all(len(addresses) == 1 for addresses in servers.values())
    redis, postgres = zip(*(next(iter(addresses)).split() for addresses in servers.values()), strict=True)
    assert len(set(redis)) == len(set(postgres)) == len(servers)


def test_runs_at_once_share_nothing(suite, pytester):
    suite(tests=4)
    program = [sys.executable, "-m", "pytest", "-p", "redisperf", "-p", "xdist", "-p", "no:cacheprovider", "-n", "2"]
    programs = [[*program, f"--basetemp={pytester.path}/temporary-{number}"] for number in range(2)]
    runs = [subprocess.Popen(program, cwd=pytester.path, stdout=-1, text=True) for program in programs]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)
    addresses = [address for server in suite().values() for address in server]
    assert len(addresses) == len(set(addresses)) == len(suite())


def test_the_controller_starts_nothing(suite, pytester, run_pytest):
    suite(tests=2)
    pytester.makeconftest(
        """
        import sys

        def pytest_sessionfinish(session):
            if not hasattr(session.config, "workerinput"):
                open("loaded", "w").write(" ".join(name for name in sys.modules if "redis" in name))
        """
    )
    pytester.runpytest_subprocess("-p", "redisperf", "-p", "xdist", "-n", "1").assert_outcomes(passed=2)
    pytester.runpytest_subprocess("-p", "redisperf", "-p", "xdist", "-n", "1").assert_outcomes(passed=2)
    assert "pytest_redisperf.servers" not in (pytester.path / "loaded").read_text().split()
