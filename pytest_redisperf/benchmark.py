"""`redisperf_benchmark`: pytest-benchmark's `benchmark`, with what a call spends beside how long it takes.

Timed calls are not listened to; one more call afterwards, warm as the last timed one was, is recorded. Its counts go
into `benchmark.extra_info`, so into `--benchmark-json` and comparisons, and into a table of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from statistics import median
from time import perf_counter_ns
from typing import Any, TypedDict

import pytest

from pytest_redisperf.benchmark_table import MODELLED, Table
from pytest_redisperf.spending import RedisPerf
from redis_perf import Budget, BudgetExceeded, NothingMeasured, Spend, StoreTrace, Trace
from redis_perf.analysis.projection import projection
from redis_perf.check import check
from redis_perf.limit import Amount, as_limit
from redis_perf.recording import pace, unheard
from redis_perf.report.lines import spending_lines
from redis_perf.report.units import duration

ROUNDS = 15
SPENT = pytest.StashKey["dict[str, Any]"]()


class Counts(TypedDict):
    """What one call spent; bytes that were not seen are None."""

    redis_round_trips: int
    redis_commands: int
    postgres_round_trips: int
    postgres_statements: int
    depth: int
    bytes: int | None


class RatioExceeded(AssertionError):
    """A call takes longer, beside another, than it may."""


class Benchmark:
    """The fixture. Annotate with `pytest_redisperf.Benchmark`."""

    def __init__(self, benchmark: Any, redisperf: RedisPerf, item: pytest.Item, networks_ns: tuple[int, ...]) -> None:
        self._benchmark = benchmark
        self._redisperf = redisperf
        self._item = item
        self._networks_ns = networks_ns
        self._call: Callable[[], Any] | None = None
        self._trace: Trace | None = None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Benchmark `function(*args, **kwargs)`, then record one call more. Returns what the benchmark returns."""
        self._call = lambda: function(*args, **kwargs)
        with _timed():
            result = self._benchmark(function, *args, **kwargs)
        self._count(self._call)
        return result

    def pedantic(self, function: Callable[..., Any], args: Any = (), kwargs: Any = None, **how: Any) -> Any:
        """`benchmark.pedantic`; a `setup` is run once more before the call that is recorded, and may give arguments."""
        kwargs = {} if kwargs is None else kwargs
        with _timed():
            result = self._benchmark.pedantic(function, args=args, kwargs=kwargs, **how)
        setup = how.get("setup")
        given = setup() if setup is not None else None
        args, kwargs = given if given is not None else (args, kwargs)
        self._call = lambda: function(*args, **kwargs)
        self._count(self._call)
        return result

    @property
    def trace(self) -> Trace:
        """Of the call that was recorded. Raises RuntimeError before there was one."""
        if self._trace is None:
            raise RuntimeError("nothing was benchmarked yet: call redisperf_benchmark(function, ...) first")
        return self._trace

    def max_round_trips(self, most: Amount) -> None:
        """A call spends no more, in both stores together. Raises BudgetExceeded or NothingMeasured."""
        __tracebackhide__ = True
        limit, trips = as_limit("max_round_trips", "most", most), self.trace.charged
        seen = sum(trip.answer == "complete" for trip in trips)
        if not trips and not limit.names_zero:
            raise NothingMeasured("round trips: nothing measured: the call sent nothing that was seen")
        if not limit.allows(seen):
            lines = spending_lines(trips, root=str(self._item.config.rootpath))
            raise BudgetExceeded("\n".join([f"round trips: at most {limit}, spent {seen}", *lines]))

    def max_statements(self, most: Amount) -> None:
        """A call executes no more Postgres statements. Raises BudgetExceeded or NothingMeasured."""
        __tracebackhide__ = True
        check(self.trace, Budget(postgres=Spend(statements=most)), networks_ns=self._networks_ns)

    def ratio_to(
        self, other: Callable[[], Any], *, setup: Callable[[], Any] | None = None, rounds: int = ROUNDS
    ) -> float:
        """How many times as long a call takes as `other()`: the median over pairs, whose order alternates.

        Both run in this test and on this machine, so the ratio means something where seconds do not. `setup` is run,
        untimed, before each pair.
        """
        if self._call is None:
            raise RuntimeError("nothing was benchmarked yet: call redisperf_benchmark(function, ...) first")
        with _timed():
            ratio = paired_ratio(self._call, other, rounds, setup)
        self._info({"ratio": round(ratio, 4)})
        return ratio

    def max_ratio_to(self, other: Callable[[], Any], most: float, **how: Any) -> None:
        """A call takes at most so many times as long as `other()`; see `ratio_to`. Raises RatioExceeded."""
        __tracebackhide__ = True
        ratio = self.ratio_to(other, **how)
        if ratio > most:
            raise RatioExceeded(f"takes {ratio:.3g} times as long as the other, at most {most:g} allowed")

    @contextmanager
    def at_latency(self, latency: str) -> Iterator[None]:
        """Within the block each round trip to the fixtures' servers takes so much longer (`"1ms"`)."""
        with self._redisperf.latency(latency):
            yield

    def _count(self, call: Callable[[], Any]) -> None:
        with self._redisperf.record() as recording:
            call()
        self._trace = recording.trace
        counts = counts_of(self._trace)
        modelled = {
            f"{MODELLED}{duration(each).replace(' ', '')}_ns": projection(self._trace, each).floor_ns
            for each in self._networks_ns
        }
        self._info({**counts, **modelled})
        self._item.stash[SPENT] = {**counts, **modelled}

    def _info(self, values: dict[str, Any]) -> None:
        info = getattr(self._benchmark, "extra_info", None)  # pytest-codspeed's has none
        if info is not None:
            info.update({f"redisperf_{name}": value for name, value in values.items()})


