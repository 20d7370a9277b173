"""The layer table of docs/design.md, held by reading every import: a module may only import downwards."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "redis_perf"
VALUES = {"errors", "round_trip", "trace"}
PURE = {
    "network",
    "suite",
    "conversation",
    "open_trip",
    "call_path",
    "sources",
    "wire",
    "shape",
    "limit",
    "budget",
    "verdict",
    "check",
    "analysis",
    "report",
}
NOT_IN_PURE = {"time", "os", "socket", "asyncio", "threading", "subprocess", "redis", "valkey", "psycopg", "pytest"}
CLIENTS = {"redis", "valkey", "fakeredis", "psycopg", "psycopg_pool", "psycopg2", "asyncpg", "sqlalchemy"}


def imports(path: Path, *, only_at_load: bool = False) -> set[str]:
    """Dotted names this file imports; with `only_at_load`, not those inside functions or `if TYPE_CHECKING`."""
    names = set()
    for node in _statements(ast.parse(path.read_text()), only_at_load):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


def _statements(node: ast.AST, only_at_load: bool):
    for child in ast.iter_child_nodes(node):
        if only_at_load and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if only_at_load and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _statements(child, only_at_load)


def top(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def core_files(*parts: str) -> list[Path]:
    return [
        path
        for part in parts
        for path in ([CORE / f"{part}.py"] if (CORE / f"{part}.py").exists() else sorted((CORE / part).rglob("*.py")))
    ]


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", core_files(*sorted(VALUES)), ids=ids)
def test_values_import_only_values(path: Path) -> None:
    assert {name.split(".")[1] for name in imports(path) if name.startswith("redis_perf.")} <= VALUES
    assert not top(imports(path)) & NOT_IN_PURE


@pytest.mark.parametrize("path", core_files(*sorted(PURE)), ids=ids)
def test_pure_modules_import_only_values_and_pure_modules_and_no_input_or_output(path: Path) -> None:
    names = imports(path)
    assert not top(names) & NOT_IN_PURE
    inside = {name for name in names if name.startswith("redis_perf")}
    assert all(name.split(".")[1] in PURE | VALUES for name in inside if "." in name), inside


TAPS = {
    path.stem
    for path in (CORE / "taps").iterdir()
    if path.stem not in ("__init__", "callers", "libpq", "unheard", "__pycache__")
}


@pytest.mark.parametrize("path", sorted((CORE / "taps").rglob("*.py")), ids=ids)
def test_a_tap_knows_no_other_tap_and_imports_its_client_lazily(path: Path) -> None:
    own = path.relative_to(CORE / "taps").with_suffix("").parts[0]
    known = {name.split(".")[2] for name in imports(path) if name.startswith("redis_perf.taps.")}
    assert not known & (TAPS - {own})
    assert not top(imports(path, only_at_load=True)) & CLIENTS


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=ids)
def test_the_core_knows_neither_the_plugin_nor_the_reference(path: Path) -> None:
    assert not top(imports(path)) & {"pytest_redisperf", "redis_perf_reference", "pytest", "_pytest"}


@pytest.mark.parametrize("path", sorted((ROOT / "reference").rglob("*.py")), ids=ids)
def test_the_reference_can_be_copied_without_this_project(path: Path) -> None:
    assert not top(imports(path)) & {"redis_perf", "pytest_redisperf", "pytest"}


def test_loading_the_plugin_module_imports_no_client() -> None:
    names = imports(ROOT / "pytest_redisperf" / "plugin.py", only_at_load=True)
    assert not top(names) & CLIENTS
