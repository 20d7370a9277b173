"""A round trip that was made fast is the same as any other."""

import copy
import inspect
import pickle
from dataclasses import asdict, fields, replace

from redis_perf.round_trip import SAME, SAME_BEFORE, VALUES, VARIES, Loose, round_trip
from redis_perf.trace import RoundTrip


def test_each_value_gets_to_the_field_it_was_given_for():
    values = [object() for _ in VALUES]
    made = round_trip(*values)
    assert type(made) is RoundTrip
    assert made == RoundTrip(*values)
    assert [getattr(made, name) for name in VALUES] == values
    assert made.alike is None


def test_what_is_named_is_what_a_round_trip_has_in_its_order():
    assert tuple(each.name for each in fields(RoundTrip)) == VALUES
    assert list(inspect.signature(Loose).parameters) == [*VALUES, "alike"]


def test_what_varies_stands_where_files_put_it_together_again():
    between = VALUES[SAME_BEFORE : SAME_BEFORE + 4]
    assert (*SAME[:SAME_BEFORE], *between, *SAME[SAME_BEFORE:], *VARIES[4:]) == VALUES
    assert between == VARIES[:4]


def test_a_copy_is_not_taken_for_alike_and_the_mark_is_no_value():
    mark = object()
    made = round_trip(*["same"] * len(VALUES), mark)
    assert made.alike is mark
    for again in (replace(made, name="other"), copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again.alike is None
        assert replace(again, name="same") == made
    assert asdict(made) == dict.fromkeys(VALUES, "same")
