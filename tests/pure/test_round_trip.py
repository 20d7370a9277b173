"""A round trip that was made fast is the same as any other."""

import inspect
from dataclasses import fields

from redis_perf.round_trip import Loose, round_trip
from redis_perf.trace import RoundTrip

NAMES = [each.name for each in fields(RoundTrip)]


def test_each_value_gets_to_the_field_it_was_given_for():
    values = [object() for _ in NAMES]
    made = round_trip(*values)
    assert type(made) is RoundTrip
    assert made == RoundTrip(*values)
    assert [getattr(made, name) for name in NAMES] == values


def test_what_is_named_is_what_a_round_trip_has_in_its_order():
    assert list(inspect.signature(Loose).parameters) == NAMES
