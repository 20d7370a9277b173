"""Every option, its ini twin, which of them wins, and what is said of a bad value."""

import pytest

SHOW = """
    import pytest
    from pytest_redisperf.options import Settings

    @pytest.fixture(autouse=True)
    def show(request):
        print("SETTINGS", *vars(Settings.of(request.config)).values())
"""
TEST = "def test_nothing(): pass"
DEFAULT = {
    "metered": "False",
    "redis": "embedded",
    "postgres": "embedded",
    "top": "10",
    "network": "(2000000, 30000000)",
    "budget": "None",
    "tap": "clients",
    "latency": "None",
    "strict": "None",
    "writes": "False",
    "isolation": "database",
    "schema": "None",
    "keep_failed": "False",
    "n_plus_one": "None",
    "threshold": "3",
    "ignore": "()",
}


@pytest.fixture
def settings(pytester, run_pytest):
    """What a run with these options and this ini file takes as its settings."""
    pytester.makeconftest(SHOW)
    pytester.makepyfile(TEST)

    def settings(*options, ini=""):
        pytester.makeini(f"[pytest]\n{ini}")
        run = run_pytest("-s", *options)
        run.assert_outcomes(passed=1)
        return next(line for line in run.outlines if "SETTINGS" in line).partition("SETTINGS ")[2]

    return settings


def said(**changes):
    assert changes.keys() <= DEFAULT.keys()
    return " ".join({**DEFAULT, **changes}.values())


def test_without_any_option_the_defaults_hold(settings):
    assert settings() == said()


@pytest.mark.parametrize(
    ("option", "ini", "setting"),
    [
        ("--redisperf", "redisperf = true", {"metered": "True"}),
        ("--redisperf-redis=system", "redisperf_redis = system", {"redis": "system"}),
        ("--redisperf-redis=redis://h/0", "redisperf_redis = redis://h/0", {"redis": "redis://h/0"}),
        ("--redisperf-postgres=system", "redisperf_postgres = system", {"postgres": "system"}),
        ("--redisperf-top=3", "redisperf_top = 3", {"top": "3"}),
        ("--redisperf-network=500us, 1.5ms", "redisperf_network = 500us, 1.5ms", {"network": "(500000, 1500000)"}),
        (
            "--redisperf-budget=redis=3 depth=4",
            "redisperf_budget = redis=3 depth=4",
            {"budget": "{'redis': 3, 'depth': 4}"},
        ),
        ("--redisperf-tap=proxy", "redisperf_tap = proxy", {"tap": "proxy"}),
        ("--redisperf-redis=auto", "redisperf_redis = auto", {"redis": "auto"}),
        ("--redisperf-redis=docker:redis:7.2", "redisperf_redis = docker:redis:7.2", {"redis": "docker:redis:7.2"}),
        ("--redisperf-postgres=embedded:16", "redisperf_postgres = embedded:16", {"postgres": "embedded:16"}),
        ("--redisperf-strict-servers", "redisperf_strict_servers = true", {"strict": "True"}),
        ("--redisperf-allow-external-writes", "redisperf_allow_external_writes = true", {"writes": "True"}),
        ("--redisperf-isolation=reset", "redisperf_isolation = reset", {"isolation": "reset"}),
        ("--redisperf-schema=a.sql m:f", "redisperf_schema = a.sql m:f", {"schema": "a.sql m:f"}),
        ("--redisperf-keep-failed", "redisperf_keep_failed = true", {"keep_failed": "True"}),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("--") else "",
)
def test_an_option_and_its_ini_twin_say_the_same(settings, option, ini, setting):
    assert settings(option) == said(**setting)
    assert settings(ini=ini) == said(**setting)


def test_the_latency_of_the_proxy_and_its_ini_twin_say_the_same(settings):
    assert settings("--redisperf-tap=proxy", "--redisperf-latency=1.5ms") == said(tap="proxy", latency="1500000")
    assert settings(ini="redisperf_tap = proxy\nredisperf_latency = 1.5ms") == said(tap="proxy", latency="1500000")


def test_the_command_line_wins_over_the_environment_and_that_over_the_ini_file(settings, monkeypatch):
    ini = "redisperf_redis = system\nredisperf_postgres = system\nredisperf_top = 3"
    monkeypatch.setenv("REDISPERF_REDIS", "redis://environment/0")
    assert settings(ini=ini) == said(redis="redis://environment/0", postgres="system", top="3")
    assert settings("--redisperf-redis=fake", "--redisperf-top=7", ini=ini) == said(
        redis="fake", postgres="system", top="7"
    )


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            "--redisperf-redis=dockr",
            "--redisperf-redis: 'dockr' is not a way to get a server; "
            "give auto, embedded, system, docker, fake or the URL of one",
        ),
        ("--redisperf-redis=embedded:", "--redisperf-redis: 'embedded:' is not a way to get a server; give *"),
        (
            "--redisperf-postgres=system:x",
            "--redisperf-postgres: 'x' is not a version; give system, or system:16 for a version of its own",
        ),
        ("--redisperf-top=0", "--redisperf-top: '0' is not a number of tests; give a whole number from 1"),
        (
            "--redisperf-network=2ms,30",
            "--redisperf-network: '30' is not a network; give its round-trip time, such as 2ms, or same-host, "
            "same-zone, cross-zone, cross-region, cross-continent",
        ),
        (
            "--redisperf-budget=redis:3",
            "--redisperf-budget: 'redis:3' is not a limit; give name=number, such as redis=10 postgres=5",
        ),
        ("--redisperf-budget=redis=²", "--redisperf-budget: 'redis=²' is not a limit; give name=number, *"),
        (
            "--redisperf-budget=redis=1 redis=2",
            "--redisperf-budget: 'redis=2' is a second limit for redis; give one for each name",
        ),
        (
            "--redisperf-tap=wire",
            "--redisperf-tap: 'wire' is not a place to count at; give clients or proxy",
        ),
        (
            "--redisperf-latency=2",
            "--redisperf-latency: '2' is not a time; give a number with a unit, such as 2ms",
        ),
    ],
)
def test_a_bad_value_is_a_usage_error_that_names_the_option(run_pytest, option, sentence):
    run = run_pytest(option)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([f"ERROR: {sentence}"])


def test_a_bad_value_in_the_ini_file_names_the_key(pytester, run_pytest):
    pytester.makeini("[pytest]\nredisperf_top = 0")
    run = run_pytest()
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["ERROR: ini key redisperf_top: '0' is not a number of tests; give a whole number from 1"])


def test_a_bad_value_in_the_environment_names_the_variable(run_pytest, monkeypatch):
    monkeypatch.setenv("REDISPERF_POSTGRES", "postgres")
    run = run_pytest()
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["ERROR: REDISPERF_POSTGRES: 'postgres' is not a way to get a server; *"])


def test_help_shows_the_options_and_the_marker_is_listed(run_pytest):
    shown = run_pytest("--help").stdout.str()
    for name in ("redisperf", "redisperf-redis", "redisperf-postgres", "redisperf-top", "redisperf-network"):
        assert f"--{name}" in shown
    run_pytest("--markers").stdout.fnmatch_lines(["@pytest.mark.redisperf(redis=..., postgres=...*"])
