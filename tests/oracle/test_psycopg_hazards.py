"""Who owns what: the trace of a psycopg connection must outlive neither more nor less than the connection needs it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from redis_perf.recorder import Recorder
from redis_perf.taps.libpq import CMemory, TraceText
from redis_perf.taps.psycopg import psycopg as psycopg_tap
from redis_perf.trace import Trace


@contextmanager
def recorded() -> Iterator[Callable[[], Trace]]:
    recorder = Recorder()
    since_ns = recorder.open_window()
    with psycopg_tap(recorder):
        yield lambda: recorder.trace(since_ns)


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakValueDictionary[int, TraceText]:
    """The traces whose memory has not been given back."""

    class Watched(TraceText):
        __slots__ = ("__weakref__",)

        def __init__(self, memory: CMemory) -> None:
            super().__init__(memory)
            opened[id(self)] = self

        def close(self) -> None:
            super().close()
            opened.pop(id(self), None)

    opened: weakref.WeakValueDictionary[int, TraceText] = weakref.WeakValueDictionary()
    monkeypatch.setattr("redis_perf.taps.psycopg.stream.TraceText", Watched)
    return opened


Traces = weakref.WeakValueDictionary[int, TraceText]


def test_closing_a_connection_gives_its_trace_back(postgres_dsn: str, traces: Traces) -> None:
    with recorded() as trace:
        connection = psycopg.connect(postgres_dsn, autocommit=True)
        assert len(traces) == 1
        connection.close()
        assert len(traces) == 0
        connection.close()
        assert trace().problems == ()


def test_leaving_gives_the_traces_of_open_connections_back(postgres_dsn: str, traces: Traces) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        with recorded():
            connection.execute("select 1")
            assert len(traces) == 1
        assert len(traces) == 0
        connection.execute("select 2")


def test_an_unreferenced_connection_is_collected_with_the_usual_warning(postgres_dsn: str, traces: Traces) -> None:
    with recorded() as trace:
        connection = psycopg.connect(postgres_dsn, autocommit=True)
        connection.execute("select 1")
        gone = weakref.ref(connection.pgconn)
        with pytest.warns(ResourceWarning, match="was deleted while still open"):  # noqa: PT031
            del connection
            gc.collect()
        assert gone() is None
        psycopg.connect(postgres_dsn).close()  # what was put aside is freed when there is something to do anyway
        assert len(traces) == 0
        assert trace().postgres.round_trips == 1


def test_a_connection_collected_in_a_cycle_still_says_goodbye_to_its_own_trace(
    postgres_dsn: str, traces: Traces
) -> None:
    with recorded():
        connection = psycopg.connect(postgres_dsn, autocommit=True)
        connection.me = connection  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # given or not, as the collector's order has it
            del connection
            gc.collect()
        psycopg.connect(postgres_dsn).close()
        assert len(traces) == 0


def test_a_connection_finished_beneath_psycopg_is_let_go(postgres_dsn: str, traces: Traces) -> None:
    with recorded() as trace:
        connection = psycopg.connect(postgres_dsn, autocommit=True)
        connection.execute("select 1")
        connection.pgconn.finish()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 2")
        connection.close()
        del connection
        gc.collect()
    assert len(traces) == 0
    assert (trace().postgres.round_trips, trace().problems) == (1, ())


def test_a_refused_connection_leaves_nothing_behind(traces: Traces) -> None:
    with recorded():
        for host in ("127.0.0.1", "/nowhere", "no such host"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(f"host='{host}' port=1 user=x dbname=x")
        assert len(traces) == 0


def test_a_rejected_password_leaves_nothing_behind(postgres_dsn: str, traces: Traces) -> None:
    with recorded():
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres_dsn, password="wrong")
        assert len(traces) == 0


def test_a_handshake_dropped_after_the_recording_is_harmless(traces: Traces) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as door:
        with recorded(), pytest.raises(psycopg.OperationalError) as kept:
            psycopg.connect(f"host=127.0.0.1 port={door.getsockname()[1]} user=x dbname=x", connect_timeout=2)
        del kept
        gc.collect()
        assert len(traces) == 0


def test_tracing_opens_no_file_descriptor(postgres_dsn: str) -> None:
    def descriptors() -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    if not Path("/proc/self/fd").exists():
        pytest.skip("counts descriptors in /proc")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        before = descriptors()
        with recorded():
            connection.execute("select 1")
            assert descriptors() == before


def test_ten_thousand_traced_connections_leak_no_memory() -> None:
    """As PGconn objects that are traced and collected: real connections would take minutes."""
    ran = subprocess.run([sys.executable, "-c", TEN_THOUSAND], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    grown_kib, left = map(int, ran.stdout.split())
    assert left == 0
    assert grown_kib < 1024


TEN_THOUSAND = """
import psycopg
from psycopg import pq
from redis_perf.recorder import Recorder
from redis_perf.taps.libpq import Libpq
from redis_perf.taps.psycopg.connections import Connections

def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

recorder = Recorder()
connections = Connections(recorder, Libpq(pq))
def attach(times):
    for each in range(times):
        pgconn = pq.PGconn.connect_start(b"host=/nowhere")
        stream = connections.attach(pgconn)
        pgconn.finish()
        connections.closed(pgconn)
