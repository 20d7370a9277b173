"""Every `redis_perf.name` the documents speak of can be had."""

import re
from pathlib import Path

import pytest

import redis_perf

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md"])
def test_what_a_document_calls_by_name_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    names = set(re.findall(r"\bredis_perf\.(\w+)\(", text))
    assert names
    assert [name for name in names if not callable(getattr(redis_perf, name, None))] == []
