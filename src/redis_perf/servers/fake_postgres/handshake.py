"""The beginning of a session: requests for encryption declined, then the start-up message, which anybody may send."""

from __future__ import annotations

import struct
from typing import Final

from redis_perf.servers.fake_postgres import frames
from redis_perf.servers.fake_postgres.frames import Body
from redis_perf.servers.fake_postgres.replies import Refusal
from redis_perf.wire.postgres_frames import Startup
from redis_perf.wire.postgres_kinds import CANCEL_REQUEST, STARTUP

_DECLINED: Final = b"N"
_CODE: Final = struct.Struct("!I")


class Handshake:
    """Fed until `asked` is there (the start-up message's settings), or `over` without it."""

    def __init__(self, connection: int) -> None:
        self._startup = Startup(connection)
        self._kept = b""
        self.asked: dict[str, str] | None = None
        self.over = False
        self.rest = b""
        """What came after the start-up message."""
        self.size_bytes = 0
        self._answer = b""

    def sent(self) -> bytes:
        """What is to be sent by now."""
        answer, self._answer = self._answer, b""
        return answer

    def feed(self, data: bytes) -> None:
        """Raises ProtocolError or Malformed."""
        before, at = len(self._kept), 0
        self._kept += data
        for kind, size_bytes, end in self._startup.feed(data):
            if kind == CANCEL_REQUEST:  # nothing runs long enough here to be cancelled
                self.over = True
                return
            at = before + end
            self.size_bytes += size_bytes
            if kind != STARTUP:
                self._answer += _DECLINED
                continue
            self._answer += self._begin(self._kept[at - size_bytes : at])
            self.over, self.rest = True, self._kept[at:]
        self._kept = self._kept[at:]

    def _begin(self, message: bytes) -> bytes:
        (version,) = _CODE.unpack_from(message, 4)
        if version >> 16 != 3:
            refused = f"unsupported frontend protocol {version >> 16}.{version & 0xFFFF}: server supports 3.0"
            return frames.error(Refusal("0A000", refused, fatal=True))
        body, asked = Body(STARTUP, message[8:]), {}
        while name := body.text():
            asked[name] = body.text()
        body.end()
        if not asked.get("user"):
            return frames.error(Refusal("28000", "no PostgreSQL user name specified in startup packet", fatal=True))
        self.asked = asked
        unknown = [name for name in asked if name.startswith("_pq_.")]
        return frames.negotiated(unknown) if version & 0xFFFF or unknown else b""