attach(500)
before = resident_kib()
attach(10_000)
print(resident_kib() - before, len(connections))
"""


def test_a_thousand_connections_opened_and_closed_leak_no_memory(postgres_dsn: str) -> None:
    ran = subprocess.run([sys.executable, "-c", A_THOUSAND, postgres_dsn], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    grown_kib, descriptors = map(int, ran.stdout.split())
    assert descriptors == 0
    assert grown_kib < 1024


A_THOUSAND = """
import os, sys, psycopg
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg import psycopg as tap

def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

recorder = Recorder()
def connect(times):
    for each in range(times):
        since = recorder.open_window()
        psycopg.connect(sys.argv[1], sslmode="disable").close()
        recorder.close_window(since)
with tap(recorder):
    connect(100)
    before, descriptors = resident_kib(), len(os.listdir("/proc/self/fd"))
    connect(1000)
    print(resident_kib() - before, len(os.listdir("/proc/self/fd")) - descriptors)
"""


def test_a_long_conversation_takes_no_more_memory_than_its_longest_wait(postgres_dsn: str, traces: Traces) -> None:
    with recorded(), psycopg.connect(postgres_dsn, autocommit=True) as connection:
        (text,) = traces.values()
        for each in range(40):
            connection.execute("select length(%s)", ("x" * 20_000 + str(each),))
        assert text.size_bytes <= TraceText.REWIND_BYTES + 50_000


def test_leaving_while_another_thread_waits_leaves_its_trace_to_it(postgres_dsn: str, traces: Traces) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection, psycopg.connect(postgres_dsn) as locking:
        locking.execute("select pg_advisory_lock(1)")
        waiting = threading.Thread(target=connection.execute, args=("select pg_advisory_lock(1)",))
        with recorded() as trace:
            waiting.start()
            until_blocked(locking)
        (text,) = traces.values()
        assert text.file is not None
        locking.execute("select pg_advisory_unlock(1)")
        waiting.join(10)
        assert len(traces) == 0
        connection.execute("select 1")
        assert "SELECT pg_advisory_lock(?)" in trace().postgres.shapes


def until_blocked(connection: psycopg.Connection) -> None:
    blocked = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    while connection.execute(blocked).fetchone() != (1,):
        pass


def test_closing_while_another_thread_waits_leaves_its_trace_to_it(postgres_dsn: str, traces: Traces) -> None:
    def wait() -> None:
        with pytest.raises(psycopg.Error):
            connection.execute("select pg_advisory_lock(1)")

    with recorded() as trace, psycopg.connect(postgres_dsn) as locking:
        locking.execute("select pg_advisory_lock(1)")
        connection = psycopg.connect(postgres_dsn, autocommit=True)
        waiting = threading.Thread(target=wait)
        waiting.start()
        until_blocked(locking)
        connection.cancel()
        connection.close()
        waiting.join(10)
        assert not waiting.is_alive()
        assert len(traces) == 1
        assert trace().problems == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_neither_disturbs_nor_shares_the_trace(postgres_dsn: str) -> None:
    ran = subprocess.run([sys.executable, "-c", FORKED, postgres_dsn], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("3 ()\n", "", 0)


FORKED = """
import os, sys, gc, psycopg, redis_perf
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg import psycopg as tap

recorder = Recorder()
tapping = tap(recorder)
tapping.__enter__()
connection = psycopg.connect(sys.argv[1], autocommit=True)
connection.execute("select 1")
child = os.fork()
if not child:
    tapping.__exit__(None, None, None)  # as recording does
    with psycopg.connect(sys.argv[1]) as own:
        own.execute("select 2")
    del connection
    gc.collect()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
connection.execute("select 3")
connection.execute("select 4")
print(recorder.trace(0).postgres.round_trips, recorder.trace(0).problems)
connection.close()
tapping.__exit__(None, None, None)
"""


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGTERM)", "sys.exit(7)"])
def test_a_process_that_ends_with_traced_connections_ends_as_it_would_without(postgres_dsn: str, end: str) -> None:
    program = f"import os, signal, sys\n{LEFT_OPEN}\n{end}"
    ran = subprocess.run([sys.executable, "-c", program, postgres_dsn], capture_output=True, text=True, check=False)
    expected = {"": 0, "sys.exit(7)": 7}.get(end, -signal.SIGTERM)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", expected)


LEFT_OPEN = """
import psycopg
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg import psycopg as tap
tapping = tap(Recorder())
tapping.__enter__()
connections = [psycopg.connect(sys.argv[1], autocommit=True) for _ in range(3)]
for connection in connections:
    connection.execute("select 1")
"""


def test_recording_again_counts_the_same_connection_again(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        for _ in range(3):
            with recorded() as trace:
                connection.execute("select 1")
                assert trace().postgres.round_trips == 1


def test_two_records_see_each_its_own_window(postgres_dsn: str) -> None:
    recorder = Recorder()
    with psycopg_tap(recorder), psycopg.connect(postgres_dsn, autocommit=True) as connection:
        outer = recorder.open_window()
        connection.execute("select 1")
        inner = recorder.open_window()
        connection.execute("select 2")
        assert (recorder.trace(outer).postgres.round_trips, recorder.trace(inner).postgres.round_trips) == (2, 1)
