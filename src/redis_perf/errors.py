"""What can go wrong, by whose fault it is. Every message says what was seen, what was expected, what to do."""

from __future__ import annotations


class ProtocolError(Exception):
    """Bytes that are not the protocol they were taken for.

    Raised by the meters with the connection and the offset into that direction's stream; the stream cannot be
    read any further, so what follows on this connection is not counted.
    """

    def __init__(self, problem: str, *, connection: int, sender: str, offset: int) -> None:
        super().__init__(f"connection {connection}: {problem} at byte {offset} of what the {sender} sent")
        self.problem = problem
        self.connection = connection
        self.sender = sender
        self.offset = offset


class TapError(Exception):
    """A client library has not the hook point a tap needs; nothing would be counted, so it is loud."""


class BudgetExceeded(AssertionError):
    """More was spent than the budget allows."""


class NothingMeasured(AssertionError):
    """A budget was set for a store that saw no traffic: a green result would prove nothing."""


class ServerUnavailable(Exception):
    """The server asked for cannot be had here; the message says which other ways there are."""
