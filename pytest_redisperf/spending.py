"""What the `redisperf` fixture gives: budgets, recordings and the trace so far."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias, TypeVar

import pytest

from pytest_redisperf.options import Settings
from redis_perf import BudgetExceeded, NothingMeasured, Recording, Trace, record
from redis_perf.budget import Allowance, Budget, Spend
from redis_perf.limit import Amount, at_most, between, exactly, warm

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from pytest_redisperf.latency import Latency
    from pytest_redisperf.suspects import Ignoring
    from redis_perf.growing import GrowthMeasured
    from redis_perf.proxy.fault_points import FaultPoints
    from redis_perf.suite import Broken
    from redis_perf.worst_case import WorstCase

Item = TypeVar("Item")
Record: TypeAlias = "Callable[[], Recording]"
CALL = pytest.StashKey[Recording]()
"""The recording of a test's call phase, from its beginning."""


class Verdict(NamedTuple):
    """Why one of ours failed a test: the whole text."""

    broken: Broken
    text: str


VERDICT = pytest.StashKey[Verdict]()
"""That of a test's call phase, where it was not the test's own code that failed it, until the test is torn down."""


def verdict_of(item: pytest.Item, call: pytest.CallInfo[None]) -> Verdict | None:
    """Why this phase failed, if it was one of ours that failed it."""
    if call.when == "call" and VERDICT in item.stash:
        return item.stash[VERDICT]
    if call.excinfo is not None and call.excinfo.errisinstance((BudgetExceeded, NothingMeasured)):
        return Verdict("budget", str(call.excinfo.value))
    return None


def fail(item: pytest.Item, verdict: Verdict) -> NoReturn:
    item.stash[VERDICT] = verdict
    pytest.fail(verdict.text, pytrace=False)


def recorder(config: pytest.Config, settings: Settings) -> Record:
    """Who records in this run: the taps in this process or the proxy."""
    if settings.tap == "clients":
        return record
    from pytest_redisperf.wire import wire_of

    return wire_of(config).record


class Spending:
    """A block held to a budget; `with` (or `async with`) gives the recording, which reads as a Trace.

    An exception inside the block is never masked: the budget is checked only when the block ends well.
    """

    def __init__(self, budget: Budget, config: pytest.Config, networks_ns: tuple[int, ...], record: Record) -> None:
        self._record = record
        self._budget = budget
        self._config = config
        self._networks_ns = networks_ns
        self._recordings: list[Recording] = []

    def __enter__(self) -> Recording:
        recording = self._record()
        self._recordings.append(recording)
        return recording.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        recording = self._recordings.pop()
        recording.__exit__(kind, error, traceback)
        if error is None:
            if "hypothesis" in sys.modules:
                from redis_perf.grown_contents import aim

                aim(recording.trace)
            try:
                self._check(recording.trace)
            except AssertionError as verdict:
                raise verdict.with_traceback(None) from None

    def _check(self, trace: Trace) -> None:
        from redis_perf.check import check

        check(
            trace,
            self._budget,
            networks_ns=self._networks_ns,
            verbosity=self._config.get_verbosity(),
            root=str(self._config.rootpath),
        )

    async def __aenter__(self) -> Recording:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self.__exit__(kind, error, traceback)


