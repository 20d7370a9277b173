"""ChannelMessages: what is said on a channel, taken from the bytes of a connection that does nothing but hear it.

A cache hears each of its own writes, too. A client's reader of replies takes several times as long for such a message
as it takes to see here that it is one's own, and in a process with threads all others wait for that.
"""

from __future__ import annotations


class ChannelMessages:
    """`replies` is how many replies have come that were no messages."""

    def __init__(self, channel: str) -> None:
        name = channel.encode()
        self._begin = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$" % (len(name), name)
        self._rest = b""
        self.replies = 0

    def take(self, data: bytes) -> list[bytes]:
        """The messages that are whole with these bytes. Raises ValueError for errors, and for what is not RESP2."""
        data, messages, at = self._rest + data, [], 0
        while at < len(data):
            size_at = at + len(self._begin)
            is_message = data.startswith(self._begin, at)
            end = _end_of(data, size_at - 1 if is_message else at)
            if end is None:
                break
            if is_message:
                messages.append(data[data.index(b"\r\n", size_at) + 2 : end - 2])
            else:
                self.replies += 1
            at = end
        self._rest = data[at:]
        return messages


def _end_of(data: bytes, at: int) -> int | None:
    """Where a reply ends; None if some of it is still to come."""
    left = 1
    while left:
        line_end = data.find(b"\r\n", at)
        if line_end == -1:
            return None
        kind, size = data[at : at + 1], data[at + 1 : line_end]
        if kind not in (b"*", b"$", b":", b"+"):
            raise ValueError(f"no reply to a subscriber: {data[at:line_end][:200]!r}")
        at = line_end + 2
        if kind == b"$" and size != b"-1":  # which is nothing at all
            at += int(size) + 2
        left += max(0, int(size)) - 1 if kind == b"*" else -1
    return at if at <= len(data) else None
