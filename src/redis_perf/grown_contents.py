"""Contents for hypothesis to draw whose size grows, and whose cost it climbs.

    @given(names=growth_strategy(st.text()))
    def test_any_names_are_saved_at_once(redisperf, names):
        with redisperf.budget(redis=1):
            save(names)

Run with `--hypothesis-profile=redisperf`, which has the settings such a test needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from redis_perf.growing import SIZES, checked_sizes
from redis_perf.trace import StoreTrace, Trace

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Item = TypeVar("Item")
PROFILE: Final = "redisperf"
EXAMPLES: Final = 200
LABEL: Final = "redisperf round trips"


def growth_strategy(items: SearchStrategy[Item], *, sizes: Sequence[int] = SIZES) -> SearchStrategy[list[Item]]:
    """Lists of `items`: many as long as one of `sizes`, the others anything from the first of these to the last.

    What fails shrinks to fewer items, then to simpler ones. Raises ValueError for impossible sizes, RuntimeError
    when hypothesis is not installed.
    """
    numbers = checked_sizes("growth_strategy", sizes)
    try:
        from hypothesis import strategies
    except ImportError as error:
        raise RuntimeError("growth_strategy needs hypothesis: pip install 'pytest-redisperf[hypothesis]'") from error
    lengths = strategies.sampled_from(numbers) | strategies.integers(numbers[0], numbers[-1])
    exactly = lengths.flatmap(lambda length: strategies.lists(items, min_size=length, max_size=length))
    return strategies.lists(items, min_size=numbers[0], max_size=numbers[-1]) | exactly


def register_profile() -> None:
    """The settings profile `redisperf`: no deadline, a phase that climbs, and fixtures that stay for all examples."""
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        PROFILE,
        max_examples=EXAMPLES,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
        suppress_health_check=(HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large),
    )


def aim(trace: Trace) -> None:
    """Inside an example of hypothesis: tell it what this cost, for it to climb. Of several in one example the first."""
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis is not None and hypothesis.currently_in_test_context():
        with suppress(hypothesis.errors.InvalidArgument):
            hypothesis.target(float(StoreTrace(trace.charged, ()).round_trips), label=LABEL)
