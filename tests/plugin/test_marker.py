"""`@pytest.mark.redisperf(...)`: read at collection, held against the call phase."""

import pytest

GET = """
    import pytest

    @pytest.mark.redisperf(redis={budget})
    def test_gets(redisperf_redis):
        for number in range({times}):
            redisperf_redis.get(f"user:{{number}}")
"""


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        ("redis='3'", "Budget(redis='3'): expected an int of 0 or more, *"),
        ("postgres=-1", "Budget(postgres=-1): expected an int of 0 or more, *"),
        ("redsi=3", "Budget(redsi=...): did you mean redis? *"),
        ("3", "got 3 without a name; say what it limits, such as redis=3"),
        ("", "got no limit; give at least one, such as redis=3"),
    ],
)
def test_a_bad_argument_is_a_usage_error_at_collection_that_names_the_test(run, mark, sentence):
    result = run(f"import pytest\n\n@pytest.mark.redisperf({mark})\ndef test_it(): assert 0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *.py::test_it: @pytest.mark.redisperf: {sentence}"])
    result.assert_outcomes()


def test_bad_marks_on_class_and_module_are_named_for_each_test_they_reach(run):
    result = run(
        """
        import pytest
        pytestmark = pytest.mark.redisperf(redis=True)

        class TestIt:
            @pytest.mark.redisperf(redis=1)
            def test_one(self): pass

        def test_two(): pass
        """
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *::TestIt::test_one: *redis=True*", "*::test_two: *redis=True*"])


def test_a_test_within_its_budget_passes(run):
    run(GET.format(budget=2, times=2)).assert_outcomes(passed=1)


def test_a_test_over_its_budget_fails_with_the_text_and_nothing_internal(run):
    result = run(GET.format(budget=2, times=3))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["redis round trips: budget 2, spent 3*"])
    result.stdout.no_fnmatch_line("*metering.py*")
    result.stdout.no_fnmatch_line("*hidden*")


def test_a_line_of_a_traceback_names_the_test_and_none_of_ours(run):
    result = run(GET.format(budget=1, times=2), "--tb=line")
    result.stdout.fnmatch_lines(
        ["*test_a_line_of_a_traceback_names_the_test_and_none_of_ours.py:3: *budget 1, spent 2*"]
    )
    result.stdout.no_fnmatch_line("*spending.py*")


def test_the_closest_mark_wins(run):
    result = run(
        """
        import pytest
        pytestmark = pytest.mark.redisperf(redis=0)

        @pytest.mark.redisperf(redis=1)
        class TestIt:
            def test_by_class(self, redisperf_redis): redisperf_redis.get("a")

            @pytest.mark.redisperf(redis=2)
            def test_its_own(self, redisperf_redis):
                redisperf_redis.get("a")
                redisperf_redis.get("a")

        def test_by_module(redisperf_redis): redisperf_redis.get("a")
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["redis round trips: budget 0, spent 1 *", "*:13 in test_by_module"])


def test_the_marker_wins_over_the_command_line_and_that_over_the_ini_file(run, pytester):
    pytester.makeini("[pytest]\nredisperf_budget = redis=0")
    source = """
        import pytest

        def test_plain(redisperf_redis):
            redisperf_redis.get("a")

        @pytest.mark.redisperf(redis=2)
        def test_marked(redisperf_redis):
            redisperf_redis.get("a")
            redisperf_redis.get("a")
    """
    result = run(source)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["redis round trips: budget 0, spent 1 *", "*:4 in test_plain"])
    run(source, "--redisperf-budget=redis=1").assert_outcomes(passed=2)


def test_a_suites_budget_asks_nothing_of_a_test_that_sends_nothing(run):
    run("def test_silent(): pass", "--redisperf-budget=redis=1 postgres=1 depth=1").assert_outcomes(passed=1)


def test_a_bad_suite_budget_is_a_usage_error(run):
    result = run("def test_silent(): pass", "--redisperf-budget=allow_nothing=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *redisperf*budget: *allow_nothing*"])


def test_a_marked_test_that_sends_nothing_fails(run):
    result = run("import pytest\n\n@pytest.mark.redisperf(redis=1)\ndef test_silent(): pass")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*redis*nothing*measured*"])


def test_setup_and_teardown_are_not_charged(run):
    run(
        """
        import pytest

        @pytest.fixture
        def filled(redisperf_redis):
            redisperf_redis.set("a", 1)
            redisperf_redis.set("b", 2)
            yield redisperf_redis
            redisperf_redis.delete("a", "b")

        @pytest.mark.redisperf(redis=1)
        def test_reads_once(filled):
            filled.get("a")
        """
    ).assert_outcomes(passed=1)


def test_the_tests_own_failure_is_the_one_that_is_shown(run):
    result = run(GET.format(budget=0, times=1) + "        raise LookupError('mine')\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *LookupError: mine"])
    result.stdout.no_fnmatch_line("*budget 0*")


def test_skip_and_xfail_keep_their_meaning(run):
    run(
        """
        import pytest
        pytestmark = pytest.mark.redisperf(redis=0)

        def test_skipped(redisperf_redis):
            redisperf_redis.get("a")
            pytest.skip("not today")

        @pytest.mark.xfail(reason="one too many", strict=True)
        def test_too_dear(redisperf_redis):
            redisperf_redis.get("a")
        """
    ).assert_outcomes(skipped=1, xfailed=1)
