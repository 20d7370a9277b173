"""Notes when each test's body began and ended: a pytest plugin of `benchmarks/servers.py`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

bodies_ns: list[tuple[int, int]] = []


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Iterator[object]:
    began_ns = time.monotonic_ns()
    try:
        return (yield)
    finally:
        bodies_ns.append((began_ns, time.monotonic_ns()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    Path(os.environ["BENCHMARK_TIMES"]).write_text(json.dumps(bodies_ns))
