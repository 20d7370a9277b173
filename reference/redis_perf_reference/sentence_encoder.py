"""SentenceEncoder: a model of sentence-transformers as an encoder. Needs the extra `embeddings`.

Library and model are loaded at the first text that no cache has: a process that finds all its vectors needs neither.
"""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis_perf_reference.vectors import Vectors


class SentenceEncoder:
    """`model` is a name on the hub or a folder, `revision` a commit there; `options` go to SentenceTransformer.

    One call at a time: the tokenizers refuse to be used by two threads at once ("Already borrowed").
    """

    def __init__(self, model: str, *, revision: str | None = None, **options: Any) -> None:
        """Raises ModuleNotFoundError where sentence-transformers is not installed."""
        if find_spec("sentence_transformers") is None:
            raise ModuleNotFoundError("SentenceEncoder needs the package sentence-transformers")
        self._model_name, self._options = model, {"revision": revision, **options}
        self._model: Any = None
        self._lock = threading.Lock()

    def __call__(self, texts: list[str]) -> Vectors:
        with self._lock:
            if self._model is None:
                library = import_module("sentence_transformers")
                self._model = library.SentenceTransformer(self._model_name, **self._options)
            vectors: Vectors = self._model.encode(texts, convert_to_numpy=True, show_progress_bar=False)
            return vectors
