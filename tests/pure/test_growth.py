"""How growth is named, and what the failure says, to the letter."""

from __future__ import annotations

import pytest

from redis_perf import NothingMeasured
from redis_perf.analysis.growth import Growth, Measured
from redis_perf.growing import GrowthExceeded, GrowthMeasured
from redis_perf.trace import Operation, RoundTrip, Site, Store, Trace


def trips(times: int, shape: str, *, line: int = 12, store: Store = "postgres", operations: int = 1) -> list[RoundTrip]:
    asked = (Operation(shape.split()[0], shape),) * operations
    site = Site("/app/rooms.py", line, "badge_total")
    return [RoundTrip(store, 1, asked, 10 * at, 10 * at + 5, 1, None, site) for at in range(times)]


def measured(**at_size: list[RoundTrip]) -> GrowthMeasured:
    traces = {int(size[1:]): Trace(round_trips=tuple(found)) for size, found in at_size.items()}
    return GrowthMeasured(Measured(traces), root="/app")


@pytest.mark.parametrize(
    ("counts", "kind"),
    [
        ((3, 3, 3), "constant"),
        ((0, 0, 0), "constant"),
        ((2, 11, 101), "linear"),
        ((1, 10, 1000), "worse than linear"),
        ((1, 4, 7), "logarithmic"),
        ((0, 33, 664), "worse than linear"),
        ((1, 1, 100), "linear"),
        ((5, 4, 4), "falling"),
        ((1, 5, 5), "logarithmic"),
    ],
)
def test_counts_at_1_10_and_100_are_named(counts: tuple[int, ...], kind: str) -> None:
    assert Growth(sizes=(1, 10, 100), counts=counts).kind == kind


def test_chunks_of_a_hundred_are_linear_with_a_hundredth_for_each_item() -> None:
    growth = Growth(sizes=(100, 1000, 10000), counts=(1, 10, 100))
    assert (growth.kind, growth.per_item) == ("linear", 0.01)


def test_two_sizes_tell_a_rise_but_not_its_form() -> None:
    assert Growth(sizes=(1, 10), counts=(1, 40)).kind == "linear"


def test_what_stays_the_same_is_constant_for_each_store_and_for_both() -> None:
    found = measured(_1=trips(2, "SELECT a"), _10=trips(2, "SELECT a"))
    found.assert_constant()
    found.assert_constant("operations", store="postgres")
    found.assert_constant("depth", store="redis")


def test_a_loop_is_shown_with_its_line_its_counts_and_the_fix() -> None:
    found = measured(
        **{
            f"_{size}": trips(1, "SELECT rooms", line=10) + trips(size, "SELECT members WHERE room = $?")
            for size in (1, 10, 100)
        }
    )
    with pytest.raises(GrowthExceeded) as failure:
        found.assert_constant(store="postgres")
    assert str(failure.value).splitlines() == [
        "postgres round trips: 2, 11, 101 at sizes 1, 10, 100: linear, 1 more for each item; "
        "expected the same at each size",
        "  1  10  100   <- size",
        "  1  10  100   SELECT members WHERE room = $?    rooms.py:12 in badge_total",
        "  1   1    1   SELECT rooms    rooms.py:10 in badge_total",
        "at size 100: 100 x SELECT members WHERE room = $?: one SELECT with = ANY($1) would be 1 round trip (saves 99)",
    ]


def test_a_pipeline_grows_in_operations_and_not_in_round_trips() -> None:
    found = measured(
        _1=trips(1, "GET user:{}", store="redis"), _10=trips(1, "GET user:{}", store="redis", operations=10)
    )
    found.assert_constant()
    with pytest.raises(GrowthExceeded, match=r"^operations: 1, 10 at sizes 1, 10: linear, 1 more for each item; "):
        found.assert_constant("operations")
    found.assert_at_most_linear("operations", per_item=1)


def test_linear_is_allowed_up_to_so_much_for_each_item() -> None:
    found = measured(_1=trips(2, "SELECT a"), _10=trips(20, "SELECT a"))
    found.assert_at_most_linear(per_item=2)
    with pytest.raises(GrowthExceeded, match=r"2 more for each item; expected at most 1 more for each item"):
        found.assert_at_most_linear()


def test_what_is_worse_than_linear_is_refused_whatever_one_item_may_cost() -> None:
    found = measured(_1=trips(1, "SELECT a"), _10=trips(10, "SELECT a"), _100=trips(2000, "SELECT a"))
    with pytest.raises(GrowthExceeded, match=r"worse than linear, up to 22.1 more for each item"):
        found.assert_at_most_linear(per_item=1000)


def test_a_first_run_that_was_not_warmed_up_is_told_from_growth() -> None:
    found = measured(_1=trips(3, "EVAL x"), _10=trips(1, "EVALSHA x"))
    with pytest.raises(GrowthExceeded, match="falling: the smallest size cost most, as a first run does"):
        found.assert_constant()


def test_bytes_that_were_not_seen_prove_nothing() -> None:
    with pytest.raises(NothingMeasured, match="growth of bytes: its number was not seen at each size"):
        measured(_1=trips(1, "SELECT a"), _10=trips(1, "SELECT a")).assert_constant("bytes")


def test_a_measure_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="growth of 'queries': expected one of round_trips, operations, bytes, depth"):
        measured(_1=[], _10=[]).of("queries")
