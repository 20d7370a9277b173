"""Commands as the bytes that Redis takes: by hiredis alone where it is installed, in a third of the time or less."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def packed(connection: Any, command: tuple[Any, ...]) -> list[bytes]:
    """What `connection.pack_command` returns. Raises redis-py's DataError for what is no argument."""
    if _hiredis is not None and " " not in command[0]:  # redis-py makes two words of `CONFIG GET`
        try:
            return [_hiredis.pack_command(command)]
        except TypeError:  # a memoryview, or the caller's mistake
            pass
    pieces: list[bytes] = connection.pack_command(*command)
    return pieces


def _installed() -> Any:
    try:
        return import_module("hiredis")
    except ImportError:
        return None


_hiredis = _installed()
