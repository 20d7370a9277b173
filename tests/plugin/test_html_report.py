"""`--redisperf-html`: the page of a run, alone and with a baseline."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

LOOP = """
def test_loop(redisperf_redis):
    for user in range({gets}):
        redisperf_redis.get(f"user:{{user}}")
"""


def rows(pytester: pytest.Pytester) -> Any:
    page = Path(pytester.path, "run.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'id="data-rows">([^<]+)<', page)
    return json.loads(zlib.decompress(base64.b64decode(data), -15))


def test_it_is_written_with_what_each_test_spent(run: Run, pytester: pytest.Pytester) -> None:
    result = run(LOOP.format(gets=4), "--redisperf-html=run.html")
    result.stdout.fnmatch_lines(["*generated redisperf html report: *run.html (*)*"])
    read = rows(pytester)
    assert read["tests"]["redis"] == [4]
    assert [(problem[0], problem[4]) for problem in read["problems"]] == [("N+1", 3)]
    assert read["missing"] is None


def test_with_a_baseline_it_has_what_was_spent_before(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    run(LOOP.format(gets=1), "--redisperf-baseline=spent.json", "--redisperf-update-baseline=yes")
    run(LOOP.format(gets=4), "--redisperf-baseline=spent.json", "--redisperf-html=run.html")
    read = rows(pytester)
    assert (read["tests"]["redis"], read["tests"]["base"], read["missing"]) == ([4], [[1, 1]], [])
