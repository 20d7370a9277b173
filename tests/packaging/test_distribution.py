"""What is shipped: exactly three top-level packages, typed, with the files they read at run time."""

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, metadata, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    hatchling = pytest.importorskip("hatchling", reason="building the wheel needs hatchling")
    assert hatchling
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_has_exactly_three_top_levels(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "redis_perf",
        "pytest_redisperf",
        "redis_perf_reference",
    }


@pytest.mark.parametrize("package", ["redis_perf", "pytest_redisperf", "redis_perf_reference"])
def test_each_package_is_marked_as_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_reference_ships_its_scripts_and_schema(wheel: zipfile.ZipFile) -> None:
    endings = {Path(name).suffix for name in wheel.namelist() if name.startswith("redis_perf_reference/")}
    assert {".lua", ".sql"} <= endings


def test_the_core_requires_no_client_library() -> None:
    unconditional = [line for line in requires("pytest-redisperf") or [] if "extra ==" not in line]
    assert unconditional == ["pytest>=8"]


def test_the_extras_are_the_promised_ones() -> None:
    promised = {"redis", "postgres", "asyncpg", "psycopg2", "sqlalchemy", "fake", "embedded"}
    promised |= {"docker", "tls", "write", "benchmark", "hypothesis", "prometheus", "reference", "all"}
    promised |= {"vectors", "embeddings"}
    promised |= {"openai", "bitbucket"}
    assert set(metadata("pytest-redisperf").get_all("Provides-Extra") or []) == promised


@pytest.mark.parametrize(("group", "name"), [("pytest11", "redisperf"), ("console_scripts", "redisperf")])
def test_the_entry_points_load(group: str, name: str) -> None:
    (point,) = (point for point in entry_points(group=group) if point.name == name)
    assert point.load()


def test_importing_the_core_imports_no_client() -> None:
    code = "import sys, redis_perf; print(sorted({'redis', 'valkey', 'psycopg', 'pytest'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
