"""The text of the calls that led to the user's line, and the loop among them that makes it run again and again.

A call stands in a loop if what comes after it can lead to it again without an exception: so code behind a loop, in the
loop's `else` or before a `return` in it does not. An `await` spins in the bytecode, too; that is no loop of the user's.
A loop in C (`map`, `sorted`) is not seen.
"""

from __future__ import annotations

import dis
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice, zip_longest
from types import CodeType
from typing import Final
from zlib import crc32

from redis_perf.trace import Path, Site
from redis_perf.wire import Caller, Calls

_NEVER_GOES_ON: Final = frozenset(
    {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD"}
)
_SPINS: Final = frozenset({"JUMP_BACKWARD_NO_INTERRUPT"})
_MOST_INSTRUCTIONS: Final = 20_000


_site = lru_cache(maxsize=1024)(Site)  # mostly the same again; making it anew costs more


def whence(caller: Caller | None) -> tuple[Site | None, str | None, Path | None]:
    """Site, lane and path."""
    if caller is None:
        return None, None, None
    code, line, lane, calls = caller
    if code is None:
        return None, lane, None
    return _site(code.co_filename, line, function(code)), lane, path_of(code, calls) if calls else None


def path_of(code: CodeType, calls: Calls) -> Path:
    """Made once for the same calls."""
    if calls.path is None:
        calls.path = _path(code, calls)
    return calls.path


def function(code: CodeType) -> str:
    """`push_turn`; for what has no name of its own, the function it stands in too: `push_turns.<listcomp>`."""
    if not code.co_name.startswith("<"):
        return code.co_name
    return ".".join(part for part in code.co_qualname.split(".")[-3:] if part != "<locals>")


def _path(code: CodeType, calls: Calls) -> Path:
    way = tuple((code, _instruction(code, at)) for code, at in ((code, calls.instruction), *calls.users))
    heads = (_loop(*step) for step in way)
    return Path(
        callers=tuple(Site(above.co_filename, _line(above, at), function(above)) for above, at in calls.users),
        key=_key(way),
        loop=next((head for head in heads if head is not None), None),
        through=calls.through,
    )


def _key(way: tuple[tuple[CodeType, int], ...]) -> int:
    named = [(code.co_filename, code.co_qualname, code.co_firstlineno, at) for code, at in way]
    return crc32(repr(named).encode("utf-8", "replace"))


def _instruction(code: CodeType, at: int) -> int:
    """Where the instruction begins; a frame that calls may say where it ends."""
    starts = _starts(code)
    return starts[max(0, bisect_right(starts, at) - 1)]


@lru_cache(maxsize=512)
def _starts(code: CodeType) -> tuple[int, ...]:
    return tuple(each.offset for each in dis.get_instructions(code))


def _line(code: CodeType, at: int, otherwise: int | None = None) -> int:
    """Of this instruction; if it is of no line, of another or the function's own."""
    line = next((line for start, end, line in code.co_lines() if start <= at < end), None)
    if line is None:
        return code.co_firstlineno if otherwise is None else _line(code, otherwise)
    return line


def _loop(code: CodeType, at: int) -> Site | None:
    """The head of the innermost loop around this instruction."""
    line = _loop_line(code, at)
    return None if line is None else Site(code.co_filename, line, function(code))


@lru_cache(maxsize=4096)
def _loop_line(code: CodeType, at: int) -> int | None:
    """Equal code of two files is one here: nothing of the file may be kept."""
    around = [(len(body), head, last) for head, last, body in _loops(code) if at in body]
    if not around:
        return None
    _, head, last = min(around)
    return min(_line(code, head), _line(code, last, head))  # the condition of a `while` stands at its end


@lru_cache(maxsize=512)
def _loops(code: CodeType) -> tuple[tuple[int, int, frozenset[int]], ...]:
    """Each jump back: where it leads to, where it is, and all that lies between these, exceptions apart."""
    sources: dict[int, list[int]] = {}
    back = []
    instructions = list(islice(dis.get_instructions(code), _MOST_INSTRUCTIONS))
    for each, after in zip_longest(instructions, instructions[1:]):
        if each.opname in _SPINS:
            continue
        if after is not None and each.opname not in _NEVER_GOES_ON:
            sources.setdefault(after.offset, []).append(each.offset)
        if each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            sources.setdefault(each.argval, []).append(each.offset)
            back += [(each.argval, each.offset)] * (each.argval < each.offset)
    return tuple((head, last, _between(head, last, sources)) for head, last in back)


def _between(head: int, last: int, sources: Mapping[int, list[int]]) -> frozenset[int]:
    body, behind = {head}, [last]
    while behind:
        at = behind.pop()
        if at not in body:
            body.add(at)
            behind.extend(sources.get(at, ()))
    return frozenset(body)
