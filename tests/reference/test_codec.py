"""The codec: what comes back equals what went in, or is refused by name; a stranger's bytes do no harm."""

from __future__ import annotations

import importlib.util
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf_reference.codec import Codec, Undecodable, Unencodable, UnknownFormat
from redis_perf_reference.frozen import frozen_bytes


class Persona(msgspec.Struct, frozen=True):
    name: str
    born: datetime
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Price:
    amount: Decimal
    of: UUID


FORMATS = ["json", "msgpack"]
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(value=json_values, format=st.sampled_from(FORMATS), above=st.sampled_from([0, 20]))
def test_plain_values_come_back_equal(value: Any, format: Any, above: int) -> None:
    codec = Codec(format=format, compression="zlib", compress_above=above)
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (datetime, NOW),
        (timedelta, timedelta(days=1, microseconds=5)),
        (tuple[int, str], (1, "a")),
        (dict[int, tuple[int, ...]], {1: (2, 3)}),
        (set[str], {"a", "b"}),
        (frozenset[int], frozenset({1})),
        (bytes, b"\x00\xff"),
        (Persona, Persona("Lua", NOW, ("calm",))),
        (list[Persona | None], [None, Persona("Lua", NOW)]),
        (Price, Price(Decimal("1.10"), UUID(int=7))),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_type_brings_its_values_back_exactly(format: Any, type_: Any, value: Any) -> None:
    codec = Codec(type_, format=format)
    back = codec.decode(codec.encode(value))
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    "value", [(1, 2), {"at": NOW}, {1: "a"}, [b"x"], Persona("Lua", NOW), float("nan"), {"a": {1}}]
)
def test_without_a_type_what_would_change_is_refused(value: Any) -> None:
    with pytest.raises(Unencodable, match=r"^value: \w+ would come back changed from json \(.*give the codec a type"):
        Codec().encode(value)
    assert Codec(faithful=False).encode((1, 2)) == b"\x01[1,2]"


def test_what_cannot_be_encoded_is_refused_by_its_name() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for value in (object(), "\ud800", {"a": 1 + 2j}, loop, lambda: 1):
        for format in FORMATS:
            with pytest.raises(Unencodable, match=rf"^argument: no {format} of \w+: "):
                Codec(format=format).encode(value, "argument")  # type: ignore[arg-type]
    with pytest.raises(Unencodable, match=r"^value: 102 bytes of json, must be below 100$"):
        Codec(max_bytes=100).encode("x" * 100)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x11" + tail))
def test_any_bytes_decode_or_are_undecodable(raw: bytes) -> None:
    for codec in (Codec(), Codec(Persona, format="msgpack")):
        try:
            codec.decode(raw)
        except Undecodable:
            continue


def test_a_header_that_is_not_ours_is_told_from_damage() -> None:
    codec, packed = Codec(), Codec(format="msgpack").encode("x")
    for raw in (b"{}", packed, b"\x71{}", b"\x00"):
        with pytest.raises(UnknownFormat, match=r"^header 0x[0-9a-f]{2} is not json's$"):
            codec.decode(raw)
    for raw in (b"", b"\x01", b"\x01{", b"\x11{}", codec.encode("x")[:-1], b"\x01" + b"[" * 100_000):
        with pytest.raises(Undecodable) as error:
            codec.decode(raw)
        assert type(error.value) is Undecodable
    with pytest.raises(Undecodable, match=r"^not json of the codec's type: "):
        Codec(Persona).decode(codec.encode({"name": 1}))


def test_what_gets_smaller_is_compressed_and_both_ways_are_read() -> None:
    plain, packing = Codec(), Codec(compression="zlib", compress_above=100)
    for value in ("x" * 99, "x" * 1000):
        assert plain.decode(packing.encode(value)) == packing.decode(plain.encode(value)) == value
    assert (len(packing.encode("x" * 1000)) < 100, packing.encode("x" * 90)[0]) == (True, 0x01)


def test_compression_that_holds_more_than_a_value_may_is_undecodable() -> None:
    bomb = b"\x11" + zlib.compress(b'"' + b"x" * 10_000 + b'"')
    with pytest.raises(Undecodable, match=r"^compression ends early, or holds 1000 bytes or more$"):
        Codec(max_bytes=1000).decode(bomb)


def test_zstd_is_read_and_written_where_its_package_is() -> None:
    if importlib.util.find_spec("zstandard") is None:
        with pytest.raises(ModuleNotFoundError, match=r"^zstd needs the package zstandard"):
            Codec(compression="zstd")
        return
    codec = Codec(compression="zstd", compress_above=0)
    raw = codec.encode("x" * 1000)
    assert (raw[0], Codec().decode(raw)) == (0x21, "x" * 1000)
    with pytest.raises(Undecodable):
        codec.decode(raw[:-3])


@pytest.mark.parametrize("wrong", [{"format": "pickle"}, {"compression": "lzma"}])
def test_a_format_that_there_is_not_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(format is 'pickle'|compression is 'lzma'): choose one of "):
        Codec(**wrong)


def test_frozen_is_what_nobody_can_change() -> None:
    for value in (
        1,
        "x",
        b"x",
        None,
        True,
        NOW,
        (1, ("a", frozenset({1}))),
        Persona("Lua", NOW),
        Price(Decimal(1), UUID(int=1)),
    ):
        assert frozen_bytes(value) is not None
    for value in ([], {}, (1, []), bytearray(), object(), Price([], None)):  # type: ignore[arg-type]
        assert frozen_bytes(value) is None
