from __future__ import annotations

import pytest

from redis_perf.conversation import Conversation
from redis_perf.trace import RoundTrip
from redis_perf.wire import RECEIVED, SENT
from redis_perf.wire.redis_meaning import _remembered
from redis_perf.wire.resp import RespMeter
from redis_perf.wire.resp_command_frames import Commands
from redis_perf.wire.resp_reply_frames import Replies

SENT_STREAMS = (
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"*2\r\n$3\r\nGET\r\n$5\r\na\r\nbc\r\n",
    b"*2\r\n$3\r\nGET\r\n$2\r\na\r\r\n",
    b"*2\r\n$03\r\nGET\r\n$300\r\n" + b"x" * 300 + b"\r\n",
    b"PING\r\n*1\r\n$4\r\nPING\r\n",
)
REPLY_STREAMS = (
    b"+OK\r\n:1\r\n_\r\n$-1\r\n-ERR no\r\n$5\r\nvalue\r\n",
    b"$3\r\nab\r\r\n$0\r\n\r\n+" + b"y" * 300 + b"\r\n$300\r\n" + b"z" * 300 + b"\r\n",
    b"*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n+OK\r\n",
    b"*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n-ERR no\r\n$1\r\nd\r\n",
    b"|1\r\n$1\r\na\r\n:1\r\n$1\r\nv\r\n*2\r\n*3\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n:1\r\n",
)


@pytest.mark.parametrize("stream", SENT_STREAMS)
def test_commands_read_at_once_are_those_read_by_the_byte(stream: bytes) -> None:
    at_once = list(Commands(1).feed(stream))
    commands = Commands(1)
    by_the_byte = [command for at in range(len(stream)) for command in commands.feed(stream[at : at + 1])]
    assert [command[:2] for command in at_once] == [command[:2] for command in by_the_byte]
    assert sum(command.size_bytes for command in at_once) == len(stream)


@pytest.mark.parametrize("stream", REPLY_STREAMS)
def test_replies_read_at_once_are_those_read_by_the_byte(stream: bytes) -> None:
    at_once = list(Replies(1).feed(stream))
    replies = Replies(1)
    by_the_byte = [reply for at in range(len(stream)) for reply in replies.feed(stream[at : at + 1])]
    assert [reply[:5] for reply in at_once] == [reply[:5] for reply in by_the_byte]
    assert sum(reply.size_bytes for reply in at_once) == len(stream)


def sending(*argv: bytes) -> list[RoundTrip]:
    trips: list[RoundTrip] = []
    conversation = Conversation("redis", 1, trips.append)
    meter = RespMeter(conversation)
    meter.feed(1, SENT, b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in argv))
    meter.feed(2, RECEIVED, b"+OK\r\n")
    return [*trips, *conversation.unfinished()]


@pytest.mark.parametrize(
    "argv",
    [
        (b"auth", b"hunter2"),
        (b"HELLO", b"3", b"AUTH", b"ada", b"hunter2"),
        (b"CONFIG", b"SET", b"requirepass", b"hunter2"),
        (b"ACL", b"SETUSER", b"ada", b">hunter2"),
    ],
)
def test_a_command_with_a_password_is_not_remembered(argv: tuple[bytes, ...]) -> None:
    _remembered.cache_clear()
    sending(*argv)
    assert _remembered.cache_info().currsize == 0


def test_a_command_sent_before_says_the_same_again() -> None:
    _remembered.cache_clear()
    (first,), (again,) = sending(b"GET", b"user:42"), sending(b"GET", b"user:42")
    assert _remembered.cache_info().hits == 1
    assert (first, first.arguments, first.key) == (again, again.arguments, again.key)
