"""`--redisperf-n-plus-one`: what is told, what fails, and what is to be ignored."""

import pytest

APP = """
    import pytest

    def name(client, number):
        return client.get(f"user:{number}")

    def names(client):
        return [name(client, number) for number in (1, 2, 3, 4)]

    def add(client):
        for number in range(3):
            client.incrby(f"hits:{number}", number)
"""
SUITE = (
    APP
    + """
    def test_names(redisperf_redis):
        names(redisperf_redis)
"""
)


def suspected(result):
    return [line.partition("    ")[0] for line in result.outlines if line.startswith("suspected N+1")]


def stale(result):
    return [line for line in result.outlines if line.startswith(("stale", "ignored"))]


def test_a_metered_run_reports_the_loop_the_call_and_the_fix(run):
    result = run(SUITE, "--redisperf")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "suspected N+1: 4 x GET user:{}    *.py:4 in name",
            "    in the loop of *.py:7 in names*",
            "    in *::test_names: one MGET, or a pipeline, would be 1 round trip, 3 fewer (6 ms at 2 ms)",
        ],
        consecutive=True,
    )


def test_fail_leads_with_the_number_then_the_two_lines_and_the_fix(run):
    result = run(SUITE, "--redisperf-n-plus-one=fail")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "redis N+1: 4 round trips, 1 would do   (saves 3: 6 ms at 2 ms, 90 ms at 30 ms a trip)",
            "  4 x GET user:{}",
            "    loop  *.py:7 in names*",
            "    call  *.py:4 in name",
            "  one MGET, or a pipeline, would be 1 round trip",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("options", [("--redisperf-n-plus-one=report",), ("--redisperf", "--redisperf-n-plus-one=off")])
def test_report_alone_makes_the_run_metered_and_off_does_not_look(run, options):
    result = run(SUITE, *options)
    result.assert_outcomes(passed=1)
    assert suspected(result) == ["suspected N+1: 4 x GET user:{}"] * ("off" not in options[-1])


def test_the_threshold_is_an_option(run):
    assert suspected(run(SUITE, "--redisperf", "--redisperf-n-plus-one-threshold=5")) == []
    assert run(SUITE, "--redisperf-n-plus-one=fail", "--redisperf-n-plus-one-threshold=5").ret == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--redisperf-n-plus-one=maybe", "--redisperf-n-plus-one: 'maybe' is not what can be done about N+1; *"),
        ("--redisperf-n-plus-one-threshold=1", "--redisperf-n-plus-one-threshold: '1' is no number of repetitions; *"),
        ("--redisperf-ignore= @ ", "--redisperf-ignore: ' @ ' ignores nothing; give SHAPE, SHAPE @ SITE or @ SITE, *"),
    ],
)
def test_a_bad_value_names_its_option(run, option, message):
    run(SUITE, option).stderr.fnmatch_lines([f"ERROR: {message}"])


def test_the_tests_own_failure_and_its_budget_come_first(run):
    source = APP + (
        "    @pytest.mark.redisperf(redis=1)\n"
        "    def test_budget(redisperf_redis):\n        names(redisperf_redis)\n\n"
        "    def test_own(redisperf_redis):\n        names(redisperf_redis)\n        assert 0\n"
    )
    result = run(source, "--redisperf-n-plus-one=fail")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["redis round trips: budget 1, spent 4 *", "E       assert 0"])
    result.stdout.no_fnmatch_line("redis N+1: *")


def test_workers_of_xdist_find_and_fail_the_same(run):
    source = SUITE + "\n    def test_again(redisperf_redis):\n        names(redisperf_redis)\n"
    result = run(source, "--redisperf", "-p", "xdist", "-n2", subprocess=True)
    assert suspected(result) == ["suspected N+1: 4 x GET user:{}"]
    result.stdout.fnmatch_lines(["    in *::test_* and 1 other test: one MGET, *"])
    run(source, "--redisperf-n-plus-one=fail", "-p", "xdist", "-n2", subprocess=True).assert_outcomes(failed=2)


def test_the_proxy_finds_and_fails_the_same(run):
    result = run(SUITE, "--redisperf-tap=proxy", "--redisperf-n-plus-one=fail", "--redisperf-redis=embedded")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  4 x GET user:{}", "    loop  *.py:7 in names*", "    call  *.py:4 in name"])


BOTH = "\n    def test_both(redisperf_redis{more}):\n        names(redisperf_redis)\n        add(redisperf_redis)\n"


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ("shape='GET user:*'", ["suspected N+1: 3 x INCRBY hits:{}"]),
        ("site='*.py:11'", ["suspected N+1: 4 x GET user:{}"]),
        ("site='names'", ["suspected N+1: 3 x INCRBY hits:{}"]),
        ("shape='GET *', site='add'", ["suspected N+1: 4 x GET user:{}", "suspected N+1: 3 x INCRBY hits:{}"]),
        ("", []),
    ],
)
def test_a_marker_ignores_by_shape_site_or_both(run, arguments, left):
    source = f"{APP}\n    @pytest.mark.redisperf_ignore({arguments}){BOTH.format(more='')}"
    result = run(source, "--redisperf", "--strict-markers")
    result.assert_outcomes(passed=1)
    assert suspected(result) == left