def counts_of(trace: Trace) -> Counts:
    return Counts(
        redis_round_trips=trace.redis.round_trips,
        redis_commands=trace.redis.operations,
        postgres_round_trips=trace.postgres.round_trips,
        postgres_statements=trace.postgres.operations,
        depth=trace.depth,
        bytes=StoreTrace(trace.charged, ()).bytes,
    )


def paired_ratio(
    one: Callable[[], Any], other: Callable[[], Any], rounds: int, setup: Callable[[], Any] | None = None
) -> float:
    """How many times as long `one()` takes as `other()`: the median over pairs, whose order alternates."""
    ratios = []
    for round in range(rounds):
        if setup is not None:
            setup()
        first, second = (one, other) if round % 2 else (other, one)
        taken = {call: _taken_ns(call) for call in (first, second)}
        ratios.append(taken[one] / taken[other])
    return median(ratios)


def _taken_ns(call: Callable[[], Any]) -> int:
    since_ns = perf_counter_ns()
    call()
    return perf_counter_ns() - since_ns


def _timed() -> AbstractContextManager[None]:
    """Nobody listens, unless it is the listeners that slow the calls down as was asked."""
    return nullcontext() if pace().latency_ns else unheard()


class Sending:
    """In every process that runs tests."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call" and SPENT in item.stash:
            report.redisperf_benchmark = item.stash[SPENT]  # type: ignore[attr-defined]
        return report


def _timing(request: pytest.FixtureRequest) -> Any:
    """What times calls. pytest-codspeed has `benchmark` only while it is enabled, `codspeed_benchmark` always."""
    for name in ("benchmark", "codspeed_benchmark"):
        with suppress(pytest.FixtureLookupError):
            return request.getfixturevalue(name)
    return None


def benchmark_of(request: pytest.FixtureRequest, redisperf: RedisPerf, networks_ns: tuple[int, ...]) -> Benchmark:
    """The fixture's value. The test fails with a sentence where pytest-benchmark (or pytest-codspeed) is missing."""
    benchmark = _timing(request)
    if benchmark is None:
        pytest.fail(
            "redisperf: redisperf_benchmark needs pytest-benchmark: pip install 'pytest-redisperf[benchmark]'",
            pytrace=False,
        )
    manager = request.config.pluginmanager
    for name, plugin in (("redisperf-benchmark-sending", Sending), ("redisperf-benchmark-table", Table)):
        if not manager.has_plugin(name):
            manager.register(plugin(), name)
    return Benchmark(benchmark, redisperf, request.node, networks_ns)
