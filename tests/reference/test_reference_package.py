"""The reference as a package: twins in step, files shipped, nothing imported that a copier does not have."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import redis_perf_reference
import redis_perf_reference.asyncio
from redis_perf_reference import Breaker, ConsecutiveFailures
from redis_perf_reference.resources import script, sql

ROOT = Path(__file__).parents[2]
PACKAGE = Path(inspect.getfile(redis_perf_reference)).parent


def test_the_sync_twins_are_in_step() -> None:
    pytest.importorskip("ruff", reason="the tool formats with ruff")
    tool = [sys.executable, str(ROOT / "tools" / "sync_twins.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "in step\n")


def test_the_sync_twins_have_the_same_public_names_and_no_coroutines() -> None:
    sync, asyncio = redis_perf_reference.WorkingMemory, redis_perf_reference.asyncio.WorkingMemory
    assert set(redis_perf_reference.asyncio.__all__) <= set(redis_perf_reference.__all__)
    for name, method in inspect.getmembers(asyncio, inspect.iscoroutinefunction):
        twin = getattr(sync, name)
        assert not inspect.iscoroutinefunction(twin)
        assert inspect.signature(twin).parameters.keys() == inspect.signature(method).parameters.keys()


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_what_a_copier_has(file: Path) -> None:
    allowed = sys.stdlib_module_names | {"redis", "psycopg", "msgspec", "redis_perf_reference"}
    allowed |= {"prometheus_client", "numpy", "httpx"}  # where they are needed, in functions
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= allowed


def test_every_script_and_statement_says_first_what_it_is_for() -> None:
    for file in PACKAGE.glob("lua/*.lua"):
        assert script(file.stem).text.startswith(f"-- {file.stem}: ")
    for file in PACKAGE.glob("sql/*.sql"):
        assert sql(file.stem).startswith(b"-- ")


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    now = [0.0]
    breaker: Breaker = ConsecutiveFailures(threshold=2, open_seconds=1, clock=lambda: now[0])
    for call in (breaker.failed, breaker.succeeded, breaker.failed):
        call()
    assert breaker.allow()
    breaker.failed()
    assert [breaker.allow(), breaker.allow()] == [False, False]
    now[0] = 1.0
    assert [breaker.allow(), breaker.allow()] == [True, False]
    now[0] = 2.0  # the probe never reported
    assert [breaker.allow(), breaker.allow()] == [True, False]
    breaker.failed()
    assert not breaker.allow()
    now[0] = 3.0
    assert breaker.allow()
    breaker.succeeded()
    assert [breaker.allow(), breaker.allow()] == [True, True]


def test_importing_the_reference_imports_no_library_of_an_extra() -> None:
    code = (
        "import sys, redis_perf_reference, redis_perf_reference.sentence_encoder, redis_perf_reference.prometheus; "
        "print({'numpy', 'sentence_transformers', 'prometheus_client'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "none\n"
