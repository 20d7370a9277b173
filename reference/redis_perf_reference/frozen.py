"""Frozen: whether a value can be handed to everyone, as nobody can change it, and how much memory it takes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from sys import getsizeof
from uuid import UUID

import msgspec

_ATOMS = (bool, int, float, str, bytes, date, datetime, time, timedelta, Decimal, UUID)
_ATOM_TYPES = frozenset(_ATOMS)
_CHANGING_TYPES = frozenset({dict, list, set, bytearray})  # what most values are, told from others at once


def frozen_bytes(value: object) -> int | None:
    """The memory of a value that cannot be changed, nor anything in it; None if something can.

    Atoms, tuples and frozensets of such, and frozen Structs and dataclasses. Shared parts are counted each time.
    """
    kind = type(value)
    if kind in _ATOM_TYPES:
        return getsizeof(value)
    if kind in _CHANGING_TYPES:
        return None
    if value is None or isinstance(value, Enum):
        return 0
    if kind is tuple or kind is frozenset:
        parts: list[object] = list(value)  # type: ignore[call-overload]
    elif isinstance(value, msgspec.Struct) and value.__struct_config__.frozen:
        parts = [getattr(value, name) for name in value.__struct_fields__]
    elif is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        parts = [getattr(value, field.name) for field in fields(value)]
    else:
        return None
    total = getsizeof(value)
    for part in parts:
        size = frozen_bytes(part)
        if size is None:
            return None
        total += size
    return total
