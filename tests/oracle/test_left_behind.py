"""After a test run, however it ended: no process, no file but the cache, no shared memory segment."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redis_perf.servers.watched import run_directory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

DEADLINE_S = 30.0
SUITE = """
import os, psycopg, signal
from pathlib import Path

def postmasters():
    return [int(path.read_text().split()[0]) for path in Path(os.environ["TMPDIR"]).glob("*/data/postmaster.pid")]

def test_it(redisperf_redis_url, redisperf_postgres_dsn):
    with open("seen", "a") as seen:
        print(*postmasters(), file=seen)
    {ending}

def test_another(redisperf_redis_url, redisperf_postgres_dsn):
    psycopg.connect(redisperf_postgres_dsn).close()
"""


class Run:
    """One pytest run in a place of its own, told from everything else on this machine by its environment."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.runs = place / "runs"
        self._mark = f"REDISPERF_TEST_RUN={secrets.token_hex(8)}"

    def __call__(self, ending: str, *options: str) -> subprocess.CompletedProcess[str]:
        (self.place / "test_it.py").write_text(SUITE.format(ending=ending))
        name, value = self._mark.split("=")
        environment = {
            **os.environ,
            name: value,
            "TMPDIR": str(self.runs),
            "XDG_CACHE_HOME": str(self.place / "cache"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "",
        }
        plugins = ["-p", "redisperf", "-p", "no:cacheprovider", f"--basetemp={self.place}/pytest"]
        program = [sys.executable, "-m", "pytest", *plugins, "test_it.py", *options]
        return subprocess.run(program, cwd=self.place, env=environment, capture_output=True, text=True, check=False)

    def processes(self) -> dict[int, str]:
        """Those of this run that are still there, by what they are."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if os.fsencode(self._mark) in (path / "environ").read_bytes():
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # ended meanwhile
                continue
        return found

    def segments(self) -> list[str]:
        """System V shared memory made by a postmaster of this run."""
        postmasters = set((self.place / "seen").read_text().split())
        assert postmasters
        lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
        return [line for line in lines if line.split()[4] in postmasters]

    def left(self) -> list[object]:
        """All of it."""
        cached = [
            path for depth in ("*", "spares/*") for path in self.place.glob(f"cache/redisperf/clusters/*/{depth}")
        ]
        made = [path for path in cached if path.name.startswith(("making-", "taken-"))]
        return [*self.processes().items(), *self.runs.iterdir(), *made, *self.segments()]


@pytest.fixture
def run(postgres_server: object, valkey_server: object) -> Iterator[Run]:
    place = run_directory()  # tmp_path is too long for a socket
    (place / "runs").mkdir(parents=True)
    (place / "cache").mkdir()
    place.chmod(0o755)
    yield Run(place)
    shutil.rmtree(place)


def until(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.01)
    return happened()


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("ending", "status"),
    [("pass", 0), ("assert 0", 1), ("os.kill(os.getpid(), signal.SIGINT)", 2), ("import pytest; pytest.exit()", 2)],
    ids=["success", "failure", "ctrl-c", "exit"],
)
def test_nothing_is_left_at_the_moment_a_run_ends(ending: str, status: int, options: tuple[str, ...], run: Run) -> None:
    if options and status == 2:
        ending = ending.replace("getpid", "getppid")  # Ctrl-C reaches the controller too
    ended = run(ending, *options)
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert run.left() == []
    assert [path.name for path in (run.place / "cache").iterdir()] == ["redisperf"]


@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_by_a_run_that_was_killed(death: signal.Signals, run: Run) -> None:
    assert run(f"os.kill(os.getpid(), {int(death)})").returncode == -death
    assert until(lambda: not run.left()), run.left()


@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_by_a_run_that_was_killed_while_its_servers_were_starting(
    death: signal.Signals, run: Run
) -> None:
    (run.place / "test_later.py").write_text(f"import os\nos.kill(os.getpid(), {int(death)})")
    (run.place / "seen").write_text("none: no test ran")
    assert run("pass", "test_later.py").returncode == -death
    assert until(lambda: not run.left()), run.left()


@pytest.mark.parametrize("process", ["getpid", "getppid"], ids=["worker", "controller"])
def test_nothing_is_left_by_workers_when_one_or_their_controller_was_killed(process: str, run: Run) -> None:
    ended = run(f"os.kill(os.{process}(), signal.SIGKILL)", "-p", "xdist", "-n", "2")
    assert ended.returncode == (1 if process == "getpid" else -signal.SIGKILL)
    assert until(lambda: not run.left()), run.left()


def test_a_postmaster_that_was_killed_leaves_no_segment(run: Run) -> None:
    ended = run("assert [os.kill(pid, signal.SIGKILL) for pid in postmasters()]")
    assert "AssertionError" not in ended.stdout, ended.stdout  # one was killed
    assert "2 passed" not in ended.stdout
    assert run.left() == []


@pytest.mark.parametrize(
    "options",
    [("--collect-only",), ("-k", "nothing"), ("--setup-plan",), ("--fixtures",), ("--co", "-p", "xdist", "-n", "2")],
    ids=" ".join,
)
def test_a_run_that_runs_no_test_starts_nothing(options: tuple[str, ...], run: Run) -> None:
    ended = run("pass", *options)
    assert ended.returncode in (0, 5), ended.stdout + ended.stderr
    assert not (run.place / "cache/redisperf").exists()
    assert not any(run.runs.iterdir())
    assert run.processes() == {}
