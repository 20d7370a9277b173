"""A client is tapped when somebody imports it, not before; and a tap that does not fit then is as loud as at once."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import redis_perf
from redis_perf import Budget, NothingMeasured, TapError, Trace, taps
from redis_perf.check import check
from redis_perf.recorder import Recorder
from redis_perf.recording import unheard
from redis_perf.taps.on_import import OnImport
from redis_perf.trace import Tapped

MODULE = "slow_client_of_these_tests"


def run(program: str, *arguments: str) -> str:
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.stdout


def test_recording_imports_no_client_and_leaves_nothing_on_the_path_of_finders() -> None:
    program = """
import sys, redis_perf
before = list(sys.meta_path)
with redis_perf.record() as trace:
    during = len(sys.meta_path) - len(before)
clients = {"redis", "valkey", "psycopg", "psycopg2", "asyncpg"}
print(sorted(clients & sys.modules.keys()), during, sys.meta_path == before, {tap.problem for tap in trace.trace.taps})
"""
    assert run(program).startswith("[] 1 True {'not")


USES = {
    "redis": "import redis; c = redis.Redis.from_url(url); c.get('a'); c.close()",
    "valkey": "import valkey; c = valkey.Valkey.from_url(url); c.get('a'); c.close()",
    "redis.asyncio": """
import asyncio, redis.asyncio
async def main():
    c = redis.asyncio.Redis.from_url(url)
    await c.get('a')
    await c.aclose()
asyncio.run(main())
""",
    "psycopg": "import psycopg; c = psycopg.connect(dsn, autocommit=True); c.execute('SELECT 1'); c.close()",
    "psycopg_pool": """
import psycopg_pool
with psycopg_pool.ConnectionPool(dsn, min_size=1) as pool, pool.connection() as c:
    c.execute('SELECT 1')
""",
    "psycopg2": "import psycopg2; c = psycopg2.connect(dsn); c.cursor().execute('SELECT 1'); c.close()",
    "asyncpg": """
import asyncio, asyncpg
async def main():
    c = await asyncpg.connect(dsn)
    await c.fetch('SELECT 1')
    await c.close()
asyncio.run(main())
""",
    "fakeredis": "import fakeredis; c = fakeredis.FakeRedis(); c.get('a'); c.close()",
}
COUNTED = """
import sys, redis_perf
url, dsn, use, early = sys.argv[1:]
if early:
    __import__(early)
with redis_perf.record() as trace:
    if not early:
        assert not {"redis", "valkey", "psycopg", "psycopg2", "asyncpg"} & sys.modules.keys()
    exec(use)
seen = trace.trace
print(seen.redis.shapes, seen.postgres.shapes, len(seen.opened), seen.setup.redis.shapes, seen.setup.postgres.shapes)
print([(tap.name, tap.version) for tap in seen.taps if tap.problem is None], seen.problems)
print([tap.seen for tap in seen.taps if tap.problem is None])
"""


@pytest.mark.parametrize("client", USES)
def test_a_client_imported_while_recording_is_counted_as_one_imported_before(
    client: str, redis_url: str, postgres_dsn: str
) -> None:
    pytest.importorskip(client)
    late = run(COUNTED, redis_url, postgres_dsn, USES[client], "")
    assert late == run(COUNTED, redis_url, postgres_dsn, USES[client], client)
    assert "GET a" in late or "SELECT ?" in late
    assert late.count("\n") == 3


def test_an_imported_module_keeps_its_own_loader_and_everything_is_restored() -> None:
    program = """
import sys, redis_perf
from importlib.machinery import SourceFileLoader
with redis_perf.record():
    import redis, redis.connection
    patched = "_sock" in vars(redis.connection.AbstractConnection)
print(type(redis.__spec__.loader) is type(redis.__loader__) is SourceFileLoader, patched)
print("_sock" in vars(redis.connection.AbstractConnection))
"""
    assert run(program) == "True True\nFalse\n"


def test_a_forked_child_waits_for_nothing() -> None:
    program = """
import os, sys, redis_perf
before = list(sys.meta_path)
with redis_perf.record():
    if os.fork() == 0:
        import redis.connection
        os._exit(10 + (sys.meta_path == before) + 2 * ("_sock" in vars(redis.connection.AbstractConnection)))
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert run(program) == "11\n"


