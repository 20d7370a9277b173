"""Finds the user's line on the running stack, from the hook outward.

Frames of client libraries, ORMs and the event loop are passed over; the first other frame is the user's. Past the
event loop's own frames lies only the line that started the loop, which is not the cause: there the answer is
"not seen" (a background task of a pool, say). Only code object and line are kept; they become text later. So are
the calls that led to that line, up to `FRAMES_ABOVE` frames: by them a loop is told from a line that several use.

Looking at each frame is most of what a tap costs. So a connection keeps the `Trail` of its last walk: where as many
frames lie between, the near one and the last of them run the same code as the last time, and beyond them the same
instruction of the user's, they are taken for the same.
"""

from __future__ import annotations

from asyncio import current_task
from asyncio.events import _get_running_loop
from sys import _getframe
from threading import current_thread
from types import CodeType, FrameType
from typing import Any

from redis_perf.wire import Caller, Calls

LIBRARIES = (
    "redis.", "valkey.", "fakeredis.", "psycopg.", "psycopg_pool.", "psycopg_binary.", "psycopg_c.", "psycopg2.",
    "asyncpg.", "sqlalchemy.", "django.db.", "async_timeout.", "contextlib.", "concurrent.", "threading.", "uvloop.",
    "asyncio.", "redis_perf.", "opentelemetry.", "wrapt.",
)  # fmt: skip
ENDS = ("asyncio.events.", "asyncio.runners.", "asyncio.base_events.", "_pytest.", "pluggy.", "pytest_redisperf.")

FRAMES_ABOVE = 6
NEAR = 2
"""So far from the tap a frame is looked at each time: where a hook of the user's that sends would be."""
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


class Trail:
    """The code of the frames the last walk passed over, and the callers found beyond, by the instruction they ran."""

    __slots__ = ("callers", "last", "near", "passed")

    def __init__(self) -> None:
        self.callers: dict[int, Caller] = {}
        self.led_past(())

    def led_past(self, passed: tuple[CodeType, ...]) -> None:
        self.passed = passed
        self.last = len(passed) - 1
        self.near = min(NEAR, self.last)


def caller(depth: int = 1, trail: Trail | None = None) -> Caller:
    """Everything a tap notes about who sends, `depth` frames above the tap. `trail`: its connection's, if it has."""
    loop = _get_running_loop()
    task = current_task(loop) if loop is not None else None
    lane = current_thread().name if task is None else task.get_name()
    if trail is not None:
        passed, near, last = trail.passed, trail.near, trail.last
        try:
            if not passed or (
                _getframe(depth + last).f_code is passed[last] and _getframe(depth + near).f_code is passed[near]
            ):
                frame: Any = _getframe(depth + last + 1)
                who = trail.callers.get(frame.f_lasti)
                if who is not None and who[0] is frame.f_code and who[2] == lane:
                    for code, instruction in who[3].frames:  # type: ignore[union-attr]
                        frame = frame.f_back
                        if frame.f_code is not code or frame.f_lasti != instruction:
                            break
                    else:
                        return who
        except (AttributeError, ValueError):  # the stack ends before
            pass
    return _walk(_getframe(depth), trail or Trail(), lane)


def user_line(depth: int = 1) -> tuple[CodeType | None, int]:
    """Code object and line of the nearest frame that is the user's, starting `depth` frames above the caller."""
    who = _walk(_getframe(depth), Trail(), None)
    return who.code, who.line


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
            who = trail.callers[frame.f_lasti] = Caller(code, frame.f_lineno, lane, calls)
            trail.led_past(tuple(passed))
            return who
        if kind == _END:
            break
        passed.append(code)
        frame = frame.f_back
    return Caller(None, 0, lane)


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
