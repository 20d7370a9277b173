"""CallKeys: cache keys for the calls of a function: one for equal arguments however they are passed, others for others.

A key is a prefix and the arguments in the order of the signature, defaults included, with `:` between them:

    persona:lua:7:true        text that begins with a letter is itself; numbers, true, false and null are as in JSON
    persona:"7":["a",(1,)]    other text, and any text within lists, tuples and dicts, is in quotes
    persona:!UUID("1f..")     others have their type's name: dates, decimals, bytes, enums, dataclasses, Structs

So 1, True, 1.0 and "1" are four keys, and the order of keyword arguments, of dicts and of sets is of no matter. A `:`
in an argument is percent-encoded, as `%` and control characters are. What is longer than 64 characters is given by its
hash: `#` and 32 hexadecimal digits (BLAKE2b, 128 bits). Anything else that has a `cache_key` is known by that.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from redis_perf_reference.cache_input import checked_key
from redis_perf_reference.call_identity import Identity, Mark, call_identity

LONGEST = 64
MOST_REMEMBERED = 1024
_PLAIN = re.compile(r"[^\W\d_][\w .@/+-]*")
_RESERVED = frozenset({"true", "false", "null", "inf", "nan"})
_QUOTED = re.compile(r"[%:\x00-\x1f\x7f]")
_NAMED = (datetime, date, time, timedelta, Decimal, UUID, PurePath)
_SHORT = frozenset({int, bool, type(None), Mark})  # and not float, as 0.0 equals -0.0


class Unkeyable(TypeError):
    """An argument that no key can be made of."""


class CallKeys:
    """Keys for `function`. Of the arguments, those in `ignore` do not matter, nor does `self`, unless it has a
    `cache_key`; with `key`, only what that returns for the same arguments does: one value, or a tuple of them."""

    def __init__(
        self,
        function: Callable[..., Any],
        prefix: str | None = None,
        ignore: Iterable[str] = (),
        key: Callable[..., object] | None = None,
    ) -> None:
        self.prefix = checked_key(prefix or f"{function.__module__}.{function.__qualname__}", "key_prefix")
        self._signature, self.name = inspect.signature(function), function.__qualname__
        self.names = tuple(self._signature.parameters)
        self._ignore, self._key = frozenset(ignore), key
        self._known: dict[Identity | None, str] = {}
        self.known = self._known.get
        if unknown := self._ignore.difference(self.names):
            raise ValueError(f"ignore: {self.name} has no arguments {sorted(unknown)}")
        self.identity: Callable[..., Identity | None] = (
            call_identity(self._signature, self._ignore) if key is None else _unknown  # a `key` may look elsewhere
        )

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Raises TypeError as the call would, and Unkeyable, which names the argument."""
        key = self.remembered(args, kwargs)
        if key is None:
            key = self._made(args, kwargs)
            identity = self.identity(*args, **kwargs)
            if identity is not None and all(map(_memorable, identity[0])):
                if len(self._known) >= MOST_REMEMBERED:
                    self._known.clear()
                self._known[identity] = key
        return key

    def remembered(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """The key, if this call was made before, however it was written, with short text and numbers only."""
        try:
            return self.known(self.identity(*args, **kwargs))
        except TypeError:  # something that has no hash, or does not fit
            return None

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """By name, defaults included."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _made(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if self._key is not None:
            chosen = self._key(*args, **kwargs)
            named = [("key", part) for part in (chosen if isinstance(chosen, tuple) else (chosen,))]
        else:
            named = self._named(self.arguments(args, kwargs))
        return ":".join([self.prefix, *(self._segment(name, value) for name, value in named)])

    def _named(self, arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
        named = [(name, value) for name, value in arguments.items() if name not in self._ignore]
        if named and named[0][0] == "self":
            named[:1] = [("self", named[0][1].cache_key)] if hasattr(named[0][1], "cache_key") else []
        return named

    def _segment(self, name: str, value: object) -> str:
        try:
            return segment(value)
        except (Unkeyable, ValueError, RecursionError) as error:
            raise Unkeyable(
                f"{self.name}: no key can be made of {name}: {error} (give it a cache_key, ignore it, or say key=)"
            ) from None


def _unknown(*args: object, **kwargs: object) -> None:
    """Of no call it is known what it is."""


def _memorable(value: object) -> bool:
    kind = type(value)
    return kind in _SHORT or (kind is str and len(value) <= LONGEST)  # type: ignore[arg-type]


def segment(value: object) -> str:
    """One argument as a part of a key. Raises Unkeyable."""
    if type(value) is str and _PLAIN.fullmatch(value) and value not in _RESERVED:
        text = value
    else:
        text = _QUOTED.sub(lambda odd: f"%{ord(odd[0]):02X}", written(value))
    return text if len(text) <= LONGEST else "#" + blake2b(text.encode(), digest_size=16).hexdigest()


def written(value: object) -> str:
    """The same text for equal values of one type, and another for any other. Raises Unkeyable."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return json.dumps(value, ensure_ascii=False)
    if kind is int or kind is float:
        return repr(value)
    if kind is list:
        return f"[{_listed(value)}]"  # type: ignore[arg-type]
    if kind is tuple:
        return f"({_listed(value)},)"  # type: ignore[arg-type]
    if kind is dict:
        pairs: list[tuple[object, object]] = list(value.items())  # type: ignore[attr-defined]
        return "{" + ",".join(sorted(f"{written(name)}={written(part)}" for name, part in pairs)) + "}"
    return f"!{_typed(value, kind)}"


def _listed(values: Iterable[object]) -> str:
    return ",".join(map(written, values))


def _typed(value: object, kind: type) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, type):
        return f"type({value.__module__}.{value.__qualname__})"
    if isinstance(value, Enum):
        return f"{name}.{value.name}"
    if hasattr(value, "cache_key"):
        return f"{name}({written(value.cache_key)})"
    if kind is set or kind is frozenset:
        return f"set({','.join(sorted(map(written, value)))})"  # type: ignore[call-overload]
    if kind is bytes:
        return f"bytes({value.hex()})"  # type: ignore[attr-defined]
    if isinstance(value, _NAMED):
        return f"{kind.__name__}({written(str(value))})"
    if isinstance(value, msgspec.Struct):
        return f"{name}({','.join(f'{field}={written(getattr(value, field))}' for field in value.__struct_fields__)})"
    if is_dataclass(value):
        return f"{name}({','.join(f'{one.name}={written(getattr(value, one.name))}' for one in fields(value))})"
    raise Unkeyable(f"{name} has no canonical form")
