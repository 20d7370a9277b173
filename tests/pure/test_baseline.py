"""Entries, their differences and their file, to the letter."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf.analysis.baseline import Difference, Spent, differences, entry_of, shape_changes
from redis_perf.report.baseline import headline, shape_lines
from redis_perf.report.baseline_file import BaselineFileError, dumps, loads
from redis_perf.trace import Operation, Purpose, RoundTrip, Store, Trace


def trip(*shapes: str, store: Store = "redis", purpose: Purpose = "work") -> RoundTrip:
    operations = tuple(Operation(shape.split()[0], shape) for shape in shapes)
    return RoundTrip(store, 1, operations, 0, 1, 1, 1, purpose=purpose)


ONE = {"redis": Spent(round_trips=2, operations=3, shapes={"GET a": 2, "SET a": 1})}


def test_an_entry_holds_what_a_budget_charges() -> None:
    trace = Trace((trip("GET a", "SET a"), trip("GET a"), trip("HELLO", purpose="setup")))
    assert entry_of(trace) == ONE
    assert entry_of(Trace()) == {}


def test_counts_that_differ_are_told_with_the_shapes_behind_them() -> None:
    head = {
        "redis": Spent(round_trips=4, operations=5, shapes={"GET a": 4, "SET b": 1}),
        "postgres": Spent(round_trips=1, operations=1, shapes={"SELECT ?": 1}),
    }
    found = differences(ONE, head)
    assert found == [
        Difference(store="redis", measure="round_trips", base=2, head=4),
        Difference(store="redis", measure="operations", base=3, head=5),
        Difference(store="postgres", measure="round_trips", base=0, head=1),
        Difference(store="postgres", measure="operations", base=0, head=1),
    ]
    assert headline(found[:2]) == (
        "redis round trips: baseline 2, spent 4 (+2); redis operations: baseline 3, spent 5 (+2)"
    )
    assert list(shape_lines(ONE, head)) == [
        "    +2  GET a (2 -> 4)",
        "    +1  SET b (0 -> 1)",
        "    -1  SET a (1 -> 0)",
        "    +1  SELECT ? (0 -> 1)",
    ]


def test_the_same_counts_of_other_shapes_are_no_difference_in_cost() -> None:
    head = {"redis": Spent(round_trips=2, operations=3, shapes={"GET b": 3})}
    assert differences(ONE, head) == []
    assert list(shape_changes(ONE, head)) == [
        ("redis", "GET b", 0, 3),
        ("redis", "SET a", 1, 0),
        ("redis", "GET a", 2, 0),
    ]


def test_the_file_has_a_line_for_each_number_and_shape() -> None:
    assert dumps({"tests/test_a.py::test_b": ONE}) == (
        '{\n "format": "redisperf-baseline",\n "tests": {\n  "tests/test_a.py::test_b": {\n   "redis": {\n'
        '    "operations": 3,\n    "round_trips": 2,\n    "shapes": {\n     "GET a": 2,\n     "SET a": 1\n    }\n   }\n'
        '  }\n },\n "version": 1\n}\n'
    )


SPENT = st.builds(
    Spent,
    round_trips=st.integers(0, 9),
    operations=st.integers(0, 9),
    shapes=st.dictionaries(st.text(max_size=9), st.integers(0, 9), max_size=3),
)
ENTRY = st.dictionaries(st.sampled_from(["redis", "postgres"]), SPENT)


@given(st.dictionaries(st.text(), ENTRY, max_size=3))
def test_the_file_read_back_is_what_was_written(baseline: dict[str, dict[Store, Spent]]) -> None:
    assert loads(dumps(baseline)) == baseline


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON: "),
        ("<<<<<<< HEAD\n{}", "not JSON (a merge left its conflict marks in it): "),
        ("[]", 'not a baseline: expected "format": "redisperf-baseline" in it; '),
        ('{"format": "redisperf-baseline", "version": 9}', "version 9, expected 1: upgrade pytest-redisperf, or "),
        ('{"format": "redisperf-baseline", "version": 1}', 'expected "version": 1 and "tests" in it, found '),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(BaselineFileError) as refused:
        loads(text)
    assert str(refused.value).startswith(said)
    assert str(refused.value).endswith("delete it and write it anew with --redisperf-update-baseline=yes")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {"mysql": {}},
        {"redis": {"round_trips": 1, "operations": 1}},
        {"redis": {"round_trips": -1, "operations": 1, "shapes": {}}},
        {"redis": {"round_trips": True, "operations": 1, "shapes": {}}},
        {"redis": {"round_trips": 1, "operations": 1, "shapes": {"GET a": "1"}}},
    ],
)
def test_an_entry_that_is_none_is_named(entry: object) -> None:
    text = json.dumps({"format": "redisperf-baseline", "version": 1, "tests": {"t.py::test_a": entry}})
    with pytest.raises(BaselineFileError, match=r"^t.py::test_a: (redis: )?expected "):
        loads(text)
