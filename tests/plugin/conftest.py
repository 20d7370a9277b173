"""Runs small suites inside a test, with this plugin alone and with fakeredis, so that they cost little."""

from collections.abc import Callable

import asyncpg  # noqa: F401  an inner run would import it anew, which its compiled part does not survive
import fakeredis  # noqa: F401  what is imported here an inner run need not import again
import psycopg  # noqa: F401
import psycopg2  # noqa: F401
import pytest
import redis.asyncio  # noqa: F401

import pytest_redisperf.ahead
import pytest_redisperf.gathering
import pytest_redisperf.metering  # noqa: F401
import redis_perf.check  # a test that replaces something in a module must find the one that an inner run will
import redis_perf.servers.embedded
import redis_perf.servers.engine
import redis_perf.servers.external
import redis_perf.servers.fake
import redis_perf.servers.starter
import redis_perf.servers.system  # noqa: F401

MEMORY = """
    def push(client):
        client.rpush("working:1:turns", "hello")
        client.ltrim("working:1:turns", -20, -1)
        client.expire("working:1:turns", 60)
"""


@pytest.fixture(autouse=True)
def alone(nobody_else_listens: None) -> None:
    """These tests put taps in place themselves."""


@pytest.fixture(autouse=True)
def only_this_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDISPERF_REDIS", "REDISPERF_POSTGRES", "PYTEST_ADDOPTS", "CI", "BUILD_NUMBER", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run_pytest(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """`run_pytest("--option", ...)` in the inner directory."""

    def run_pytest(*options: str, subprocess: bool = False) -> pytest.RunResult:
        runpytest = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return runpytest("-p", "redisperf", "-p", "no:cacheprovider", *options)

    return run_pytest


@pytest.fixture
def run(pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]) -> Callable[..., pytest.RunResult]:
    """`run("test source", "--option", ...)` on a fake Redis."""

    def run(source: str, *options: str, subprocess: bool = False) -> pytest.RunResult:
        pytester.makepyfile(source)
        return run_pytest("--redisperf-redis=fake", *options, subprocess=subprocess)

    return run


@pytest.fixture
def push_module(pytester: pytest.Pytester) -> None:
    """A module `memory` whose `push` is three round trips."""
    pytester.makepyfile(memory=MEMORY)
    pytester.syspathinsert()
