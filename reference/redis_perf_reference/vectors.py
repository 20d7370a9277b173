"""Vectors: what an encoder may return, and the bytes that Redis keeps of each vector: a header, then raw float32.

    0 "ev" | 2 version, 1 | 3 type of the numbers, 1: float32 | 4 dimension, 4 bytes | 8 the numbers

All of it is little-endian. Reading compares the header and the length and copies numbers; nothing is ever executed (no
pickle). Needs numpy, which is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]

HEADER = Struct("<2sBBI")
MAGIC, VERSION, FLOAT32 = b"ev", 1, 1
MAX_DIMENSION = 1_000_000


class InvalidVectors(ValueError):
    """Vectors that can be neither kept nor compared. The message begins with the argument they came from."""


class WrongDimension(InvalidVectors):
    """Not one vector of the right length for each text."""


class WrongDtype(InvalidVectors):
    """Not float32."""


class NotFinite(InvalidVectors):
    """A NaN or an infinity is among the numbers."""


def checked_vectors(given: object, name: str, *, count: int, dimension: int) -> Vectors:
    """`count` vectors as an array. Lists of floats become float32; an array of any other type is refused.

    Raises WrongDimension, WrongDtype or NotFinite.
    """
    import numpy as np

    try:
        vectors = np.asarray(given)
    except ValueError as error:
        raise WrongDimension(f"{name}: no array of shape {(count, dimension)}: {error}") from error
    if isinstance(given, list | tuple) and vectors.dtype == np.float64:
        with np.errstate(over="ignore"):
            vectors = vectors.astype(np.float32)
    if vectors.dtype.newbyteorder("=") != np.float32:
        raise WrongDtype(f"{name}: {type(given).__name__} of {vectors.dtype}, must be float32")
    if vectors.shape != (count, dimension):
        raise WrongDimension(f"{name}: shape {vectors.shape}, must be {(count, dimension)}")
    odd = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if odd.size:
        raise NotFinite(f"{name}: a NaN or an infinity in vector {odd[0]} of {count}")
    return vectors.astype(np.float32, copy=False)


def normalised(vectors: Vectors) -> Vectors:
    """Each scaled to length 1. One of length 0 has no direction, and stays as it is."""
    import numpy as np

    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)  # squares of float32 may not fit it
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


class VectorCodec:
    """Vectors of one dimension as records and back."""

    def __init__(self, dimension: int) -> None:
        self.dimension = _checked_dimension(dimension)
        self.record_bytes = HEADER.size + 4 * dimension
        self._header = HEADER.pack(MAGIC, VERSION, FLOAT32, dimension)

    def empty(self, count: int) -> Vectors:
        """Room for so many, to be filled."""
        import numpy as np

        return np.empty((count, self.dimension), np.float32)

    def encode(self, vectors: Vectors) -> list[bytes]:
        """A record for each."""
        numbers, size = memoryview(vectors.astype("<f4").tobytes()), 4 * self.dimension
        return [self._header + numbers[start : start + size] for start in range(0, len(numbers), size)]

    def decode(self, records: Sequence[bytes | None], into: Vectors) -> list[int]:
        """Copies each vector into its row. Returns the rows that got none: no record, or one that is not sound."""
        import numpy as np

        rows = [row for row, record in enumerate(records) if record is not None and self._fits(record)]
        joined = np.frombuffer(b"".join(records[row] or b"" for row in rows), np.uint8)
        vectors = joined.reshape(len(rows), self.record_bytes)[:, HEADER.size :].view("<f4")
        into[rows] = vectors
        sound = dict.fromkeys(row for row, finite in zip(rows, np.isfinite(vectors).all(axis=1), strict=True) if finite)
        return [row for row in range(len(records)) if row not in sound]

    def _fits(self, record: bytes) -> bool:
        return len(record) == self.record_bytes and record.startswith(self._header)


def _checked_dimension(dimension: object) -> int:
    if isinstance(dimension, bool) or not isinstance(dimension, int) or not 1 <= dimension <= MAX_DIMENSION:
        raise ValueError(f"dimension is {dimension!r}: must be a whole number between 1 and {MAX_DIMENSION}")
    return dimension
