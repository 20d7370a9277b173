"""A run that uses nothing of this plugin pays nothing."""

import json

CONFTEST = """
    import json, subprocess, sys

    def pytest_sessionfinish(session):
        modules = [name for name in sys.modules if name.split(".")[0] in WATCHED]
        hooks = [plugin for plugin, _ in session.config.pluginmanager.list_name_plugin() if "redisperf" in plugin]
        patched = hasattr(subprocess.Popen.__init__, "__wrapped__")
        with open("seen.json", "w") as seen:
            json.dump([modules, hooks, patched], seen)

    WATCHED = {"redis", "valkey", "fakeredis", "psycopg", "psycopg_pool", "redis_perf"}
"""


MODULES = ("fixtures", "postgres_fixtures", "redis_fixtures", "topologies")


def seen(pytester, run, source, *options):
    pytester.makeconftest(CONFTEST)
    run(source, *options, subprocess=True).assert_outcomes(passed=1)
    return json.loads((pytester.path / "seen.json").read_text())


def test_a_plain_run_imports_no_client_and_not_even_the_core_and_patches_nothing(pytester, run):
    modules, plugins, patched = seen(pytester, run, "def test_it(): pass")
    assert modules == []
    assert sorted(plugins) == ["redisperf", *(f"redisperf-{name}" for name in MODULES)]
    assert not patched


def test_a_marker_brings_the_metering(pytester, run):
    source = "import pytest\n\n@pytest.mark.redisperf(redis=0)\ndef test_it(): pass"
    modules, plugins, _ = seen(pytester, run, source)
    assert "redis_perf.recording" in modules
    assert "redisperf-metering" in plugins


AFTERWARDS = """
    import pytest
    from redis.connection import AbstractConnection

    from redis_perf.recording import _listening

    def test_after_a_run_nothing_is_patched_and_nobody_listens():
        before = dict(vars(AbstractConnection))
        inner = ["-p", "redisperf", "-p", "no:cacheprovider", "--redisperf", "--redisperf-redis=fake", "inner.py"]
        assert pytest.main(inner) == 0
        assert dict(vars(AbstractConnection)) == before
        assert _listening._users == 0
"""


def test_after_the_run_everything_is_restored(pytester, run):
    pytester.makepyfile(inner="def test_it(redisperf_redis): redisperf_redis.get('a')")
    run(AFTERWARDS, subprocess=True).assert_outcomes(passed=1)
