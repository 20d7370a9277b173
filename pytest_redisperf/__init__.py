"""The pytest plugin of pytest-redisperf: budgets on the round trips to Redis and Postgres in tests.

`RedisPerf` is the type of the `redisperf` fixture. It is loaded when asked for, so that a test run which uses
nothing of this plugin imports nothing either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_redisperf.async_clients import AsyncPostgres
    from pytest_redisperf.benchmark import Benchmark
    from pytest_redisperf.proxied import Proxied
    from pytest_redisperf.spending import RedisPerf, Spending

__all__ = ["AsyncPostgres", "Benchmark", "Proxied", "RedisPerf", "Spending"]


def __getattr__(name: str) -> object:
    if name in ("RedisPerf", "Spending"):
        from pytest_redisperf import spending

        return getattr(spending, name)
    if name == "AsyncPostgres":
        from pytest_redisperf.async_clients import AsyncPostgres

        return AsyncPostgres
    if name == "Benchmark":
        from pytest_redisperf.benchmark import Benchmark

        return Benchmark
    if name == "Proxied":
        from pytest_redisperf.proxied import Proxied

        return Proxied
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
