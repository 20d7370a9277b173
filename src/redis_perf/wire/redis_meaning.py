"""What a Redis command says by itself, whatever was sent before."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from redis_perf.shape import redis_shape
from redis_perf.wire import redis_commands
from redis_perf.wire.resp_values import KEPT_BYTES, Command

_REMEMBERED_ARGUMENTS: Final = 8
"""Commands of more are read anew each time, so that what is remembered of the others stays small."""


class Meaning(NamedTuple):
    """`blocks`: the server may hold the reply back."""

    verb: bytes
    name: str
    shape: str
    blocks: bool
    arguments: int | None
    """The hash of all its arguments, if all of them were kept whole."""
    key: int | None
    """That of the first."""


def meaning(command: Command) -> Meaning:
    """A command that was sent before is not looked at twice; one that may carry a password is not remembered."""
    argv, count = command.argv, command.arguments
    if count > _REMEMBERED_ARGUMENTS or redis_commands.may_have_secrets(argv):
        return _looked_at(tuple(argv), count)
    return _remembered(tuple(argv), count)


def _looked_at(argv: tuple[bytes, ...], count: int) -> Meaning:
    shape = redis_shape(redis_commands.without_secrets(argv))
    key = hash(argv[1]) if len(argv) > 1 and len(argv[1]) < KEPT_BYTES else None
    is_whole = count <= len(argv) and max(map(len, argv)) < KEPT_BYTES
    whole = hash(argv) if is_whole else None
    return Meaning(argv[0].upper(), redis_commands.name(argv), shape, redis_commands.blocks(argv), whole, key)


_remembered = lru_cache(maxsize=1024)(_looked_at)
