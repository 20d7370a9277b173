"""fingerprint: 256 bits of SHA-256 over a value of any depth, the same in every process, another for another value.

Each part is written with its kind and its length before it, so no choice of contents makes two values look alike:
["a|b", "c"] and ["a", "b|c"] differ, as do 1, "1" and True, and a list of one and its item. Mappings are taken in the
order of their keys. Python's `hash` would not do: it is salted anew in each process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from redis_perf_reference.codec import Unencodable


def fingerprint(value: object, name: str = "value") -> str:
    """64 hex digits. Raises Unencodable, which begins with `name`, for what is none of JSON's kinds nor bytes."""
    digest = sha256()
    try:
        for piece in _pieces(value, name):
            digest.update(piece)
    except RecursionError:
        raise Unencodable(f"{name} is too deep, or contains itself") from None
    return digest.hexdigest()


def _pieces(value: object, name: str) -> Iterator[bytes]:
    kind = type(value)
    if value is None or kind is bool or kind is int or kind is float:
        yield _piece(kind.__name__, repr(value).encode())
    elif isinstance(value, str):
        yield _piece("str", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        yield _piece("bytes", value)
    elif isinstance(value, list | tuple):
        yield b"list %d\n" % len(value)
        for index, item in enumerate(value):
            yield from _pieces(item, f"{name}[{index}]")
    elif isinstance(value, Mapping):
        yield b"map %d\n" % len(value)
        for key in sorted(_keys(value, name)):
            yield _piece("str", key.encode("utf-8", "surrogatepass"))
            yield from _pieces(value[key], f"{name}[{key!r}]")
    else:
        raise Unencodable(
            f"{name} is {kind.__name__}, must be None, bool, int, float, str, bytes, list, tuple or mapping"
        )


def _keys(value: Mapping[object, object], name: str) -> Iterator[str]:
    for key in value:
        if not isinstance(key, str):
            raise Unencodable(f"{name} has the key {key!r}, must be str")
        yield key


def _piece(kind: str, body: bytes) -> bytes:
    return b"%s %d\n%s" % (kind.encode(), len(body), body)
