"""Redis: which command owes which reply.

Each command owes one. `SUBSCRIBE` owes an acknowledgement for each channel; `UNSUBSCRIBE` of everything is answered
by that of the last subscription. Pushes, published messages, invalidations and the lines of `MONITOR` are owed by
nobody. Nothing is owed while `CLIENT REPLY` is off. Inside `MULTI` every command is an operation and owes its
`QUEUED`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from redis_perf.conversation import Conversation, Exchanged
from redis_perf.open_trip import Asked
from redis_perf.wire import ARRIVED, CLOSED, LOOKED, RECEIVED, REPLIED, SENT, SETTLED, Caller, Event, redis_commands
from redis_perf.wire.redis_meaning import meaning
from redis_perf.wire.resp_command_frames import Commands
from redis_perf.wire.resp_exchanges import exchanges
from redis_perf.wire.resp_reply_frames import Replies
from redis_perf.wire.resp_values import ONLY_RESP3, Command, Reply
from redis_perf.wire.settled import Settled

_ARRAY, _PUSH, _LINE = b"*"[0], b">"[0], b"+"[0]
_MESSAGES: Final = frozenset({b"message", b"pmessage", b"smessage"})
_SUBSCRIBED: Final = frozenset({b"subscribe", b"psubscribe", b"ssubscribe"})
_KIND_OF: Final = {b"unsubscribe": b"subscribe", b"punsubscribe": b"psubscribe", b"sunsubscribe": b"ssubscribe"}
_ACKNOWLEDGEMENTS: Final = _SUBSCRIBED | _KIND_OF.keys()
_SUBSCRIPTIONS: Final = redis_commands.SUBSCRIBE | redis_commands.UNSUBSCRIBE
MAX_CHANNELS: Final = 65_536
"""How many subscriptions of a kind are remembered by name."""


@dataclass(slots=True, eq=False)
class _Due:
    """What one command still waits for."""

    asked: Asked
    left: int = 1
    """How many replies."""
    acknowledges: bytes = b""
    """The kind of acknowledgement it waits for, `b"subscribe"` say; empty: any reply."""
    everything: bool = False
    """It gives up all subscriptions of that kind: the last acknowledgement of them is what it waits for."""
    queued: list[Asked] | None = None
    """For EXEC: the commands it executes."""


@dataclass(slots=True)
class _State:
    """What is known of a connection while it is open."""

    commands: Commands
    replies: Replies
    worked: bool
    unused: bool
    due: deque[_Due] = field(default_factory=deque)
    subscribed: dict[bytes, set[bytes]] = field(default_factory=lambda: {kind: set() for kind in _SUBSCRIBED})
    queueing: list[Asked] | None = None
    speaks_resp3: bool = False
    silent: bool = False
    skips: bool = False
    monitors: bool = False
    waiting: bool = False

    @property
    def subscribes(self) -> bool:
        return any(self.subscribed.values())

    @property
    def settled(self) -> bool:
        """Nothing is owed or half read, and what is sent next means what it says."""
        unsettled = self.unused or self.due or self.queueing is not None or self.silent or self.skips or self.monitors
        halves = self.commands.unfinished or self.replies.unfinished
        return not (unsettled or halves or self.waiting or self.subscribes)


class RespMeter:
    """Reads one Redis connection's bytes. `startup`: they are seen from the connection's first one on."""

    def __init__(self, conversation: Conversation, *, startup: bool = True) -> None:
        self._conversation = conversation
        self._state = self._fresh(worked=not startup)
        self._known: dict[bytes, Exchanged] = {}

    def _fresh(self, *, worked: bool) -> _State:
        connection = self._conversation.connection
        return _State(Commands(connection), Replies(connection), worked, unused=not worked)

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Read one event. Raises ProtocolError, after which this meter must not be fed again."""
        if direction == SENT:
            self._sent(at_ns, data, caller)
        elif direction in (RECEIVED, ARRIVED):
            self._received(at_ns, data)
            if direction == RECEIVED or self._state.waiting:
                self._conversation.looked()
        elif direction == LOOKED:
            self._state.waiting = True
            self._conversation.looked()
        elif direction == REPLIED:
            self._received_unseen(at_ns, data)
        elif direction == SETTLED:
            self._settle_unseen(at_ns, Settled.read(data))
        elif direction == CLOSED:
            self._conversation.closed(at_ns)
            self._state = self._fresh(worked=False)

    def skim(self, events: deque[Event]) -> None:
        """Take from the front of the log what is quick to read; `feed` is for the rest."""
        state = self._state
        if state.settled and self._conversation.begins_anew:
            sent_bytes, received_bytes, state.worked = exchanges(
                events, self._conversation, self._known, resp3=state.speaks_resp3, worked=state.worked
            )
            state.commands.passed(sent_bytes)
            state.replies.passed(received_bytes)

    def _sent(self, at_ns: int, data: bytes, caller: Caller | None) -> None:
        self._state.waiting = False
        left, unfinished = len(data), self._state.commands.unfinished
        if not unfinished:
            self._conversation.sent(at_ns, left, caller)
        for command in self._state.commands.feed(data):
            if unfinished:
                self._conversation.continued(command.size_bytes)
                left -= command.size_bytes
            if command.argv:
                self._command(command)
            if unfinished and left:
                self._conversation.sent(at_ns, left, caller)
            unfinished = False
        if unfinished:
            self._conversation.continued(left)

    def _command(self, command: Command) -> None:
        state, argv = self._state, command.argv
        verb, name, shape, blocks, arguments, key = meaning(command)
        purpose = redis_commands.purpose(name, first=state.unused, worked=state.worked)
        state.unused = False
        state.worked = state.worked or purpose != "setup"
        waits = blocks and state.queueing is None
        due = _Due(self._conversation.asked(name, shape, purpose, waits=waits, arguments=arguments, key=key))
        self._queue(verb, due)
        if self._is_answered(name, argv):
            self._owe(verb, due, command.arguments - 1)

    def _queue(self, verb: bytes, due: _Due) -> None:
        """Follow MULTI ... EXEC."""
        state = self._state
        if verb == b"MULTI":
            state.queueing = []
        elif verb == b"EXEC":
            due.queued, state.queueing = state.queueing, None
        elif verb in (b"DISCARD", b"RESET"):
            state.queueing = None
        elif state.queueing is not None:
            state.queueing.append(due.asked)

    def _is_answered(self, name: str, argv: list[bytes]) -> bool:
        state = self._state
        if name == "RESET":
            state.silent = state.skips = False
        if name == "CLIENT REPLY":
            mode = argv[2].upper() if len(argv) > 2 else b""
            state.silent = mode == b"OFF" or (state.silent and mode != b"ON")
            state.skips = mode == b"SKIP"
            return not (state.silent or state.skips)
        skipped, state.skips = state.skips, False
        return not (state.silent or skipped)

    def _owe(self, verb: bytes, due: _Due, channels: int) -> None:
        state = self._state
        if verb in _SUBSCRIPTIONS and state.queueing is None:
            due.acknowledges = verb.lower()
            due.everything = not channels
            due.left = max(channels, 1)
        state.monitors = state.monitors or verb == b"MONITOR"
        state.due.append(due)
        for _ in range(due.left):
            self._conversation.owe()

    def _received(self, at_ns: int, data: bytes) -> None:
        for reply in self._state.replies.feed(data):
            self._conversation.received(reply.size_bytes)
            self._replied(at_ns, reply)
        if self._state.replies.unfinished_bytes:
            self._conversation.received(self._state.replies.unfinished_bytes)

    def _received_unseen(self, at_ns: int, stand_in: bytes) -> None:
        for reply in self._state.replies.feed(stand_in):
            self._conversation.received(None)
            self._replied(at_ns, reply)
        if self._state.waiting:
            self._conversation.looked()

    def _replied(self, at_ns: int, reply: Reply) -> None:
        state = self._state
        state.speaks_resp3 = state.speaks_resp3 or reply.kind in ONLY_RESP3
        if reply.kind not in (_PUSH, _ARRAY):  # neither an acknowledgement nor a message
            if state.due and not self._is_unsolicited(reply, is_message=False):
                self._settle(at_ns, state.due.popleft(), reply)
            return
        kind = reply.first.lower()
        published = reply.kind == _PUSH or (state.subscribes and not state.speaks_resp3)
        if kind in _ACKNOWLEDGEMENTS and (published or (state.due and state.due[0].acknowledges)):
            self._acknowledged(at_ns, kind, reply.second)
        elif state.due and not self._is_unsolicited(reply, published and kind in _MESSAGES):
            self._settle(at_ns, state.due.popleft(), reply)

    def _is_unsolicited(self, reply: Reply, is_message: bool) -> bool:
        monitored = self._state.monitors and reply.kind == _LINE and reply.first[:1].isdigit()
        return monitored or reply.kind == _PUSH or is_message

    def _acknowledged(self, at_ns: int, kind: bytes, channel: bytes) -> None:
        channels = self._state.subscribed[_KIND_OF.get(kind, kind)]
        if kind in _KIND_OF:
            channels.discard(channel)
        elif len(channels) < MAX_CHANNELS:
            channels.add(channel)
        due = self._state.due[0] if self._state.due else None
        if due is None or due.acknowledges != kind or (due.everything and channels):
            return
        self._conversation.settled(at_ns)
        due.left -= 1
        if not due.left:
            self._state.due.popleft()

    def _settle(self, at_ns: int, due: _Due, reply: Reply) -> None:
        due.asked.failed = reply.failed
        if due.asked.name == "RESET" and not reply.failed:
            self._reset()
        if due.asked.name == "EXEC" and reply.kind == _ARRAY and not reply.null:
            self._conversation.committed()
            queued = due.queued or []
            for index in reply.errors:
                if index < len(queued):
                    queued[index].failed = True
        for _ in range(due.left):
            self._conversation.settled(at_ns)

    def _reset(self) -> None:
        """The connection is as good as new: it speaks RESP2, neither subscribes nor monitors."""
        self._state.speaks_resp3 = self._state.monitors = False
        for channels in self._state.subscribed.values():
            channels.clear()

    def _settle_unseen(self, at_ns: int, settled: Settled) -> None:
        state = self._state
        if state.due:
            self._conversation.received(settled.received_bytes)
        while state.due:
            due = state.due.popleft()
            due.asked.failed = due.asked.failed or settled.failed
            for _ in range(due.left):
                self._conversation.settled(at_ns)
        self._conversation.looked()
