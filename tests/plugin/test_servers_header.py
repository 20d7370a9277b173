"""What pytest's header says about the servers, what one bad choice says, and the prefix for keys."""

import pytest

NOTHING = "def test_nothing(): pass"


@pytest.mark.parametrize(
    ("options", "servers"),
    [
        (("--redisperf-redis=fake",), "redis fake (fakeredis *), postgres embedded (PostgreSQL *)"),
        (("--redisperf-postgres=embedded:16",), "redis embedded (Valkey *), postgres embedded:16 (* 16.*)"),
        (("--redisperf-redis=auto",), "redis embedded (Valkey *), chosen by auto, postgres embedded (*)"),
        (("--redisperf-postgres=docker:16",), "redis embedded (*), postgres docker:16 (postgres:16)"),
        (("--redisperf-redis=redis://u:secret@h/0",), "redis by URL, postgres embedded (PostgreSQL *)"),
        (("--redisperf-postgres=embedded:17",), "redis embedded (*), postgres embedded:17 (there is none)"),
    ],
)
def test_the_header_names_servers_and_versions_before_any_starts(pytester, run_pytest, options, servers):
    pytester.makepyfile(NOTHING)
    result = run_pytest("--redisperf", *options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"redisperf: * | {servers} | network *"])
    result.stdout.no_fnmatch_line("*secret*")


def test_what_auto_took_is_named_where_nothing_is_measured_too(pytester, run_pytest):
    pytester.makepyfile(NOTHING)
    result = run_pytest("--redisperf-redis=auto")
    result.stdout.fnmatch_lines(["redisperf: redis embedded (Valkey *), chosen by auto, postgres embedded (*)"])


def test_servers_that_were_named_are_not_worth_a_line(pytester, run_pytest):
    pytester.makepyfile(NOTHING)
    run_pytest("--redisperf-redis=fake").stdout.no_fnmatch_line("redisperf: *")


def test_auto_says_what_it_passed_over(pytester, run_pytest, monkeypatch):
    monkeypatch.setattr("redis_perf.servers.embedded.REDIS_BINARIES", {"no_such_package": "*"})
    monkeypatch.setattr("redis_perf.servers.engine.find_spec", lambda name: None)
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile("def test_fake(redisperf_redis): assert redisperf_redis.ping()")
    result = run_pytest("--redisperf-redis=auto")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "redisperf: redis fake (fakeredis *), chosen by auto, postgres embedded (*)",
            "redisperf: passed over: redis=embedded: no valkey-server *",
            "redisperf: passed over: redis=docker: the package testcontainers is not installed*",
        ]
    )


@pytest.mark.parametrize(("ci", "options"), [("true", ()), ("", ("--redisperf-strict-servers",))])
def test_in_ci_or_when_told_so_auto_does_not_fall_back(pytester, run_pytest, monkeypatch, ci, options):
    monkeypatch.setattr("redis_perf.servers.embedded.REDIS_BINARIES", {"no_such_package": "*"})
    monkeypatch.setenv("CI", ci)
    pytester.makepyfile("def test_fake(redisperf_redis): pass")
    result = run_pytest("--redisperf-redis=auto", *options)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["redisperf: redis=auto: *falling back is forbidden by --redisperf-strict-servers*"])


def test_a_server_that_is_not_there_is_one_clear_error_and_not_one_for_each_test(pytester, run_pytest):
    pytester.makepyfile("def test_a(redisperf_redis): pass\ndef test_b(redisperf_redis): pass")
    result = run_pytest("-rN", "--redisperf-redis=redis://127.0.0.1:1/0")
    result.assert_outcomes(errors=2)
    assert result.stdout.str().count("Connection refused") == 1
    result.stdout.fnmatch_lines(["redisperf: no redis in this run, see the error of *::test_a"])


def test_a_prefix_is_random_and_of_each_test(run):
    run(
        """
        import re
        seen = set()

        def test_one(redisperf_redis_prefix):
            assert re.fullmatch("redisperf:[0-9a-f]{12}:", redisperf_redis_prefix)
            seen.add(redisperf_redis_prefix)

        def test_two(redisperf_redis_prefix):
            seen.add(redisperf_redis_prefix)

        def test_three():
            assert len(seen) == 2
        """,
    ).assert_outcomes(passed=3)


@pytest.fixture(scope="module")
def url():
    from redis_perf import servers

    server = servers.redis("embedded")
    yield server.url
    server.stop()


PREFIXED = """
    def test_a(redisperf_redis_prefix, redisperf_redis):
        redisperf_redis.set("seen", redisperf_redis_prefix)
        redisperf_redis.set(f"{redisperf_redis_prefix}k", 1)
"""


def test_in_a_redis_by_url_the_keys_with_the_prefix_are_removed(pytester, run_pytest, url):
    import redis

    pytester.makepyfile(PREFIXED)
    run_pytest(f"--redisperf-redis={url}", "--redisperf-allow-external-writes").assert_outcomes(passed=1)
    with redis.Redis.from_url(url) as client:
        assert client.keys() == [b"seen"]


def test_in_a_redis_by_url_a_prefix_needs_leave(pytester, run_pytest, url):
    pytester.makepyfile(PREFIXED)
    result = run_pytest(f"--redisperf-redis={url}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["redisperf: * is not ours, so nothing is removed in it unless --redisperf-allow-*"])
