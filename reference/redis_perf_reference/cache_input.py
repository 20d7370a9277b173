"""Keys, times to live, tags and namespaces as a cache takes them: what is refused, and in which words.

All is checked before anything is sent, so a refusal has written nothing. Each message begins with the argument's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from redis_perf_reference.codec import Codec

MAX_KEY_BYTES = 512 * 2**20  # what Redis takes as a key
MAX_TTL_SECONDS = 10 * 366 * 24 * 3600
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]+")


class InvalidKey(ValueError):
    """No key, tag or namespace of this cache."""


class InvalidTtl(ValueError):
    """Not a time that a value can live."""


def checked_key(key: object, name: str = "key") -> str:
    """The key as it was given. Raises InvalidKey: control characters are refused, as keys travel in messages."""
    if not isinstance(key, str):
        raise InvalidKey(f"{name} is {type(key).__name__}, must be str")
    if key and len(key) <= MAX_KEY_BYTES and key.isascii() and key.isprintable():  # nearly all: a third of the time
        return key
    if not key:
        raise InvalidKey(f"{name} is empty")
    if len(key) > MAX_KEY_BYTES:
        raise InvalidKey(f"{name} has {len(key)} characters: Redis takes {MAX_KEY_BYTES} bytes")
    if odd := _CONTROL.search(key):
        raise InvalidKey(f"{name} holds a control character, {odd[0]!r} at {odd.start()}")
    try:
        size = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidKey(f"{name} holds a lone surrogate at {error.start}: it has no UTF-8 form") from None
    if size > MAX_KEY_BYTES:
        raise InvalidKey(f"{name} has {size} bytes: Redis takes {MAX_KEY_BYTES}")
    return key


def checked_ttl(ttl: object, name: str = "ttl") -> float:
    """Seconds, at least a thousandth. Raises InvalidTtl; there is no value that never expires."""
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise InvalidTtl(f"{name} is {type(ttl).__name__}, must be a number of seconds")
    if not 0.001 <= ttl <= MAX_TTL_SECONDS:
        raise InvalidTtl(f"{name} is {ttl} seconds, must be between 0.001 and {MAX_TTL_SECONDS}")
    return float(ttl)


def checked_tags(tags: object, name: str = "tags") -> tuple[str, ...]:
    if type(tags) is tuple and not tags:
        return ()
    if isinstance(tags, str) or not hasattr(tags, "__iter__"):
        raise InvalidKey(f"{name} is {type(tags).__name__}, must be several tags, such as a list")
    return tuple(dict.fromkeys(checked_key(tag, f"{name}[{at}]") for at, tag in enumerate(tags)))


def checked_keys(keys: object) -> list[str]:
    """Each once. Raises InvalidKey, also for a single key, whose letters would be taken for keys."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise InvalidKey(f"keys is {type(keys).__name__}, must be several keys, such as a list")
    names = list(dict.fromkeys(keys))
    return names if _plain(names) else list(map(checked_key, names))


def _plain(names: list[str]) -> bool:
    """Whether they are all such as nearly all are, which one look at them together tells in no time."""
    try:
        text = "".join(names)
    except TypeError:
        return False
    return all(names) and len(text) <= MAX_KEY_BYTES and text.isascii() and text.isprintable()


def checked_namespace(namespace: object, name: str = "namespace") -> str:
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise InvalidKey(f"{name} is {namespace!r}, must be letters, digits and _ . : - only")
    return namespace


def copied(codec: Codec, values: Mapping[str, object]) -> dict[str, tuple[bytes, Any]]:
    """All values encoded, and what that decodes to; or Unencodable, or InvalidKey."""
    return {checked_key(key): codec.copied(value, f"values[{key!r}]") for key, value in values.items()}


def encoded(codec: Codec, values: Mapping[str, object]) -> dict[str, bytes]:
    """All values, or Unencodable, or InvalidKey."""
    return {checked_key(key): codec.encode_plain(value, f"values[{key!r}]") for key, value in values.items()}
