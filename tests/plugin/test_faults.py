"""What goes wrong inside the plugin, and who gets to know."""

import pytest

from pytest_redisperf import metering, summary

GET = "def test_it(redisperf_redis): redisperf_redis.get('a')"


def broken(*arguments, **options):
    raise ZeroDivisionError("our own fault")


def test_a_fault_while_recording_is_a_warning_and_the_test_passes(run, monkeypatch):
    monkeypatch.setattr(metering, "phase_of", broken)
    result = run(GET, "--redisperf", "-Werror")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*RedisperfWarning: redisperf internal error while reading what its call phase sent: "
            "ZeroDivisionError: our own fault",
            "*Its own result stands; its round trips were not checked. Please report this.",
        ]
    )


def test_a_fault_while_checking_is_a_warning_and_the_test_passes(run, monkeypatch):
    monkeypatch.setattr("redis_perf.check.check", broken)
    result = run(GET, "--redisperf-budget=redis=0", "-Werror")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*redisperf internal error while checking its budget: ZeroDivisionError: *"])


def test_a_fault_does_not_mask_the_tests_own_failure(run, monkeypatch):
    monkeypatch.setattr(metering, "phase_of", broken)
    result = run("def test_it(): raise LookupError('mine')", "--redisperf")
    result.assert_outcomes(failed=1, warnings=1)
    result.stdout.fnmatch_lines(["E *LookupError: mine"])


def test_a_fault_in_the_summary_is_one_line(run, monkeypatch):
    monkeypatch.setattr(summary, "_table", broken)
    result = run(GET, "--redisperf")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["redisperf internal error while writing this summary: ZeroDivisionError: our own fault"]
    )
    assert result.ret == 0


MISFIT = """
    from contextlib import contextmanager
    from types import SimpleNamespace

    from redis_perf import TapError, taps

    @contextmanager
    def tap(recorder):
        raise TapError("redis-py 99.0: no read_response; tested from 5.0.8 to 8.1.0")
        yield

    taps.installed = lambda: (SimpleNamespace(name="misfit", load=lambda: tap),)
"""


@pytest.fixture
def misfit(pytester):
    """An inner run, in a process of its own, whose one tap does not fit."""
    pytester.makeconftest(MISFIT)


@pytest.mark.usefixtures("misfit")
@pytest.mark.parametrize("option", ["--redisperf", "--redisperf-budget=redis=1"])
def test_a_tap_that_does_not_fit_stops_the_run(run, option):
    result = run("def test_it(): pass", option, subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: redisperf: redis-py 99.0: no read_response; tested from 5.0.8 to 8.1.0; "
            "to leave this client uncounted set REDISPERF_WITHOUT=misfit"
        ]
    )


LATE_MISFIT = """
    from contextlib import contextmanager
    from types import SimpleNamespace

    from redis_perf import TapError, taps

    @taps.of_client("this_client", "redis")
    @contextmanager
    def tap(recorder):
        raise TapError("this-client 99.0: no read_response; tested from 5.0.8 to 8.1.0")
        yield

    taps.installed = lambda: (SimpleNamespace(name="misfit", load=lambda: tap),)
"""


@pytest.fixture
def late_misfit(pytester):
    """The same, for a client that nothing has imported when the run begins."""
    pytester.makepyfile(this_client="")
    pytester.makeconftest(LATE_MISFIT)


@pytest.mark.usefixtures("late_misfit")
@pytest.mark.parametrize("option", ["--redisperf", "--redisperf-budget=redis=1"])
def test_a_tap_that_does_not_fit_what_a_test_module_imports_stops_the_run(run, option):
    result = run("import this_client\ndef test_it(): pass", option, subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: redisperf: this-client 99.0: no read_response; tested from 5.0.8 to 8.1.0; "
            "to leave this client uncounted set REDISPERF_WITHOUT=misfit"
        ]
    )


@pytest.mark.usefixtures("late_misfit")
def test_a_tap_that_does_not_fit_what_a_test_imports_fails_its_budget_and_the_next_tests(run):
    source = "def test_it(): import this_client\ndef test_next(): pass"
    result = run(source, "--redisperf-budget=redis=1", "-p", "no:randomly", subprocess=True)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*not everything was seen: this-client 99.0: no read_response*", "*TapError: this-*"])


@pytest.mark.usefixtures("late_misfit")
def test_a_client_that_nothing_imports_may_misfit(run):
    run("def test_it(): pass", "--redisperf", subprocess=True).assert_outcomes(passed=1)


@pytest.mark.usefixtures("misfit")
def test_a_tap_that_does_not_fit_stops_a_run_with_a_marker_at_collection(run):
    source = "import pytest\n\n@pytest.mark.redisperf(redis=1)\ndef test_it(): pass"
    result = run(source, subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: redisperf: redis-py 99.0: *"])


@pytest.mark.usefixtures("misfit")
def test_a_tap_that_does_not_fit_leaves_a_plain_run_alone(run):
    run("def test_it(): pass", subprocess=True).assert_outcomes(passed=1)
