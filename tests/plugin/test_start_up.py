"""Servers start before the first test asks for them, and what can go wrong with that."""

import os
import shutil
import sys

import pytest

from redis_perf.servers.watched import run_directory

EMBEDDED = ("--redisperf-redis=embedded", "--redisperf-postgres=embedded")
WAITING = """
    import os, time
    from pathlib import Path

    def wait_for_servers(number):
        deadline = time.monotonic() + 60
        while len(list(Path(os.environ["TMPDIR"]).glob("redisperf-*/log"))) < number:
            assert time.monotonic() < deadline
            time.sleep(0.005)
"""


@pytest.fixture
def runs(pytester, monkeypatch):
    """Where servers put their directories; empty in the end."""
    directory = run_directory()  # in memory, if there is room
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    pytester.makepyfile(waiting=WAITING)
    pytester.syspathinsert()
    yield directory
    assert list(directory.glob("redisperf-*")) == []
    shutil.rmtree(directory)


def test_they_start_while_other_tests_run(pytester, run_pytest, runs):
    pytester.makepyfile(
        """
        from waiting import wait_for_servers

        def test_without_any():
            wait_for_servers(2)

        def test_with_both(redisperf_redis, redisperf_postgres):
            assert redisperf_redis.ping()
            assert redisperf_postgres.execute("select 1").fetchone() == (1,)
        """
    )
    run_pytest(*EMBEDDED, subprocess=True).assert_outcomes(passed=2)


def test_they_start_ahead_in_a_run_that_could_be_distributed_and_has_no_workers(pytester, run_pytest, runs):
    pytester.makepyfile(
        """
        from waiting import wait_for_servers

        def test_without_any():
            wait_for_servers(2)

        def test_with_both(redisperf_redis, redisperf_postgres): pass
        """
    )
    run_pytest(*EMBEDDED, "-p", "xdist", "--dist=loadfile", subprocess=True).assert_outcomes(passed=2)


def test_they_start_before_collection_when_the_same_selection_needed_them_last_time(pytester, runs, monkeypatch):
    pytester.makepyfile(
        """
        import os
        from waiting import wait_for_servers

        wait_for_servers(int(os.environ["EXPECTED_AT_COLLECTION"]))

        def test_it(redisperf_redis):
            assert redisperf_redis.ping()
        """
    )

    def outcome(expected, *options):
        monkeypatch.setenv("EXPECTED_AT_COLLECTION", str(expected))
        return pytester.runpytest_subprocess("-p", "redisperf", *EMBEDDED, *options)

    outcome(0).assert_outcomes(passed=1)
    outcome(1).assert_outcomes(passed=1)  # Redis alone: the other was not needed
    outcome(0, "-k", "nothing").assert_outcomes(deselected=1)
    assert outcome(0, "--collect-only").ret == 0
    assert (pytester.path / ".pytest_cache/v/redisperf/servers").exists()


@pytest.mark.parametrize(("options", "expected"), [((), 2), (("-k", "test_"), 0)], ids=["all", "some"])
def test_they_start_as_soon_as_a_test_is_collected_that_will_surely_run(options, expected, pytester, run_pytest, runs):
    pytester.makepyfile(
        test_a="def test_it(redisperf_redis, redisperf_postgres): assert redisperf_redis.ping()",
        test_b=f"""
        import os
        from pathlib import Path
        from waiting import wait_for_servers

        wait_for_servers({expected})
        assert {expected} or not any(Path(os.environ["TMPDIR"]).glob("redisperf-*"))

        def test_other(): pass
        """,
    )
    run_pytest(*EMBEDDED, "-p", "no:randomly", *options, subprocess=True).assert_outcomes(passed=2)


ASKING_AN_ENGINE = """
    import threading

    from redis_perf.servers import embedded, engine, fake

    embedded.REDIS_BINARIES = {"no_such_package": "*"}
    engine.find_spec = lambda name: None
    begun, has_begun = [], threading.Event()
    begin = fake.FakeRedisServer.__init__

    def noted(self):
        begun.append(threading.current_thread().name)
        has_begun.set()
        begin(self)

    fake.FakeRedisServer.__init__ = noted
"""


