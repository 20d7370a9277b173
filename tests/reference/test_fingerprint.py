"""Equal values have equal fingerprints, others do not, however they are cut."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf_reference.codec import Unencodable
from redis_perf_reference.fingerprint import fingerprint

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES, VALUES)
def test_two_values_have_one_fingerprint_only_if_they_are_the_same_json(one: Any, other: Any) -> None:
    texts = [json.dumps(value, sort_keys=True) for value in (one, other)]
    assert (fingerprint(one) == fingerprint(other)) == (texts[0] == texts[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a|b", "c"], ["a", "b|c"]),
        (["ab"], ["a", "b"]),
        ("1", 1),
        (1, True),
        (1, 1.0),
        (None, "None"),
        (b"a", "a"),
        ([], {}),
        (["a"], "a"),
        ([["a"], "b"], [["a", "b"]]),
        ({"a": "b"}, ["a", "b"]),
        ("str 1\na", ["a"]),
        ("é", "e\u0301"),
    ],
    ids=repr,
)
def test_what_looks_alike_is_told_apart(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_order_of_keys_and_kind_of_sequence_make_no_difference() -> None:
    assert fingerprint({"a": 1, "b": (2, 3)}) == fingerprint({"b": [2, 3], "a": 1})


def test_each_part_is_written_with_its_kind_and_length() -> None:
    value = {"temperature": 0.1, "messages": [{"content": "é"}], "seed": None}
    written = (
        b"map 3\n"
        b"str 8\nmessageslist 1\nmap 1\nstr 7\ncontentstr 2\n\xc3\xa9"
        b"str 4\nseedNoneType 4\nNone"
        b"str 11\ntemperaturefloat 3\n0.1"
    )
    assert fingerprint(value) == sha256(written).hexdigest()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1}, "value is set, must be"),
        ({"a": [object()]}, "value['a'][0] is object, must be"),
        ({1: 2}, "value has the key 1, must be str"),
    ],
)
def test_what_has_no_such_form_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(Unencodable) as refused:
        fingerprint(value)
    assert str(refused.value).startswith(words)


def test_what_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Unencodable, match="value is too deep, or contains itself"):
        fingerprint(value)
