"""The embedding cache as it was found, ported faithfully to be measured. Do not copy it: these are its bugs.

Wrong answers: the key is a hash of the sorted names alone. A function whose body was changed is found by its old one;
the same functions in another order get each other's vectors; every model is called "SentenceTransformer" in the key,
so two of them get each other's vectors as well, and only how many there are is checked. A vector of length 0 makes NaN.

Costs: one list is one value, so one new or changed name encodes all of them anew; the query is encoded each time.
Pickle in base64 is a third larger than the numbers, and slower to read.

Danger: `pickle.loads` runs whatever whoever can write to this Redis has put there. `clear_cache` clears nothing, and an
error of Redis in the middle encodes everything a second time. Whether Redis is there is decided once, at the start.
"""

from __future__ import annotations

import base64
import logging
import pickle
from hashlib import md5
from typing import Any

import numpy as np

TTL_SECONDS = 24 * 3600

logger = logging.getLogger("redis_perf_reference")


class NaiveEmbeddingSearch:
    """`model` has `encode(text or texts)`; `redis` is a redis-py client that decodes responses."""

    def __init__(self, redis: Any, model: Any) -> None:
        self._redis, self.model = redis, model
        try:
            self.cache_enabled = bool(redis.ping())
        except Exception:
            self.cache_enabled = False

    def find_similar_functions_cached(
        self, query: str, functions: list[dict[str, Any]], top_k: int = 3, min_similarity: float = 0.5
    ) -> list[dict[str, Any]]:
        if not functions:
            return []
        try:
            return self._nearest(query, functions, self._embeddings(functions), top_k, min_similarity)
        except Exception as error:
            logger.error("search failed: %s", error)
            return self._nearest(query, functions, self._encoded(functions), top_k, min_similarity)

    def clear_cache(self) -> None:
        if self.cache_enabled:
            logger.warning("the embedding cache must be deleted by hand")

    def _embeddings(self, functions: list[dict[str, Any]]) -> Any:
        redis_key = f"embedding:{self.model.__class__.__name__}:{self._generate_cache_key(functions)}"
        if self.cache_enabled:
            cached = self._redis.get(redis_key)
            if cached:
                try:
                    cached_data = pickle.loads(base64.b64decode(cached))
                    if cached_data["count"] == len(functions):
                        return cached_data["embeddings"]
                except Exception as error:
                    logger.warning("cached data cannot be parsed: %s", error)
        embeddings = self._encoded(functions)
        if self.cache_enabled:
            cached_data = {
                "embeddings": embeddings,
                "count": len(functions),
                "model": self.model.__class__.__name__,
                "dimension": embeddings.shape[1],
            }
            encoded = base64.b64encode(pickle.dumps(cached_data)).decode("ascii")
            self._redis.set(redis_key, encoded, ex=TTL_SECONDS)
        return embeddings

    def _encoded(self, functions: list[dict[str, Any]]) -> Any:
        return self.model.encode([f"{function['name']}\n{function['body']}" for function in functions])

    def _nearest(
        self, query: str, functions: list[dict[str, Any]], embeddings: Any, top_k: int, min_similarity: float
    ) -> list[dict[str, Any]]:
        query_embedding = self.model.encode(query)
        norms = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(query_embedding)
        similarities = np.dot(embeddings, query_embedding) / norms
        valid_indices = np.where(similarities >= min_similarity)[0]
        best = valid_indices[np.argsort(similarities[valid_indices])[::-1][:top_k]]
        return [{**functions[index], "similarity_score": float(similarities[index])} for index in best]

    def _generate_cache_key(self, functions: list[dict[str, Any]]) -> str:
        names = ",".join(sorted(function["name"] for function in functions))
        return md5(names.encode()).hexdigest()