def test_what_auto_has_to_ask_an_engine_for_is_begun_while_other_tests_run(pytester, run_pytest, runs, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(ASKING_AN_ENGINE)
    pytester.makepyfile(
        """
        from conftest import begun, has_begun

        def test_without_any():
            assert has_begun.wait(60)

        def test_with_it(redisperf_redis):
            assert begun[0] == "redisperf-start"
            assert redisperf_redis.ping()
        """
    )
    run_pytest("--redisperf-redis=auto", "-p", "no:randomly", subprocess=True).assert_outcomes(passed=2)


def test_what_auto_cannot_have_is_told_once_though_it_was_tried_ahead(pytester, run_pytest, runs, monkeypatch):
    pytester.makeconftest(ASKING_AN_ENGINE)
    pytester.makepyfile("def test_1(redisperf_redis): pass\ndef test_2(redisperf_redis): pass")
    options = ("--redisperf-redis=auto", "--redisperf-strict-servers", "-p", "no:randomly")
    result = run_pytest(*options, subprocess=True)
    result.assert_outcomes(errors=2)
    assert result.stdout.str().count("falling back is forbidden by --redisperf-strict-servers") == 1
    result.stdout.fnmatch_lines(["redisperf: no redis in this run, see the error of *::test_1"])


@pytest.mark.parametrize("redis", ["embedded", "auto"])
def test_tests_meet_no_child_of_ours(redis, pytester, run_pytest, runs):
    pytester.makepyfile(
        """
        import os
        import pytest

        def test_before():
            with pytest.raises(ChildProcessError):
                os.wait()

        def test_with_both(redisperf_redis, redisperf_postgres):
            with pytest.raises(ChildProcessError):
                os.wait()
        """
    )
    options = (f"--redisperf-redis={redis}", "--redisperf-postgres=embedded", "-p", "no:randomly")
    run_pytest(*options, subprocess=True).assert_outcomes(passed=2)


def test_a_selection_that_needs_none_any_more_is_forgotten(pytester, runs):
    source = "def test_it({}): pass"
    for arguments in ("redisperf_redis", "", ""):
        pytester.makepyfile(source.format(arguments))
        pytester.runpytest_subprocess("-p", "redisperf", *EMBEDDED).assert_outcomes(passed=1)
    assert (pytester.path / ".pytest_cache/v/redisperf/servers").read_text() == "{}"


def test_a_run_that_never_needed_any_writes_nothing_and_has_no_thread(pytester, runs):
    pytester.makepyfile(
        """
        import threading

        def test_it():
            assert [thread.name for thread in threading.enumerate() if "redisperf" in thread.name] == []
        """
    )
    pytester.runpytest_subprocess("-p", "redisperf").assert_outcomes(passed=1)
    assert not (pytester.path / ".pytest_cache/v/redisperf").exists()


def test_a_cache_with_nonsense_in_it_is_no_obstacle(pytester, runs):
    pytester.makepyfile("def test_it(redisperf_redis): assert redisperf_redis.ping()")
    remembered = pytester.path / ".pytest_cache/v/redisperf/servers"
    remembered.parent.mkdir(parents=True)
    for nonsense in ("[1]", "{", '{"a": 3}'):
        remembered.write_text(nonsense)
        pytester.runpytest_subprocess("-p", "redisperf", *EMBEDDED).assert_outcomes(passed=1)


@pytest.mark.parametrize("options", [("-x",), ("--maxfail=1",)], ids=str)
def test_a_run_that_stops_before_any_test_asked_leaves_nothing(options, pytester, run_pytest, runs):
    pytester.makepyfile(
        """
        def test_fails(): assert 0
        def test_asks(redisperf_redis, redisperf_postgres): pass
        """
    )
    run_pytest(*EMBEDDED, *options, subprocess=True).assert_outcomes(failed=1)
    assert list(runs.glob("redisperf-*")) == []


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A redis-server on PATH that counts its starts and does not start."""
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\necho start >>{tmp_path}/starts\necho no luck today\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "starts"


@pytest.mark.parametrize("first", ["", "def test_a_first(): pass"], ids=["in time", "late"])
def test_a_server_that_does_not_start_is_told_of_once_and_not_tried_again(first, broken, pytester, run_pytest, runs):
    pytester.makepyfile(
        test_a=f"""
        {first}
        def test_1(redisperf_redis): pass
        def test_2(redisperf_redis_url): pass
        def test_3(redisperf_async_redis): pass
        """
    )
    result = run_pytest("--redisperf-redis=system", "-p", "no:randomly", subprocess=True)
    result.assert_outcomes(errors=3, passed=1 if first else 0)
    output = result.stdout.str()
    assert output.count("no luck today") == 1
    result.stdout.fnmatch_lines(
        [
            "ERROR test_a.py::test_1 - Failed: redisperf: the server ended while starting; the end of its log:*",
            "ERROR test_a.py::test_2 - Failed: redisperf: no redis in this run, see the error of test_a.py::test_1",
            "ERROR test_a.py::test_3 - Failed: redisperf: no redis in this run, see the error of test_a.py::test_1",
        ]
    )
    assert broken.read_text().split() == ["start"]


def test_a_server_that_does_not_start_is_nothing_to_tests_without_it(broken, pytester, run_pytest, runs):
    pytester.makepyfile("def test_1(): pass\ndef test_2(redisperf_redis): pass")
    result = run_pytest("--redisperf-redis=system", "-k", "test_1", subprocess=True)
    result.assert_outcomes(passed=1, deselected=1)
    assert not broken.exists()


def test_starting_servers_are_no_processes_of_the_test_that_runs_meanwhile(pytester, run_pytest, runs):
    pytester.makepyfile(
        """
        import redis_perf
        from waiting import wait_for_servers

        def test_other():
            with redis_perf.record() as trace:
                wait_for_servers(2)
            assert trace.trace.children == 0

        def test_with_both(redisperf_redis, redisperf_postgres): pass
        """
    )
    run_pytest("--redisperf", *EMBEDDED, subprocess=True).assert_outcomes(passed=2)


@pytest.mark.parametrize("python", ["/no/such/python", "/bin/true"], ids=["cannot be started", "ends at once"])
def test_where_no_other_process_starts_them_they_are_started_when_asked_for(python, pytester, run_pytest, runs):
    pytester.makeconftest(f"import sys\nsys.executable = {python!r}")
    pytester.makepyfile(
        """
        def test_both(redisperf_redis, redisperf_postgres):
            assert redisperf_redis.ping()
            assert redisperf_postgres.execute("select 1").fetchone() == (1,)
        """
    )
    run_pytest(*EMBEDDED, "-W", "error", subprocess=True).assert_outcomes(passed=1)


@pytest.mark.parametrize("python", ["/no/such/python", "", None], ids=["missing", "empty", "unknown"])
def test_where_no_other_process_can_be_had_that_is_tried_once(python, pytester, run_pytest, runs):
    pytester.makeconftest(
        f"""
        import subprocess, sys

        sys.executable = {python!r}
        tried = []
        begin = subprocess.Popen.__init__

        def counted(self, words, **options):
            if "-S" in words:
                tried.append(words)
            begin(self, words, **options)

        subprocess.Popen.__init__ = counted
        """
    )
    pytester.makepyfile(
        f"""
        from conftest import tried

        def test_first(redisperf_redis): pass
        def test_second(redisperf_redis): pass
        def test_third(redisperf_redis): assert len(tried) == {1 if python else 0}
        """
    )
    run_pytest("--redisperf-redis=embedded", subprocess=True).assert_outcomes(passed=3)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_test_may_fork_while_servers_start(pytester, run_pytest, runs):
    """They are started by another process. A child of one with threads might hang, and Python would warn of it."""
    pytester.makepyfile(
        """
        import os

        def test_a_forks():
            child = os.fork()
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0

        def test_b_both(redisperf_redis, redisperf_postgres):
            assert redisperf_redis.ping()
        """
    )
    run_pytest(*EMBEDDED, "-W", "error", subprocess=True).assert_outcomes(passed=2)
