"""One session of the stand-in: the client's bytes in, the server's bytes out. No I/O, no clock."""

from __future__ import annotations

from redis_perf.errors import ProtocolError
from redis_perf.servers.fake_postgres import frames
from redis_perf.servers.fake_postgres.dialogue import Dialogue
from redis_perf.servers.fake_postgres.engine import Engine
from redis_perf.servers.fake_postgres.frames import Malformed
from redis_perf.servers.fake_postgres.handshake import Handshake
from redis_perf.servers.fake_postgres.mail import Post
from redis_perf.servers.fake_postgres.replies import Refusal
from redis_perf.servers.fake_postgres.script import Script
from redis_perf.wire.postgres_frames import FROM_CLIENT, MAX_MESSAGE_BYTES, Messages

_WHOLE = dict.fromkeys(FROM_CLIENT, MAX_MESSAGE_BYTES)


class Session:
    """`receive` what the client sent and send back what it returns; when `closed`, close."""

    def __init__(self, script: Script, post: Post | None = None, *, process: int = 1, secret: int = 0) -> None:
        post = post or Post()
        self._key = process, secret
        self._handshake: Handshake | None = Handshake(process)
        self._messages = Messages(process, "client", _WHOLE, runs=b"")
        self._engine = Engine(script, post, post.box(process))
        self._dialogue = Dialogue(self._engine)

    @property
    def closed(self) -> bool:
        return self._dialogue.closed

    def receive(self, data: bytes) -> bytes:
        """Never raises: what cannot be understood ends the session with an error for the client."""
        if self.closed:
            return b""
        handshake = self._handshake
        try:
            if handshake is not None:
                data = self._shake_hands(handshake, data)
            self._receive(data)
        except (ProtocolError, Malformed) as problem:
            self._dialogue.refuse(Refusal("08P01", str(problem), fatal=True))
        except Exception as error:  # a matcher of the user's: its own session must hear of it, no other
            self._dialogue.refuse(Refusal("XX000", f"the stand-in failed: {error!r}", fatal=True))
        return (handshake.sent() if handshake else b"") + self._dialogue.sent()

    def mail(self) -> bytes:
        """Notifications that came from others, if this is a moment for them."""
        self._dialogue.mail()
        return self._dialogue.sent()

    def _receive(self, data: bytes) -> None:
        for kind, _, _, body in self._messages.feed(data):
            if body is not None:
                self._dialogue.message(kind, body)
            if self.closed:
                return

    def _shake_hands(self, handshake: Handshake, data: bytes) -> bytes:
        """What is left of the data."""
        handshake.feed(data)
        if handshake.asked is not None:
            self._handshake = None
            self._messages.skipped(handshake.size_bytes)
            self._engine.database = handshake.asked.get("database", handshake.asked["user"])
            settings = self._engine.settings.begin(handshake.asked)
            self._dialogue.begin(frames.TRUSTED + settings + frames.backend_key(*self._key))
        self._dialogue.closed = handshake.over and handshake.asked is None
        return handshake.rest