class Measuring:
    """Budgets and recordings, whoever records."""

    Spend = Spend
    exactly = staticmethod(exactly)
    at_most = staticmethod(at_most)
    between = staticmethod(between)
    warm = staticmethod(warm)

    def __init__(self, config: pytest.Config, settings: Settings, record: Record) -> None:
        self._config = config
        self._settings = settings
        self._record = record

    def budget(
        self,
        *,
        redis: Allowance | None = None,
        postgres: Allowance | None = None,
        depth: Amount | None = None,
        latency: str | None = None,
        allow_nothing: bool = False,
        **servers: Allowance,
    ) -> Spending:
        """Hold a block to a budget.

            with redisperf.budget(redis=1, postgres=Spend(statements=2)) as spent:
                memory.push_turn("ada", turn)
            assert spent.redis.shapes == ["RPUSH working:{}:turns"]

        Raises TypeError or ValueError for limits that make no sense, BudgetExceeded (an AssertionError) when more
        was spent, NothingMeasured when a store with a budget saw no traffic at all.
        """
        __tracebackhide__ = True
        try:
            budget = Budget.of(
                redis=redis,
                postgres=postgres,
                depth=depth,
                latency=latency,
                allow_nothing=allow_nothing,
                **servers,
            )
        except (TypeError, ValueError) as error:
            raise error.with_traceback(None) from None
        return Spending(budget, self._config, self._settings.networks_ns, self._record)

    def record(self) -> Recording:
        """Record a block without holding it to anything; see `redis_perf.record`."""
        return self._record()

    def fault_points(self, run: Callable[[], object], **how: Any) -> FaultPoints:
        """Run it once to learn its round trips, then break each of them, before and after the server executed it.

            for point in redisperf.fault_points(run):
                with point:
                    try_to(run)

        `async for` if it is async. Only what goes through the proxy can break: `redisperf_proxy`'s URLs, or all
        fixtures' with `--redisperf-tap=proxy`. Raises NothingMeasured if it sent nothing there. Takes what
        `redis_perf.proxy.fault_points` takes: `breaking`, for a fault other than `Reset`.
        """
        from pytest_redisperf.wire import wire_of
        from redis_perf.proxy.fault_points import fault_points

        return fault_points(wire_of(self._config), run, **how)

    def growth(self, run: Callable[..., Any], **how: Any) -> GrowthMeasured:
        """Measure `run` at several sizes of data: `redisperf.growth(run, populate=add_rooms).assert_constant()`.

        Takes what `redis_perf.growing.growth` takes: `populate`, `reset`, `sizes`, `warmup`.
        """
        from redis_perf.growing import growth

        __tracebackhide__ = True
        return growth(run, record=self._record, root=str(self._config.rootpath), **how)

    async def async_growth(self, run: Callable[..., Any], **how: Any) -> GrowthMeasured:
        """`growth` for async functions: `(await redisperf.async_growth(run, populate=add_rooms)).assert_constant()`."""
        from redis_perf.growing import async_growth

        __tracebackhide__ = True
        return await async_growth(run, record=self._record, root=str(self._config.rootpath), **how)

    @staticmethod
    def growth_strategy(items: SearchStrategy[Item], **how: Any) -> SearchStrategy[list[Item]]:
        """Lists of `items` whose length grows, for `worst_case`; above a test it is `redis_perf.growth_strategy`."""
        from redis_perf.grown_contents import growth_strategy

        __tracebackhide__ = True
        return growth_strategy(items, **how)

    def worst_case(self, run: Callable[[Any], Any], contents: SearchStrategy[Any], **how: Any) -> WorstCase[Any]:
        """Search with hypothesis for the contents that cost most; see `redis_perf.worst_case`."""
        from redis_perf.worst_case import worst_case

        __tracebackhide__ = True
        return worst_case(run, contents, record=self._record, root=str(self._config.rootpath), **how)


class RedisPerf(Measuring):
    """The `redisperf` fixture. Annotate with `pytest_redisperf.RedisPerf`."""

    def __init__(self, item: pytest.Item, settings: Settings, record: Record, since_setup: Recording) -> None:
        super().__init__(item.config, settings, record)
        self._item = item
        self._since_setup = since_setup

    def latency(self, latency: str) -> Latency:
        """Add this much (`"2ms"`) to each reply: until the test or, after `with`, the block ends.

        Of blocking redis-py clients in any run; of all clients on the fixtures' URLs with `--redisperf-tap=proxy` or
        `--redisperf-latency`. Without these, others are an UsageError when it ends. Raises ValueError for no time.
        """
        __tracebackhide__ = True
        from pytest_redisperf.wire import network_of, wire_of

        slow = network_of if self._settings.tap == "clients" else wire_of
        return slow(self._config).latency(latency)

    def ignore(self, *, shape: str | None = None, site: str | None = None) -> Ignoring:
        """N+1 that begin inside this block are meant to be so: `with redisperf.ignore(shape="GET user:*"):`.

        Patterns as of fnmatch; `site` is a file relative to the project's root, `"app/legacy.py"` or
        `"app/legacy.py:12"`, or a function. Raises ValueError for an empty pattern.
        """
        from pytest_redisperf.suspects import ignoring

        __tracebackhide__ = True
        return ignoring(self._item, shape, site)

    @property
    def trace(self) -> Trace:
        """What the test has sent so far: its call phase or, in another fixture's setup, since this fixture's own."""
        return self._item.stash.get(CALL, self._since_setup).trace