class Lent:
    """A client of our own, whose tap notes what happens to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.happened: list[str] = []
        self.error: Exception | None = None

    def write(self, source: str) -> None:
        self._path.joinpath(f"{MODULE}.py").write_text(source)
        importlib.invalidate_caches()

    @contextmanager
    def tap(self, recorder: Recorder) -> Iterator[None]:
        client = importlib.import_module(MODULE)
        if self.error is not None:
            raise self.error
        recorder.tapped(Tapped("lent", "redis", version=client.VERSION))
        self.happened.append("in")
        try:
            yield
        finally:
            self.happened.append("out")


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lent]:
    lent = Lent(tmp_path)
    lent.write("VERSION = '1.0'")
    monkeypatch.syspath_prepend(str(tmp_path))

    @taps.of_client(MODULE, "redis")
    def tap(recorder: Recorder) -> AbstractContextManager[None]:
        return lent.tap(recorder)

    point = SimpleNamespace(name="lent", value="lent:tap", load=lambda: tap)
    monkeypatch.setattr(taps, "installed", lambda: (point,))
    yield lent
    sys.modules.pop(MODULE, None)


def imported() -> Any:
    return importlib.import_module(MODULE)


def told(trace: Trace) -> list[tuple[str | None, str | None]]:
    return [(tap.version, tap.problem) for tap in trace.taps]


def test_a_tap_is_entered_once_and_left_with_the_last_recording(lent: Lent) -> None:
    with redis_perf.record() as outer:
        with redis_perf.record() as inner:
            assert told(inner.trace) == [(None, "not imported")]
            imported()
            imported()
            assert told(inner.trace) == [("1.0", None)]
        assert lent.happened == ["in"]
        assert told(outer.trace) == [("1.0", None)]
    assert lent.happened == ["in", "out"]
    assert not any(isinstance(finder, OnImport) for finder in sys.meta_path)


def test_what_is_imported_already_is_tapped_at_once(lent: Lent) -> None:
    imported()
    with redis_perf.record() as trace:
        assert told(trace.trace) == [("1.0", None)]
    assert lent.happened == ["in", "out"]


def test_what_is_imported_while_nobody_listens_is_tapped_when_somebody_does_again(lent: Lent) -> None:
    with redis_perf.record() as trace:
        with unheard():
            imported()
            assert lent.happened == []
        assert lent.happened == ["in"]
        assert told(trace.trace) == [("1.0", None)]
    assert lent.happened == ["in", "out"]


def test_an_import_that_fails_is_the_users_alone_and_the_next_one_is_tapped(lent: Lent) -> None:
    lent.write("raise ImportError('its library is missing')")
    with redis_perf.record() as trace:
        with pytest.raises(ImportError, match="its library is missing"):
            imported()
        assert told(trace.trace) == [(None, "not imported")]
        lent.write("VERSION = '1.0'  # and of another size")
        imported()
        assert told(trace.trace) == [("1.0", None)]


def test_a_client_that_is_not_installed_says_so_until_it_is(lent: Lent, tmp_path: Path) -> None:
    tmp_path.joinpath(f"{MODULE}.py").unlink()
    with redis_perf.record() as trace:
        assert told(trace.trace) == [(None, "not installed")]
        lent.write("VERSION = '1.0'")
        imported()
        assert told(trace.trace) == [("1.0", None)]


def test_a_module_that_gave_way_to_another_is_tapped_anew_by_the_next_recording(lent: Lent) -> None:
    with redis_perf.record():
        imported()
        del sys.modules[MODULE]
        with redis_perf.record():
            assert lent.happened == ["in", "out"]
            imported()
        assert lent.happened == ["in", "out", "in"]


def test_a_module_that_came_past_the_finder_is_tapped_by_the_next_recording(
    lent: Lent, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_perf.record():
        with monkeypatch.context() as past:
            past.setattr(sys, "meta_path", [each for each in sys.meta_path if not isinstance(each, OnImport)])
            imported()
        assert lent.happened == []
        with redis_perf.record():
            assert lent.happened == ["in"]


MISFIT = "slow client 99.0 has no door"
WAY_OUT = "to leave this client uncounted set REDISPERF_WITHOUT=lent"
MISFITS: list[tuple[Callable[[], Exception], str]] = [
    (lambda: TapError(MISFIT), f"{MISFIT}; {WAY_OUT}"),
    (lambda: KeyError("door"), f"tap 'lent': internal error KeyError('door'); {WAY_OUT}"),
]


@pytest.mark.parametrize(("error", "sentence"), MISFITS, ids=["TapError", "of our own"])
def test_a_tap_that_does_not_fit_fails_budgets_and_later_recordings_but_not_the_import(
    lent: Lent, error: Callable[[], Exception], sentence: str
) -> None:
    lent.error = error()
    with redis_perf.record() as before:
        pass
    lenient = redis_perf.Recording(strict=False)
    with redis_perf.record() as trace, lenient:
        imported()
        with pytest.raises(TapError) as caught, redis_perf.record():
            pass
        assert str(caught.value) == sentence
    assert [(str(problem), getattr(problem, "store", None)) for problem in trace.trace.problems] == [
        (sentence, "redis")
    ]
    assert told(trace.trace) == [(None, "cannot be tapped")]
    assert (before.trace.problems, lenient.trace.problems) == ((), ())
    with pytest.raises(AssertionError, match=r"not everything was seen: .*REDISPERF_WITHOUT=lent"):
        check(trace.trace, Budget.of(redis=0))
    check(trace.trace, Budget.of(postgres=0))
    with pytest.raises(TapError) as caught, redis_perf.record():
        pass
    assert str(caught.value) == sentence
    lent.error = None
    with redis_perf.record() as afterwards:
        pass
    assert afterwards.trace.problems == ()


def test_a_misfit_imported_while_nobody_listens_is_a_problem_too(lent: Lent) -> None:
    lent.error = TapError(MISFIT)
    with redis_perf.record() as trace, unheard():
        imported()
    assert [str(problem) for problem in trace.trace.problems] == [f"{MISFIT}; {WAY_OUT}"]


@pytest.mark.usefixtures("lent")
def test_a_budget_that_measured_nothing_says_what_was_not_imported() -> None:
    with redis_perf.record() as trace:
        pass
    with pytest.raises(NothingMeasured, match="\n  lent: not imported\n"):
        check(trace.trace, Budget.of(redis=1))


SLOW = """
import builtins
builtins.slow_client_began.set()
builtins.slow_client_may_end.wait()
VERSION = '1.0'
"""


@pytest.fixture
def slow(lent: Lent, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    import builtins

    began, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(builtins, "slow_client_began", began, raising=False)
    monkeypatch.setattr(builtins, "slow_client_may_end", may_end, raising=False)
    lent.write(SLOW)
    yield began, may_end
    may_end.set()


def test_an_import_that_outlasts_the_recording_leaves_nothing_tapped(
    lent: Lent, slow: tuple[threading.Event, threading.Event]
) -> None:
    began, may_end = slow
    thread = threading.Thread(target=imported)
    with redis_perf.record():
        thread.start()
        began.wait()
    may_end.set()
    thread.join()
    assert lent.happened == []


def record_nothing() -> None:
    with redis_perf.record():
        pass


def test_a_recording_that_begins_within_another_threads_import_does_not_block_it(
    lent: Lent, slow: tuple[threading.Event, threading.Event]
) -> None:
    began, may_end = slow
    importing = threading.Thread(target=imported)
    with redis_perf.record():
        importing.start()
        began.wait()
        recording = threading.Thread(target=record_nothing)
        recording.start()
        may_end.set()
        recording.join()
        importing.join()
        assert lent.happened == ["in"]


def test_a_tap_that_names_no_client_is_entered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []

    @contextmanager
    def tap(recorder: Recorder) -> Iterator[None]:
        entered.append(recorder)
        yield

    point = SimpleNamespace(name="another", value="x:y", load=lambda: tap)
    monkeypatch.setattr(taps, "installed", lambda: (point,))
    with redis_perf.record() as trace:
        assert entered == [trace.recorder]


def test_every_tap_of_ours_waits_for_its_client_and_knows_its_distribution() -> None:
    ours: tuple[EntryPoint, ...] = taps.installed()
    waits = {point.name: taps.client_of(point.load()) for point in ours}
    assert {name: client and (client.module, client.store) for name, client in waits.items()} == {
        "asyncpg": ("asyncpg", "postgres"),
        "psycopg": ("psycopg", "postgres"),
        "psycopg2": ("psycopg2", "postgres"),
        "redis-py": ("redis", "redis"),
        "valkey-py": ("valkey", "redis"),
    }
    for client in waits.values():
        if client is not None and importlib.util.find_spec(client.module) is not None:
            assert client.tapped("it").version is not None
