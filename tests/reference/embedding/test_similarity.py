"""The search against one written out by hand in exact arithmetic, and the codec against any bytes and any numbers."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf_reference.similarity import ROUNDING, most_similar
from redis_perf_reference.vector_space import VectorSpace
from redis_perf_reference.vectors import NotFinite, VectorCodec, WrongDimension, WrongDtype, normalised

numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
small = st.integers(-3, 3).map(float)
dimensions = st.integers(1, 6)


def arrays(elements: Any, rows: int, dimension: int) -> Any:
    row = st.lists(elements, min_size=dimension, max_size=dimension)
    return st.lists(row, min_size=rows, max_size=8).map(lambda got: np.array(got, "f4").reshape(-1, dimension))


def cosine(one: Any, other: Any) -> float:
    """By fractions, which neither overflow nor round."""
    a, b = [Fraction(float(x)) for x in one], [Fraction(float(x)) for x in other]
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    squares = sum(x * x for x in a) * sum(y * y for y in b)
    if squares == 0:
        return 0.0
    squared = dot * dot / squares
    size = isqrt(squared.numerator * 10**40 // squared.denominator) / 10**20
    return size if dot > 0 else -size


@given(st.data(), dimensions, st.integers(1, 9), st.floats(-1, 1))
def test_a_search_finds_what_exact_arithmetic_finds(
    data: st.DataObject, dimension: int, top_k: int, least: float
) -> None:
    vectors = data.draw(arrays(data.draw(st.sampled_from([numbers, small])), 1, dimension))
    query, candidates = vectors[0], vectors[1:]
    exact = [cosine(query, candidate) for candidate in candidates]
    for unit in (False, True):
        found = most_similar(query, normalised(candidates) if unit else candidates, top_k, least, unit=unit)
        assert len({row for row, _ in found}) == len(found)
        assert all(similarity == pytest.approx(exact[row], abs=1e-5) for row, similarity in found)
        near = [similarity for similarity in exact if similarity >= least + 1e-5]
        assert min(len(near), top_k) <= len(found) <= top_k
        best = sorted((s for s in exact if s >= least - 1e-5), reverse=True)[: len(found)]
        assert [similarity for _, similarity in found] == pytest.approx(best, abs=1e-5)


def test_of_equals_the_first_come_first() -> None:
    vectors = np.array([[0, 1], [1, 0], [2, 0], [1, 1], [3, 0]], "f4")
    assert most_similar(vectors[1], vectors, 2) == [(1, 1.0), (2, 1.0)]
    assert [row for row, _ in most_similar(vectors[1], vectors, 9, -1)] == [1, 2, 4, 3, 0]


@given(st.data(), dimensions)
def test_a_vector_is_as_like_itself_as_can_be(data: st.DataObject, dimension: int) -> None:
    vectors = data.draw(arrays(numbers, 1, dimension))[:1]
    found = most_similar(vectors[0], vectors, 1, 1.0)
    assert found == ([(0, pytest.approx(1, abs=ROUNDING))] if vectors.any() else [])


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("unit", [False, True])
def test_numbers_that_are_none_are_refused_by_a_search(odd: float, unit: bool) -> None:
    vectors = np.array([[1, 0], [odd, 0]], "f4")
    with pytest.raises(NotFinite, match=r"^vectors: a NaN or an infinity in vector 1$"):
        most_similar(vectors[0], vectors, unit=unit)
    with pytest.raises(NotFinite, match=r"^query: a NaN or an infinity"):
        most_similar(vectors[1], vectors, unit=unit)


def test_vectors_that_do_not_fit_the_query_are_refused_by_a_search() -> None:
    vectors = np.zeros((2, 3), "f4")
    with pytest.raises(WrongDimension, match=r"^vectors: shape \(2, 3\), must be \(any number, 2\), as query is"):
        most_similar(np.zeros(2, "f4"), vectors)
    with pytest.raises(WrongDtype, match=r"^query: ndarray of float64, must be float32"):
        most_similar(np.zeros(3), vectors)  # type: ignore[arg-type]
    with pytest.raises(WrongDtype, match=r"^vectors: ndarray of float64, must be float32"):
        most_similar(np.zeros(3, "f4"), vectors.astype("f8"))  # type: ignore[arg-type]


@given(st.data(), dimensions)
def test_what_was_written_reads_the_same(data: st.DataObject, dimension: int) -> None:
    vectors, codec = data.draw(arrays(numbers, 0, dimension)), VectorCodec(dimension)
    records: list[bytes | None] = [*codec.encode(vectors), None]
    assert all(len(record or b"") == codec.record_bytes for record in records[:-1])
    into = codec.empty(len(records))
    assert codec.decode(records, into) == [len(vectors)]
    assert into[:-1].tobytes() == vectors.tobytes()


@given(st.binary(max_size=40), dimensions)
def test_any_bytes_are_a_vector_of_this_header_length_and_finite_numbers_or_a_miss(raw: bytes, dimension: int) -> None:
    codec = VectorCodec(dimension)
    for record in (raw, codec.encode(np.zeros((1, dimension), "f4"))[0][:8] + raw):
        body = np.frombuffer(record[8 : 8 + len(record[8:]) // 4 * 4], "<f4")
        sound = (
            record[:8] == b"ev\x01\x01" + dimension.to_bytes(4, "little")
            and len(record) == 8 + 4 * dimension
            and bool(np.isfinite(body).all())
        )
        assert codec.decode([record], codec.empty(1)) == ([] if sound else [0])


@given(st.data(), dimensions)
def test_normalised_vectors_have_length_1_or_0(data: st.DataObject, dimension: int) -> None:
    vectors = data.draw(arrays(numbers, 0, dimension))
    for vector, scaled in zip(vectors, normalised(vectors), strict=True):
        length = sqrt(sum(float(x) ** 2 for x in scaled))
        assert length == (pytest.approx(1, abs=1e-6) if vector.any() else 0)


words = st.text("ab1\0ü", min_size=1, max_size=3)
spaces = st.builds(VectorSpace, words, words, st.integers(1, 12), st.booleans())


@given(spaces, words, spaces, words)
def test_keys_are_the_same_only_for_the_same(one: VectorSpace, text: str, other: VectorSpace, other_text: str) -> None:
    same = (one, text) == (other, other_text)
    assert (one.keys([text]) == other.keys([other_text])) == same
    assert len(one.keys([text])[0]) == 64
