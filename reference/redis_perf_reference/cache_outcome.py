"""Told: how far a change of a cache went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """`count` keys were written or deleted: in Redis, or, where Redis was skipped or does not count, in this process.
    `skipped` says why Redis and the other processes do not know, None if they do: their old value may live on until
    it expires, so repeat what matters."""

    count: int = 0
    skipped: str | None = None

    @property
    def everywhere(self) -> bool:
        return self.skipped is None
