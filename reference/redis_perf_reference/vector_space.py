"""VectorSpace: what must be the same for two vectors to be comparable; all of it is in the key of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from redis_perf_reference.embedding_input import InvalidText, checked_text


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """`model` and `revision` name the weights, such as a repository and a commit of it."""

    model: str
    revision: str
    dimension: int
    normalised: bool

    def __post_init__(self) -> None:
        for name, value in (("model", self.model), ("revision", self.revision)):
            if not checked_text(value, name):
                raise InvalidText(f"{name} is empty: it must name the weights")

    def keys(self, texts: Iterable[str]) -> list[str]:
        """For each text a SHA-256 of everything, each part behind its length, so that no two run into each other."""
        space = sha256()
        for part in (self.model, self.revision, str(self.dimension), str(self.normalised)):
            space.update(_framed(part))
        keys = []
        for text in texts:
            digest = space.copy()
            digest.update(_framed(text))
            keys.append(digest.hexdigest())
        return keys


def _framed(part: str) -> bytes:
    raw = part.encode()
    return len(raw).to_bytes(8) + raw
