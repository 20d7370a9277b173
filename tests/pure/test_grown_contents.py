"""Which contents are drawn, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from redis_perf import growth_strategy
from redis_perf.grown_contents import aim
from redis_perf.trace import Trace

SIZES = (2, 5, 9)


@given(growth_strategy(st.integers(0, 9), sizes=SIZES))
def test_contents_are_as_many_as_the_sizes_allow(contents: list[int]) -> None:
    assert SIZES[0] <= len(contents) <= SIZES[-1]


@pytest.mark.parametrize("size", range(SIZES[0], SIZES[-1] + 1))
def test_every_size_between_is_drawn_too(size: int) -> None:
    quiet = settings(max_examples=5000, database=None, suppress_health_check=list(HealthCheck))
    found = find(growth_strategy(st.integers(0, 9), sizes=SIZES), lambda drawn: len(drawn) == size, settings=quiet)
    assert len(found) == size


@pytest.mark.parametrize("sizes", [(), (3,), (5, 2), (-1, 2), (1, "2")])
def test_sizes_that_make_no_sense_are_named(sizes: Any) -> None:
    with pytest.raises(ValueError, match=r"growth_strategy: sizes=.*expected two or more different whole numbers"):
        growth_strategy(st.integers(), sizes=sizes)


def test_outside_of_an_example_nobody_is_told() -> None:
    aim(Trace())
