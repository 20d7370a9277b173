"""Finds the user's line on the running stack, from the hook outward.

Frames of client libraries, ORMs and the event loop are passed over; the first other frame is the user's. Past the
event loop's own frames lies only the line that started the loop, which is not the cause: there the answer is
"not seen" (a background task of a pool, say). Only code object and line are kept; they become text later.

Making a frame object for each frame passed over is what costs. Python 3.12 tells a frame's module without one;
before that, a walk may begin at an anchor instead of at the hook.
"""

from __future__ import annotations

import sys
from asyncio import current_task
from asyncio.events import _get_running_loop
from collections.abc import Callable
from threading import current_thread
from types import CodeType, FrameType
from typing import TypeAlias

from redis_perf.wire import Caller

LIBRARIES = (
    "redis.", "valkey.", "fakeredis.", "psycopg.", "psycopg_pool.", "psycopg_binary.", "psycopg_c.", "asyncpg.",
    "sqlalchemy.", "django.db.", "async_timeout.", "contextlib.", "concurrent.", "threading.", "uvloop.",
    "asyncio.", "redis_perf.", "opentelemetry.", "wrapt.",
)  # fmt: skip
ENDS = ("asyncio.events.", "asyncio.runners.", "asyncio.base_events.", "_pytest.", "pluggy.", "pytest_redisperf.")

ANCHOR_DEPTH = 5
Anchors: TypeAlias = dict[int, tuple[CodeType, int]]
"""Of one connection: instructions in library code, by the id of their code, that were running `ANCHOR_DEPTH` frames
outward while all further in was the library's too. The same instruction at the same depth leads inward by the same
way, so the next walk begins there."""

_USER, _LIBRARY, _END = range(3)
_kinds: dict[str, int] = {}
"""By module name, or by file: a file name's hash is kept with it, a code object's is computed anew at each look."""


if sys.version_info >= (3, 12):

    def user_line(depth: int = 1, anchors: Anchors | None = None) -> tuple[CodeType | None, int]:
        """Code object and line of the nearest frame that is the user's, starting `depth` frames above the caller."""
        name_of, known = sys._getframemodulename, _kinds.get
        while (module := name_of(depth)) is not None:
            kind = known(module)
            if kind is None:
                kind = _kinds[module] = _kind(module)
            if kind == _USER:
                frame = sys._getframe(depth)
                return frame.f_code, frame.f_lineno
            if kind == _END:
                break
            depth += 1
        return None, 0

else:

    def user_line(depth: int = 1, anchors: Anchors | None = None) -> tuple[CodeType | None, int]:
        """Code object and line of the nearest frame that is the user's, starting `depth` frames above the caller."""
        frame: FrameType | None = None
        if anchors is not None:
            try:
                frame = sys._getframe(depth + ANCHOR_DEPTH)
                if anchors.get(id(frame.f_code)) != (frame.f_code, frame.f_lasti):
                    frame = _anchored(sys._getframe(depth), frame, anchors)
            except ValueError:  # not that deep
                pass
        frame = frame or sys._getframe(depth)
        known = _kinds.get
        while frame is not None:
            code = frame.f_code
            kind = known(code.co_filename)
            if kind is None:
                kind = _learn(frame)
            if kind == _USER:
                return code, frame.f_lineno
            if kind == _END:
                break
            frame = frame.f_back
        return None, 0


def _anchored(inner: FrameType, outer: FrameType, anchors: Anchors) -> FrameType | None:
    """`outer`, made an anchor, if from `inner` to it all is the library's."""
    frame: FrameType | None = inner
    while frame is not None and frame is not outer.f_back:
        if _learn(frame) != _LIBRARY:
            return None
        frame = frame.f_back
    anchors[id(outer.f_code)] = outer.f_code, outer.f_lasti
    return outer


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


def lane() -> str:
    """The asyncio task that runs, else the thread."""
    loop = _get_running_loop()
    task = current_task(loop) if loop is not None else None
    return current_thread().name if task is None else task.get_name()


def caller(depth: int = 1, anchors: Anchors | None = None, _make: Callable[..., Caller] = tuple.__new__) -> Caller:
    """Everything a tap notes about who sends, `depth` frames above the tap. `anchors`: its connection's, if it has."""
    return _make(Caller, (*user_line(depth + 1, anchors), lane()))  # a named tuple's own way is a slow one
