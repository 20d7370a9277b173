"""An error the server never gave. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from redis_perf.proxy.faults.fault import Fault, Instead, Request
from redis_perf.proxy.faults.when import FIRST, When
from redis_perf.trace import Store

_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
_FATAL: Final = re.compile(r"57P0[1-5]|53300|28...|08...")
"""With these a server ends the session."""


@dataclass(frozen=True, slots=True, init=False)
class ErrorReply(Fault):
    """The request is answered with this error and the server never sees it.

    Redis: `ErrorReply("LOADING Redis is loading the dataset in memory")`, the answer to each command of the round
    trip. Postgres: `ErrorReply("40001", "could not serialize access")`; `57P01` and others that end a session end it.
    Inside a transaction block the server is made to raise the error, so the block has failed as it would have.
    """

    code: str = ""
    message: str = ""

    def __init__(self, code: str, message: str = "", on: When | None = None) -> None:
        if not code or any(sign in code + message for sign in "\r\n\0"):
            raise ValueError(f"{code!r}, {message!r}: expected an error's code and text, each on one line")
        object.__setattr__(self, "on", on or FIRST)
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "message", message)

    def check(self, store: Store) -> None:
        if store == "postgres" and not _SQLSTATE.fullmatch(self.code):
            raise ValueError(
                f"{self.code!r} is no SQLSTATE; expected five of 0-9A-Z, as in ErrorReply('40001', 'text')"
            )

    def instead(self, request: Request) -> Instead:
        if request.store == "redis":
            line = f"-{self.code} {self.message}".rstrip()
            return Instead(f"{line}\r\n".encode() * request.answers)
        if _FATAL.fullmatch(self.code):
            return Instead(self._error("FATAL"), then="end")
        if request.flushes:
            return Instead(self._error("ERROR"))
        if request.in_transaction:
            return Instead(to_server=_message(b"Q", self._raise().encode() + b"\0") * request.answers)
        return Instead((self._error("ERROR") + _message(b"Z", b"I")) * request.answers)

    def _error(self, severity: str) -> bytes:
        fields = (f"S{severity}", f"V{severity}", f"C{self.code}", f"M{self._text}")
        return _message(b"E", b"".join(field.encode() + b"\0" for field in fields) + b"\0")

    def _raise(self) -> str:
        text = self._text.replace("\\", "\\\\").replace("'", "''").replace("$", "\\x24")
        body = f"BEGIN RAISE EXCEPTION USING ERRCODE = '{self.code}', MESSAGE = E'{text}'; END"
        return f"DO $redisperf${body}$redisperf$"

    @property
    def _text(self) -> str:
        return self.message or f"error {self.code} injected by redisperf"


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body
