"""Finds the user's line on the running stack, from the hook outward.

Frames of client libraries, ORMs and the event loop are passed over; the first other frame is the user's. Past the
event loop's own frames lies only the line that started the loop, which is not the cause: there the answer is
"not seen" (a background task of a pool, say). Only code object and line are kept; they become text later. So are
the calls that led to that line, up to `FRAMES_ABOVE` frames: by them a loop is told from a line that several use.

Telling whose a frame is costs more than getting it. So a connection keeps the `Trail` of its last walks: where each
frame runs the same code as in one of them, it is known whose all of them are. Every frame is looked at all the same.
"""

from __future__ import annotations

from asyncio import current_task
from asyncio.events import _get_running_loop
from operator import is_
from sys import _getframe
from threading import current_thread
from types import CodeType, FrameType
from typing import Any, Final

from redis_perf.wire import Caller, Calls

LIBRARIES = (
    "redis.", "valkey.", "fakeredis.", "psycopg.", "psycopg_pool.", "psycopg_binary.", "psycopg_c.", "psycopg2.",
    "asyncpg.", "sqlalchemy.", "django.db.", "async_timeout.", "contextlib.", "concurrent.", "threading.", "uvloop.",
    "asyncio.", "redis_perf.", "opentelemetry.", "wrapt.",
)  # fmt: skip
ENDS = ("asyncio.events.", "asyncio.runners.", "asyncio.base_events.", "_pytest.", "pluggy.", "pytest_redisperf.")

FRAMES_ABOVE = 6
_ORMS = (
    ("/sqlalchemy/orm/strategies.py", "sqlalchemy lazy load"),
    ("/django/db/models/fields/related_descriptors.py", "django lazy load"),
    ("/sqlalchemy/", "sqlalchemy"),
    ("/django/db/", "django"),
)

_USER, _LIBRARY, _END = range(3)
_kinds: dict[str, int] = {}
"""By file name, whose hash is kept with it; a code object's is computed anew at each look."""
_orm_places: dict[str, int] = {}
_met: dict[tuple[int, int], Caller] = {}
"""By the id of the user's code and the instruction it was at: what is known of these calls as text need not be found
again for the next connection. Holding the code keeps its id from being another's."""
_MOST_MET: Final = 10_000


WAYS: Final = 4
"""So many ways from a tap to the user's lines are remembered: those of `get`, `set` and a pipeline, say."""


class Trail:
    """The ways the last walks took, the newest first: the code of the frames that were passed over, and the callers
    found beyond, by the instruction they ran."""

    __slots__ = ("ways",)

    def __init__(self) -> None:
        self.ways: tuple[tuple[tuple[CodeType, ...], dict[int, Caller]], ...] = ()

    def learn(self, passed: tuple[CodeType, ...], instruction: int, who: Caller) -> None:
        for way, callers in self.ways:
            if len(way) == len(passed) and all(map(is_, way, passed)):
                callers[instruction] = who
                return
        self.ways = ((passed, {instruction: who}), *self.ways[: WAYS - 1])


def caller(depth: int = 1, trail: Trail | None = None) -> Caller:
    """Everything a tap notes about who sends, `depth` frames above the tap. `trail`: its connection's, if it has."""
    loop = _get_running_loop()
    task = current_task(loop) if loop is not None else None
    lane = current_thread().name if task is None else task.get_name()
    for passed, callers in trail.ways if trail is not None else ():
        frame: Any = _getframe(depth)
        try:
            for code in passed:
                if frame.f_code is not code:
                    break
                frame = frame.f_back
            else:
                who = callers.get(frame.f_lasti)
                if who is not None and who[0] is frame.f_code and who[2] == lane:
                    above = frame
                    for code, instruction in who[3].frames:  # type: ignore[union-attr]
                        above = above.f_back
                        if above.f_code is not code or above.f_lasti != instruction:
                            break
                    else:
                        return who
        except AttributeError:  # None: the stack ends here
            pass
    return _walk(_getframe(depth), trail or Trail(), lane)


def _walk(start: FrameType, trail: Trail, lane: str | None) -> Caller:
    """Look whose each frame is, and keep the trail if it leads to the user."""
    passed: list[CodeType] = []
    frame: FrameType | None = start
    while frame is not None:
        code = frame.f_code
        kind = _kinds.get(code.co_filename)
        if kind is None:
            kind = _learn(frame)
        if kind == _USER:
            calls = _calls(frame, _orm(passed))
            who = _once(code, frame.f_lineno, lane, calls)
            trail.learn(tuple(passed), frame.f_lasti, who)
            return who
        if kind == _END:
            break
        passed.append(code)
        frame = frame.f_back
    return Caller(None, 0, lane)


def _once(code: CodeType, line: int, lane: str | None, calls: Calls) -> Caller:
    """The same object for the same caller; in another thread or task, at least the same calls."""
    key = id(code), calls.instruction
    met = _met.get(key)
    if met is not None and met.calls is not None and met.calls.are(calls):
        if met.lane == lane:
            return met
        calls = met.calls
    elif len(_met) >= _MOST_MET:
        _met.clear()
    who = _met[key] = Caller(code, line, lane, calls)
    return who


def _calls(user: FrameType, through: str | None) -> Calls:
    """The frames above the user's, up to where the search for a user would end."""
    frames: list[tuple[CodeType, int]] = []
    users: list[tuple[CodeType, int]] = []
    frame, kind = user.f_back, _USER
    while frame is not None and kind != _END and len(frames) < FRAMES_ABOVE:
        step = frame.f_code, frame.f_lasti
        known = _kinds.get(step[0].co_filename)
        kind = _learn(frame) if known is None else known
        frames.append(step)
        if kind == _USER:
            users.append(step)
        frame = frame.f_back
    return Calls(user.f_lasti, tuple(frames), tuple(users), through)


def _orm(passed: list[CodeType]) -> str | None:
    """The first in the table of those that any of these files is of."""
    place = min((_orm_places.get(code.co_filename, -1) for code in passed), default=len(_ORMS))
    if place < 0:
        for code in passed:
            _orm_places[code.co_filename] = _orm_place(code.co_filename.replace("\\", "/"))
        return _orm(passed)
    return _ORMS[place][1] if place < len(_ORMS) else None


def _orm_place(file: str) -> int:
    return next((place for place, (part, _) in enumerate(_ORMS) if part in file), len(_ORMS))


def _learn(frame: FrameType) -> int:
    kind = _kind(frame.f_globals.get("__name__") or "")
    file = frame.f_code.co_filename
    if not file.startswith("<"):  # "<string>" is no one module's
        _kinds[file] = kind
    return kind


def _kind(module: str) -> int:
    dotted = module + "."
    if dotted.startswith(ENDS):
        return _END
    return _LIBRARY if dotted.startswith(LIBRARIES) else _USER
