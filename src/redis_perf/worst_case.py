"""Search for the contents that cost most, with hypothesis.

    worst = worst_case(save, contents=st.lists(st.text()), reset=empty_the_store)
    worst.assert_at_most(2)
    worst.assert_at_most(100, "bytes", per_item=True)

Hypothesis draws contents, `run` is recorded on each, and the cost is told to `hypothesis.target`, so that it climbs
towards dearer ones. What was dearest is kept whole: the contents and the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from redis_perf.analysis.growth import MEASURES
from redis_perf.errors import BudgetExceeded, NothingMeasured
from redis_perf.growing import refuse_awaitable
from redis_perf.recording import Recording, record
from redis_perf.report.lines import spending_lines
from redis_perf.trace import Store, StoreTrace, Trace

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Contents = TypeVar("Contents")
Record: TypeAlias = Callable[[], Recording]
EXAMPLES = 100
SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class WorstCase(Generic[Contents]):
    """The dearest of `examples` contents, by `cost`, which is a number for each item if that was asked for."""

    contents: Contents
    trace: Trace
    cost: float
    measure: str
    per_item: bool
    examples: int
    root: str | None = None

    def assert_at_most(self, limit: float) -> None:
        """Raises BudgetExceeded, with the contents that cost more."""
        __tracebackhide__ = True
        if self.cost > limit:
            each = " for each item" if self.per_item else ""
            shown = repr(self.contents)
            shown = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}... ({len(shown)} characters)"
            lines = spending_lines(self.trace.charged, root=self.root)
            what = self.measure.replace("_", " ")
            raise BudgetExceeded(
                "\n".join([f"{what}: at most {limit:g}{each}, spent {self.cost:g} on {shown}", *lines])
            )


def worst_case(
    run: Callable[[Contents], Any],
    contents: SearchStrategy[Contents],
    *,
    measure: str = "round_trips",
    store: Store | None = None,
    per_item: bool = False,
    reset: Callable[[], Any] | None = None,
    max_examples: int = EXAMPLES,
    record: Record = record,
    root: str | None = None,
) -> WorstCase[Contents]:
    """Run `run(contents)` on many contents, after `reset()` each, and return what cost most.

    `per_item` divides the cost by `len(contents)` (1 for empty ones). Raises ValueError for a measure that is none of
    `round_trips`, `operations`, `bytes`, `depth`; NothingMeasured when no contents sent anything; RuntimeError when
    hypothesis is not installed.
    """
    if measure not in MEASURES:
        raise ValueError(f"worst_case of {measure!r}: expected one of {', '.join(MEASURES)}")
    found: list[WorstCase[Contents]] = []
    examples = 0

    def example(drawn: Contents) -> float:
        nonlocal examples
        examples += 1
        if reset is not None:
            reset()
        with record() as running:
            refuse_awaitable(run(drawn), "worst_case: give it `lambda contents: asyncio.run(...)`")
        cost = _cost(running.trace, measure, store, drawn if per_item else None)
        if not found or cost > found[0].cost:
            found[:] = [WorstCase(drawn, running.trace, cost, measure, per_item, examples, root)]
        return cost

    _search(example, contents, max_examples, measure)
    (worst,) = found
    if not worst.trace.charged:
        raise NothingMeasured(f"worst_case: run sent nothing on any of {examples} contents, so this tests nothing")
    return WorstCase(worst.contents, worst.trace, worst.cost, measure, per_item, examples, root)


def _cost(trace: Trace, measure: str, store: Store | None, items: object) -> float:
    share = StoreTrace(trace.charged, trace.opened) if store is None else trace.store(store)
    number: int | None = getattr(share, measure)
    if number is None:
        raise NothingMeasured(f"worst_case of {measure}: its number was not seen, so it proves nothing")
    return number / max(1, len(items)) if isinstance(items, Sized) else number


def _search(
    example: Callable[[Contents], float], contents: SearchStrategy[Contents], max_examples: int, label: str
) -> None:
    try:
        from hypothesis import HealthCheck, given, settings, target
    except ImportError as error:
        raise RuntimeError("worst_case needs hypothesis: pip install 'pytest-redisperf[hypothesis]'") from error

    @settings(max_examples=max_examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(contents)
    def search(drawn: Contents) -> None:
        target(float(example(drawn)), label=label)

    search()
