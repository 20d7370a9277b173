"""Similarity: which vectors point most in the direction of another. Cosines are the one matrix product they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis_perf_reference.vectors import NotFinite, WrongDimension, WrongDtype, checked_vectors, normalised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from redis_perf_reference.vectors import Vectors

ROUNDING = 1e-6
"""How far a cosine in float32 may lie below the true one: so much less than `min_similarity` will do."""
SMALLEST_SQUARE, LARGEST_SQUARE = 1e-25, 1e30
"""Lengths whose squares float32 holds with all their digits."""


def checked_search(top_k: object, min_similarity: object) -> None:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
        raise ValueError(f"top_k is {top_k!r}: must be a whole number above 0")
    if not isinstance(min_similarity, int | float) or not -1 <= min_similarity <= 1:
        raise ValueError(f"min_similarity is {min_similarity!r}: must be between -1 and 1")


def most_similar(
    query: NDArray[np.float32], vectors: Vectors, top_k: int = 3, min_similarity: float = 0.5, *, unit: bool = False
) -> list[tuple[int, float]]:
    """Row and cosine of the `top_k` vectors nearest to `query`, the nearest first; of equals the first one first.

    A vector of length 0 has a cosine of 0 with any other. `unit` says that all have length 1 or 0, which saves
    computing it. Raises ValueError for the numbers, WrongDimension, WrongDtype or NotFinite for the vectors.
    """
    import numpy as np

    checked_search(top_k, min_similarity)
    direction = normalised(checked_vectors(query[np.newaxis], "query", count=1, dimension=query.size))[0]
    if vectors.dtype != np.float32:
        raise WrongDtype(f"vectors: ndarray of {vectors.dtype}, must be float32")
    if vectors.ndim != 2 or vectors.shape[1] != query.size:
        raise WrongDimension(f"vectors: shape {vectors.shape}, must be (any number, {query.size}), as query is")
    cosines = _cosines(direction, vectors, unit=unit)
    near = np.flatnonzero(cosines >= min_similarity - ROUNDING)
    if near.size > top_k:
        least = np.partition(cosines[near], -top_k)[-top_k]
        near = near[cosines[near] >= least]
    best = near[np.argsort(-cosines[near], kind="stable")][:top_k]
    return [(int(row), float(cosines[row])) for row in best]


def _cosines(direction: NDArray[np.float32], vectors: Vectors, *, unit: bool) -> NDArray[np.float32]:
    import numpy as np

    with np.errstate(all="ignore"):  # what does not fit is done again, in larger numbers
        cosines: NDArray[np.float32] = vectors @ direction
        if not unit:
            squares = np.einsum("ij,ij->i", vectors, vectors)
            cosines /= np.sqrt(squares)
            extreme = ~((squares > SMALLEST_SQUARE) & (squares < LARGEST_SQUARE))
            if extreme.any():
                cosines[extreme] = normalised(vectors[extreme]) @ direction
    odd = np.flatnonzero(~np.isfinite(cosines))
    if odd.size:
        raise NotFinite(f"vectors: a NaN or an infinity in vector {odd[0]}")
    return np.clip(cosines, -1, 1, out=cosines)
