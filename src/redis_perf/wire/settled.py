"""What a `SETTLED` event says: everything owed was answered, though the answers passed unseen."""

from __future__ import annotations

from typing import NamedTuple


class Settled(NamedTuple):
    """`data` is its encoding, as described at `redis_perf.wire.SETTLED`; `read` the way back."""

    received_bytes: int | None = None
    """How many bytes of answers passed unseen; None: not known."""
    status: str = ""
    """The Postgres transaction status afterwards: `I`, `T`, `E`; empty: not known."""
    failed: bool = False

    @property
    def data(self) -> bytes:
        words = ["" if self.received_bytes is None else str(self.received_bytes), self.status]
        return " ".join([*filter(None, words), *(["failed"] if self.failed else [])]).encode()

    @classmethod
    def read(cls, data: bytes) -> Settled:
        words = data.decode().split()
        sizes = [int(word) for word in words if word.isdigit()]
        statuses = [word for word in words if word in ("I", "T", "E")]
        return cls(sizes[0] if sizes else None, statuses[0] if statuses else "", "failed" in words)