def test_what_is_ignored_does_not_fail(run):
    source = f"{APP}\n    @pytest.mark.redisperf_ignore(shape='GET *')\n    @pytest.mark.redisperf_ignore(site='add')"
    result = run(source + BOTH.format(more=""), "--redisperf-n-plus-one=fail")
    result.assert_outcomes(passed=1)
    assert stale(result) == ["ignored: 2 suspected N+1"]


@pytest.mark.parametrize("subprocess", [False, True])
def test_the_ini_ignores_everywhere(run, pytester, subprocess):
    pytester.makeini("[pytest]\nredisperf_ignore =\n    GET user:* @ test_*.py\n    INCR* @ add\n")
    workers = ("-p", "xdist", "-n2") if subprocess else ()
    result = run(APP + BOTH.format(more=""), "--redisperf-n-plus-one=fail", *workers, subprocess=subprocess)
    result.assert_outcomes(passed=1)
    assert stale(result) == ["ignored: 2 suspected N+1"]


def test_a_block_ignores_what_begins_in_it(run):
    source = APP + (
        "    def test_it(redisperf, redisperf_redis):\n"
        "        with redisperf.ignore(shape='GET user:*'):\n"
        "            names(redisperf_redis)\n"
        "        add(redisperf_redis)\n\n"
        "    def test_outside(redisperf, redisperf_redis):\n"
        "        with redisperf.ignore(shape='GET user:*'):\n"
        "            pass\n"
        "        names(redisperf_redis)\n"
    )
    result = run(source, "--redisperf")
    assert suspected(result) == ["suspected N+1: 4 x GET user:{}", "suspected N+1: 3 x INCRBY hits:{}"]
    result.stdout.fnmatch_lines(
        [
            "ignored: 1 suspected N+1",
            "stale: redisperf.ignore at *.py:18 ignores GET user:*, which nothing matched in this run",
        ]
    )


def test_stale_ignores_are_told_unless_they_could_not_match(run, pytester):
    pytester.makeini("[pytest]\nredisperf_ignore = GET nobody:*\n")
    source = APP + (
        "    @pytest.mark.parametrize('client', ['a', 'b'])\n"
        "    @pytest.mark.redisperf_ignore(shape='SET *')\n"
        "    def test_it(redisperf_redis, client):\n        names(redisperf_redis)\n\n"
        "    @pytest.mark.redisperf_ignore(shape='SET *')\n"
        "    def test_failed():\n        assert 0\n"
    )
    told = [
        "stale: redisperf_ignore ignores GET nobody:*, which nothing matched in this run",
        "stale: @pytest.mark.redisperf_ignore of *::test_it ignores SET *, which nothing matched in this run",
    ]
    whole = run(source, "--redisperf")
    assert len(stale(whole)) == 2
    whole.stdout.fnmatch_lines(told)
    part = run(source, "--redisperf", "-k", "test_it")
    assert len(stale(part)) == 1
    part.stdout.fnmatch_lines(told[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'GET *'", "got 'GET *' without a name; give shape=..., site=..., both, or nothing for all of the test's"),
        ("shap='GET *'", "got 'shap'; give shape=..., site=..., both, or nothing for all of the test's"),
        ("shape=''", "shape='' is no pattern; give one such as shape='GET user:*'"),
        ("site=3", "site=3 is no pattern; give one such as site='app/legacy.py'"),
    ],
)
def test_a_marker_that_cannot_be_read_is_refused_at_collection(run, arguments, message):
    source = f"{APP}\n    @pytest.mark.redisperf_ignore({arguments}){BOTH.format(more='')}"
    run(source, "--redisperf").stderr.fnmatch_lines([f"ERROR: *::test_both: @pytest.mark.redisperf_ignore: {message}"])


def test_a_marker_costs_nothing_where_nothing_is_metered(run):
    source = f"{APP}\n    @pytest.mark.redisperf_ignore(shape='GET *'){BOTH.format(more='')}"
    result = run(source, "--strict-markers")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*= redisperf =*")


def test_reading_the_same_again_is_waste_and_no_suspect(run):
    source = APP + (
        "    def test_it(redisperf_redis):\n        for _ in range(4):\n            name(redisperf_redis, 1)\n"
    )
    result = run(source, "--redisperf")
    assert suspected(result) == []
    result.stdout.fnmatch_lines(
        ["waste: 4 x GET user:{} with the same arguments, nothing written in between: keep the answer, or cache it"]
    )
