"""What is taken from a subscriber's connection: every message, wherever its bytes were cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf_reference.channel_messages import ChannelMessages

OTHERS = [
    b"*3\r\n$9\r\nsubscribe\r\n$4\r\ntold\r\n:1\r\n",
    b"*2\r\n$4\r\npong\r\n$0\r\n\r\n",
    b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
    b"*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$1\r\nx\r\n",
    b"+PONG\r\n",
    b"*-1\r\n",
]


def message(payload: bytes) -> bytes:
    return b"*3\r\n$7\r\nmessage\r\n$4\r\ntold\r\n$%d\r\n%b\r\n" % (len(payload), payload)


@given(
    said=st.lists(st.one_of(st.binary(max_size=20).map(lambda payload: (payload,)), st.sampled_from(OTHERS))),
    cuts=st.lists(st.integers(1, 7), min_size=1),
)
def test_every_message_is_taken_wherever_the_stream_is_cut(said: list[bytes | tuple[bytes]], cuts: list[int]) -> None:
    stream = b"".join(message(each[0]) if isinstance(each, tuple) else each for each in said)
    messages, taken, at = ChannelMessages("told"), [], 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        taken += messages.take(stream[at : at + size])
        at += size
    assert taken == [each[0] for each in said if isinstance(each, tuple)]
    assert messages.replies == len(said) - len(taken)


def test_many_messages_that_came_together_are_taken_together() -> None:
    assert ChannelMessages("told").take(message(b"a") + message(b"") + message(b"\r\n$1")) == [b"a", b"", b"\r\n$1"]


@pytest.mark.parametrize("odd", [b"-NOPERM no such channel\r\n", b"what\r\n", b"*x\r\n"])
def test_an_error_or_what_is_no_reply_is_refused(odd: bytes) -> None:
    with pytest.raises(ValueError, match=r"no reply|invalid literal"):
        ChannelMessages("told").take(odd)
