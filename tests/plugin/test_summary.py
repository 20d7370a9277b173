"""What `--redisperf` prints, alone and merged from xdist's workers."""

import re

SUITE = """
    import pytest

    @pytest.fixture
    def filled(redisperf_redis):
        redisperf_redis.set("a", 1)
        yield redisperf_redis
        redisperf_redis.delete("a")
        redisperf_redis.delete("b")

    def names(client):
        for number in range(4):
            client.get(f"user:{number}")

    def test_list(filled):
        names(filled)

    def test_pipeline(redisperf_redis):
        with redisperf_redis.pipeline(transaction=False) as pipeline:
            for number in range(3):
                pipeline.get(f"user:{number}")
            pipeline.execute()

    def test_silent():
        pass
"""
TABLE = [
    "round trips by test, setup and teardown apart:",
    "  redis  postgres  operations  depth    at 2 ms",
    "      4         0           4      4       8 ms  *::test_list",
    "      1         0           3      1       2 ms  *::test_pipeline",
    "      5         0           7      5      10 ms  in all, 3 tests, 1 of which sent nothing",
    "around the tests: setup 1 redis and 0 postgres round trips; teardown 2 redis and 0 postgres round trips",
    "connecting, not charged: * redis and 0 postgres round trips, for 2 connections opened",
    "by fixture, connecting included:",
    "      4         0  filled (function), setup 1 time",
    "      2         0  filled (function), teardown 1 time",
    "suspected N+1: 4 x GET user:{}    *.py:12 in names",
    "    in the loop of *.py:11 in names",
    "    in *::test_list: one MGET, or a pipeline, would be 1 round trip, 3 fewer (6 ms at 2 ms)",
]


def test_the_header_names_clients_servers_and_networks(run):
    result = run("def test_silent(): pass", "--redisperf", "--redisperf-network=1ms,80ms")
    line = next(line for line in result.outlines if line.startswith("redisperf: "))
    assert "redis-py " in line
    assert re.search(
        r" \| redis fake \(fakeredis [\d.]+\), postgres embedded \(PostgreSQL [\d.]+\) \| network 1 ms, 80 ms$", line
    )


def test_the_headers_servers_by_url_are_not_spelled_out(run):
    url = "postgresql://user:secret@db/app"
    result = run("def test_silent(): pass", "--redisperf", f"--redisperf-postgres={url}")
    result.stdout.fnmatch_lines(["redisperf: * | redis fake (fakeredis *), postgres by URL | *"])
    result.stdout.no_fnmatch_line("*secret*")


def test_the_summary_shows_the_dearest_first_and_what_lies_around_the_tests(run):
    result = run(SUITE, "--redisperf")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["=* redisperf =*", *TABLE, "=* 3 passed in *"], consecutive=True)


def test_top_cuts_the_table_and_says_so(run):
    result = run(SUITE, "--redisperf", "--redisperf-top=1")
    result.stdout.fnmatch_lines(
        [
            "round trips of the 1 most expensive of 2 tests, setup and teardown apart:",
            "*depth*",
            "*::test_list",
            "*(1 more: --redisperf-top=2)",
            "*in all, 3 tests, 1 of which sent nothing",
        ],
        consecutive=True,
    )


def test_costs_are_shown_at_the_first_network_given(run):
    result = run(SUITE, "--redisperf", "--redisperf-network=30ms,2ms")
    result.stdout.fnmatch_lines(["*depth   at 30 ms", "*     120 ms  *::test_list"])


def test_a_suite_that_sends_nothing_is_told_so(run):
    result = run("def test_silent(): pass", "--redisperf")
    result.stdout.fnmatch_lines(["1 test, none of which sent anything to Redis or Postgres while it ran"])


def test_a_run_of_no_tests_has_no_summary(run):
    run(SUITE, "--redisperf", "--collect-only").stdout.no_fnmatch_line("*= redisperf =*")


def test_without_the_flag_nothing_is_printed(run):
    result = run("def test_it(redisperf, redisperf_redis):\n    redisperf_redis.get('a')")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("redisperf: *")
    result.stdout.no_fnmatch_line("*= redisperf =*")


def test_the_ini_key_is_as_good_as_the_flag(run, pytester):
    pytester.makeini("[pytest]\nredisperf = true")
    run(SUITE).stdout.fnmatch_lines(TABLE)


def test_a_failing_test_is_metered_too(run):
    result = run("def test_it(redisperf_redis):\n    redisperf_redis.get('a')\n    assert 0", "--redisperf")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["      1         0           1      1       2 ms  *::test_it"])


def test_without_a_terminal_the_run_works(run):
    assert run(SUITE, "--redisperf", "-p", "no:terminal").ret == 0


def test_processes_started_by_tests_are_said_not_to_be_counted(run):
    source = (
        "import subprocess, sys\n\ndef test_it():\n    subprocess.run([sys.executable, '-S', '-c', ''], check=True)"
    )
    run(source, "--redisperf").stdout.fnmatch_lines(["not counted: what 1 process started by the tests sent"])


def test_the_round_trips_are_properties_of_the_test_in_junit_xml(run, pytester):
    run(SUITE, "--redisperf", "--junitxml=junit.xml")
    xml = (pytester.path / "junit.xml").read_text()
    assert '<property name="redisperf_redis_round_trips" value="4"' in xml
    assert '<property name="redisperf_postgres_round_trips" value="0"' in xml


def test_workers_of_xdist_are_merged_into_one_summary(run):
    result = run(SUITE, "--redisperf", "-p", "xdist", "-n2", subprocess=True)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["=* redisperf =*", *TABLE, "=* 3 passed in *"], consecutive=True)
    assert str(result.stdout).count("= redisperf =") == 1


def test_rows_of_one_line_are_one_suspect(run):
    source = """
        def ask(client, key):
            client.get(key)

        def test_it(redisperf_redis):
            for _ in range(2):
                for number in range(3):
                    ask(redisperf_redis, f"user:{number}")
                redisperf_redis.incr("rounds")
    """
    lines = [line for line in run(source, "--redisperf").outlines if line.startswith("suspected N+1: ")]
    assert [line.partition("    ")[0] for line in lines] == ["suspected N+1: 6 x GET user:{}"]


def test_with_v_each_test_says_what_it_spent_beside_its_result(run):
    run(SUITE, "--redisperf", "-v").stdout.fnmatch_lines(
        ["*::test_list PASSED (redis 4) *", "*::test_pipeline PASSED (redis 1) *", "*::test_silent PASSED *"]
    )


def test_with_q_there_are_only_the_sums_and_what_to_mend(run):
    result = run(SUITE, "--redisperf", "-q")
    result.stdout.fnmatch_lines(
        [
            "round trips of all tests, setup and teardown apart:",
            "      5         0           7      5      10 ms  in all, 3 tests, 1 of which sent nothing",
            "suspected N+1: *",
        ]
    )
    result.stdout.no_fnmatch_line("by fixture*")


def test_waste_is_told_once_for_each_kind_with_the_test_that_wastes_most(run):
    result = run(
        """
        def test_one(redisperf_redis):
            redisperf_redis.keys("*")

        def test_two(redisperf_redis):
            redisperf_redis.keys("*")
        """,
        "--redisperf",
    )
    result.stdout.fnmatch_lines(["waste: KEYS looks at every key *", "    in *::test_*, and in 1 other test"])
