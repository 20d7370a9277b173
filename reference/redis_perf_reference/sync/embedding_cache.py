# Generated from ../asyncio/embedding_cache.py by tools/sync_twins.py: change that file, then run the tool.
"""EmbeddingCache: what one process has encoded, all of them find in Redis, whatever list it is asked for in.

| call                                        | Redis round trips                                      |
|---------------------------------------------|--------------------------------------------------------|
| embed, find_similar_functions: all known    | 1, for any number of texts                             |
| ... some or all new                         | 2: one MGET, one fill                                  |
| clear_cache                                 | 1, and 1 for each 1000 keys on the server              |

Above `chunk_bytes` of vectors (about 2700 of 384 dimensions) that is for each chunk. A server that does not know a
script yet costs one more, once. Each text has a key of its own, which names its model too: an edit encodes one text
anew, order and company do not matter, and no model is answered with another's vectors. What cannot be read is a miss,
and replaced. Without Redis everything is encoded. Callers of one process who want the same new text at the same time
wait for the one who encodes it.

The namespace is the hash tag: a cache lies in one Cluster slot, so that one MGET can ask for all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from redis_perf_reference.batches import Batches
from redis_perf_reference.embedding_input import checked_text, checked_texts, function_text, texts_of
from redis_perf_reference.lifetime import Lifetime
from redis_perf_reference.observer import SILENT, Observer
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.similarity import checked_search, most_similar
from redis_perf_reference.sync.background import OneEach, called, landed
from redis_perf_reference.sync.client import RedisClient
from redis_perf_reference.sync.redis_cache import RedisCache
from redis_perf_reference.vector_space import VectorSpace
from redis_perf_reference.vectors import VectorCodec, checked_vectors, normalised

if TYPE_CHECKING:
    from redis_perf_reference.vectors import Vectors

Encoder: TypeAlias = Callable[[list[str]], Any]
"""Takes texts, returns an array of float32 with a row for each (or lists of floats). For asyncio it may be async; a
plain function is called in a thread beside the event loop."""

GENERATION_SECONDS = 24 * 3600  # longer than any encoder takes

logger = logging.getLogger("redis_perf_reference")


class EmbeddingCache:
    """Vectors of `dimension` numbers, as `encode` makes them; scaled to length 1 if `normalise`.

    `model` and `revision` name the weights: change one with them, or vectors of the old weights are answered. Vectors
    live for `ttl` seconds, less a random part of up to `jitter` of it. The observer is told of each text's hit or miss.
    """

    def __init__(
        self,
        redis: RedisClient,
        encode: Encoder,
        *,
        model: str,
        revision: str,
        dimension: int,
        normalise: bool = False,
        ttl: float = 24 * 3600,
        jitter: float = 0.1,
        namespace: str = "embedding",
        chunk_bytes: int = 4 * 2**20,
        observer: Observer = SILENT,
    ) -> None:
        if chunk_bytes < 1:
            raise ValueError(f"{chunk_bytes=}: must be above 0")
        self._redis, self._encode, self._observer = redis, encode, observer
        self._codec = VectorCodec(dimension)
        self._space = VectorSpace(model, revision, dimension, normalise)
        self._lifetime = Lifetime.checked(ttl, None, jitter, 0, 0)
        self._stored = RedisCache(redis, namespace=namespace)
        self._generation = self._stored.keys.whole()
        self._batches = OneEach(Batches)
        self._chunk_items = max(1, chunk_bytes // self._codec.record_bytes)

    def embed(self, texts: Iterable[str]) -> Vectors:
        """A row for each text, in their order. What `encode` raises is raised.

        Raises InvalidText before anything is done, and WrongDimension, WrongDtype or NotFinite for what `encode`
        returned, of which nothing is kept then.
        """
        wanted = checked_texts(texts)
        rows = {text: row for row, text in enumerate(dict.fromkeys(wanted))}
        distinct, vectors = list(rows), self._codec.empty(len(rows))
        for start in range(0, len(distinct), self._chunk_items):
            chunk = slice(start, start + self._chunk_items)
            self._embed_into(vectors[chunk], distinct[chunk])
        return vectors if len(distinct) == len(wanted) else vectors[[rows[text] for text in wanted]]

    def find_similar_functions(
        self,
        query: str,
        functions: Iterable[Mapping[str, Any]],
        top_k: int = 3,
        min_similarity: float = 0.5,
        *,
        text_of: Callable[[Mapping[str, Any]], str] = function_text,
    ) -> list[dict[str, Any]]:
        """Copies of the functions whose text is most like the query, best first, each with a `similarity_score`.

        That is the cosine, at least `min_similarity`. Raises what `embed` does, and ValueError for the other arguments.
        """
        checked_search(top_k, min_similarity)
        candidates = list(functions)
        texts = [checked_text(query, "query"), *texts_of(candidates, text_of)]
        if not candidates:
            return []
        vectors = self.embed(texts)
        found = most_similar(vectors[0], vectors[1:], top_k, min_similarity, unit=self._space.normalised)
        return [{**candidates[row], "similarity_score": similarity} for row, similarity in found]

    def clear_cache(self) -> int:
        """Removes every vector of this namespace, of any model, and says how many that were.

        Vectors that are being computed will not be kept. Raises CacheUnavailable if some may be left: call it again.
        """
        self._batches.here().forget()
        self._redis.set(self._generation, token_hex(8), GENERATION_SECONDS)
        return self._stored.sweep()

    def _embed_into(self, vectors: Vectors, texts: list[str]) -> None:
        names = [self._stored.keys.record(key) for key in self._space.keys(texts)]
        generation, records = self._read(names)
        missing = self._codec.decode(records, vectors)
        self._count(records, missing)
        if missing:
            found = self._encoded_once({names[row]: texts[row] for row in missing}, generation)
            vectors[missing] = [found[names[row]] for row in missing]

    def _encoded_once(self, texts: dict[str, str], generation: bytes | None) -> dict[str, Any]:
        """Encodes what nobody in this process is encoding, and waits for the rest; if that fails, encodes it too."""
        with self._batches.here().claim(texts) as claim:
            claim.results = found = self._encoded({name: texts[name] for name in claim.mine}, generation)
        theirs = {batch: landed(batch) or {} for batch in set(claim.others.values())}
        found = found | {name: theirs[batch][name] for name, batch in claim.others.items() if theirs[batch]}
        return found | self._encoded({name: texts[name] for name in texts if name not in found}, generation)

    def _encoded(self, texts: dict[str, str], generation: bytes | None) -> dict[str, Any]:
        """The vector of each name, written if the generation is known."""
        if not texts:
            return {}
        vectors = self._computed(list(texts.values()))
        if generation is not None:
            self._fill(generation, list(texts), vectors)
        return dict(zip(texts, vectors, strict=True))

    def _read(self, names: list[str]) -> tuple[bytes | None, list[bytes | None]]:
        """The generation and the records. No generation: Redis did not answer."""
        started = monotonic()
        try:
            generation, *records = self._redis.ask("MGET", self._generation, *names)
            return generation or b"", records
        except CacheUnavailable:
            self._observer.error("unavailable")
            return None, [None] * len(names)
        finally:
            self._observer.seconds("read", monotonic() - started)

    def _computed(self, texts: list[str]) -> Vectors:
        started = monotonic()
        self._observer.load()
        try:
            encoded = called(self._encode, texts)
            vectors = checked_vectors(encoded, "encode", count=len(texts), dimension=self._codec.dimension)
        except Exception:
            self._observer.error("load")
            raise
        finally:
            self._observer.seconds("load", monotonic() - started)
        return normalised(vectors) if self._space.normalised else vectors

    def _fill(self, generation: bytes, names: list[str], vectors: Vectors) -> None:
        started = monotonic()
        arguments: list[bytes | int] = [generation]
        for record in self._codec.encode(vectors):
            arguments += [self._lifetime.fresh_ms(record), record]
        try:
            self._redis.run("embedding_fill", (self._generation, *names), *arguments)
        except CacheUnavailable:
            self._observer.error("unavailable")
        finally:
            self._observer.seconds("fill", monotonic() - started)

    def _count(self, records: Sequence[bytes | None], missing: list[int]) -> None:
        damaged = sum(records[row] is not None for row in missing)
        if damaged:
            logger.warning("%s of %s vectors cannot be read, so they are replaced", damaged, len(records))
            self._observer.error("undecodable")
        for _ in range(len(records) - len(missing)):
            self._observer.hit()
        for _ in missing:
            self._observer.miss()
