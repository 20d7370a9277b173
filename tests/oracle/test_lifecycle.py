"""Servers of ours killed, restarted, paused, full and read-only: what stays, what clients see, and who cleans up."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

pytest.importorskip("redis")

import redis

from redis_perf import ServerUnavailable
from redis_perf.servers import embedded
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.local_redis import LocalRedis
from redis_perf.servers.redis_options import RedisOptions
from redis_perf.servers.watched import Watched, run_directory

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def volatile(valkey_server: object) -> Iterator[LocalRedis]:
    server = LocalRedis("embedded", embedded.redis_binary())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def durable(valkey_server: object) -> Iterator[LocalRedis]:
    server = LocalRedis("embedded", embedded.redis_binary(), RedisOptions(appendonly=True))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_postgres(postgres_server: object) -> Iterator[LocalPostgres]:
    server = embedded.postgres()
    yield server
    server.stop()


def client(server: LocalRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, retry=None, socket_timeout=10)


ENDINGS = {
    "killed and started": lambda server: (server.kill(), server.start()),
    "restarted": lambda server: server.restart(),
    "crashing": lambda server: server.crashing(),
    "crashing, from elsewhere": lambda server: pickle.loads(pickle.dumps(server.crashing))(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_append_only_redis_keeps_what_it_answered(ending: str, durable: LocalRedis) -> None:
    durable.reset()
    url = durable.url
    with client(durable) as before:
        before.set("k", "v")
    ENDINGS[ending](durable)
    with client(durable) as after:
        assert after.get("k") == b"v"
    assert durable.url == url


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_redis_without_persistence_loses_everything(ending: str, volatile: LocalRedis) -> None:
    volatile.reset()
    with client(volatile) as before:
        before.set("k", "v")
    ENDINGS[ending](volatile)
    with client(volatile) as after:
        assert after.get("k") is None


@pytest.mark.parametrize("ending", ENDINGS)
def test_postgres_keeps_what_was_committed_and_nothing_else(ending: str, own_postgres: LocalPostgres) -> None:
    with own_postgres.database() as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE t (x int)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.commit()
            connection.execute("INSERT INTO t VALUES (2)")
            ENDINGS[ending](own_postgres)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_a_killed_server_is_seen_to_be_dead_and_refuses_connections(volatile: LocalRedis) -> None:
    assert volatile.alive
    volatile.kill()
    assert not volatile.alive
    with client(volatile) as after, pytest.raises(redis.ConnectionError, match="refused"):
        after.ping()
    with pytest.raises(ServerUnavailable, match=r"^the server does not answer any more"):
        volatile.ask(["PING"])
    volatile.start()
    assert volatile.alive


def test_killing_postgres_takes_a_session_that_computes(own_postgres: LocalPostgres) -> None:
    with psycopg.connect(own_postgres.dsn, autocommit=True) as connection:
        pid = connection.info.backend_pid
        busy = threading.Thread(target=_compute, args=(connection,))
        busy.start()
        with psycopg.connect(own_postgres.dsn, autocommit=True) as other:
            active = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
            until(lambda: other.execute(active, [pid]).fetchone() is not None)
        own_postgres.kill()
        busy.join(DEADLINE_S)
    assert not busy.is_alive()
    until(lambda: not alive(pid))
    own_postgres.start()


def _compute(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000000000)")


def test_a_server_that_runs_cannot_be_started(volatile: LocalRedis) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        volatile.start()
    assert str(caught.value) == "cannot start the server: it runs; kill() it before, or restart() it"


def test_a_paused_server_hangs_and_goes_on_where_it_was(volatile: LocalRedis) -> None:
    with client(volatile) as patient:
        patient.set("k", "v")
        number = patient.client_id()
        volatile.pause()
        assert volatile.alive
        with (
            redis.Redis.from_url(volatile.url, retry=None, socket_timeout=0.05) as impatient,
            pytest.raises(redis.TimeoutError),
        ):
            impatient.get("k")
        volatile.resume()
        assert (patient.get("k"), patient.client_id()) == (b"v", number)


def test_a_paused_postgres_hangs_with_all_its_sessions(own_postgres: LocalPostgres) -> None:
    with psycopg.connect(own_postgres.dsn, autocommit=True) as connection:
        connection.execute("SELECT 1")
        own_postgres.pause()
        until(lambda: state(connection.info.backend_pid) == "T")
        own_postgres.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)


ENDS_SLOWLY = """
import signal, sys, time
def end(*_):
    time.sleep(1.5)
    open(sys.argv[1] + "/ended-in-good-order", "w")
    sys.exit()
signal.signal(signal.SIGINT, end)
open(sys.argv[1] + "/answers", "w")
while True:
    signal.pause()
"""


def test_a_server_that_ends_slowly_is_not_hurried_when_it_is_to_be_started_again() -> None:
    directory = run_directory()
    slow = Watched(directory, [sys.executable, "-c", ENDS_SLOWLY, str(directory)])
    try:
        slow.until((directory / "answers").stat)
        slow.end()
        assert (directory / "ended-in-good-order").exists()
    finally:
        slow.stop()


def test_a_paused_server_can_be_restarted_and_killed(durable: LocalRedis, own_postgres: LocalPostgres) -> None:
    for server in (durable, own_postgres):
        server.pause()
        server.restart()
        server.pause()
        server.kill()
        assert not server.alive
        server.start()


def test_a_redis_that_is_full_refuses_to_write_until_it_is_not(durable: LocalRedis) -> None:
    durable.reset()
    with client(durable) as writing:
        writing.set("k", "before")
        with durable.fill_memory():
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                writing.set("k", "full")
            assert writing.get("k") == b"before"
        writing.set("k", "after")
        durable.fill_memory()
        durable.restart()
        with client(durable) as again:
            again.set("k", "restarted")
        durable.fill_memory()
        durable.reset()
        with client(durable) as again:
            assert again.set("k", "reset")
            assert again.config_get("maxmemory*")["maxmemory"] == "0"


def test_a_redis_that_is_read_only_keeps_its_data_and_refuses_to_write(durable: LocalRedis) -> None:
    durable.reset()
    with client(durable) as writing:
        writing.set("k", "before")
        condition = durable.read_only()
        with pytest.raises(redis.exceptions.ReadOnlyError):
            writing.set("k", "read-only")
        assert writing.get("k") == b"before"
        condition.end()
        condition.end()
        writing.set("k", "after")
        durable.read_only()
        durable.reset()
        writing.set("k", "reset")


def test_a_postgres_that_is_read_only_is_so_for_sessions_that_were_open(own_postgres: LocalPostgres) -> None:
    with own_postgres.database() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (x int)")
        with own_postgres.read_only():
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("INSERT INTO t VALUES (1)")
            with psycopg.connect(dsn) as later, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                later.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO t VALUES (1)")
        own_postgres.read_only()
        own_postgres.restart()
        with psycopg.connect(dsn) as later:
            later.execute("INSERT INTO t VALUES (1)")


def test_what_is_down_cannot_be_made_read_only_and_its_log_says_more(
    own_postgres: LocalPostgres, durable: LocalRedis
) -> None:
    for server in (own_postgres, durable):
        server.kill()
        with pytest.raises(ServerUnavailable, match=r"does not answer any more .*; the end of its log"):
            server.read_only()
        server.start()


def test_a_database_is_had_from_a_postgres_that_was_left_killed_paused_or_read_only(
    own_postgres: LocalPostgres,
) -> None:
    for spoil in (own_postgres.kill, own_postgres.pause, own_postgres.read_only):
        spoil()
        with own_postgres.database() as dsn, psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE t (x int)")


def test_postgres_has_no_memory_to_fill(own_postgres: LocalPostgres) -> None:
    with pytest.raises(ServerUnavailable, match="no limit of memory"):
        own_postgres.fill_memory()


def test_a_reset_brings_a_redis_back_that_was_left_killed_or_paused(volatile: LocalRedis) -> None:
    for spoil in (volatile.kill, volatile.pause):
        spoil()
        volatile.reset()
        with client(volatile) as after:
            assert after.ping()


def test_a_redis_that_died_by_itself_is_not_brought_back_by_a_reset(valkey_server: object) -> None:
    server = LocalRedis("embedded", embedded.redis_binary())
    try:
        with client(server) as dying, pytest.raises(redis.ConnectionError):
            dying.execute_command("SHUTDOWN")
        until(lambda: not server.alive)
        with pytest.raises(ServerUnavailable, match=r"does not answer any more"):
            server.reset()
        server.restart()
        server.reset()
    finally:
        server.stop()


def test_what_was_stopped_cannot_be_killed_or_started(valkey_server: object) -> None:
    server = LocalRedis("embedded", embedded.redis_binary())
    server.stop()
    assert not server.alive
    for act in (server.kill, server.start, server.pause, server.crashing):
        with pytest.raises(ServerUnavailable, match="it was stopped"):
            act()


LEAVING = """
import sys
from redis_perf import servers
redis, postgres = servers.redis("embedded"), servers.postgres("embedded")
for server in (redis, postgres):
    server.{act}()
print(redis.unix_path, postgres.unix_directory, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("act", ["pause", "kill", "restart"])
def test_servers_left_paused_killed_or_restarted_are_gone_after_their_run_was_killed(
    act: str, valkey_server: object, postgres_server: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = run_directory()
    place.mkdir(mode=0o755)
    monkeypatch.setenv("TMPDIR", str(place))
    with subprocess.Popen([sys.executable, "-c", LEAVING.format(act=act)], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not any(place.iterdir()))
    until(lambda: not processes_in(place))
    place.rmdir()


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """A zombie, whose end nobody has asked about, is not."""
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").exists() or state(pid) != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def processes_in(place: Path) -> list[str]:
    """Command lines and working directories that name it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = (process / "cmdline").read_text() + os.readlink(process / "cwd")
        except OSError:
            continue
        if str(place) in named:
            found.append(named)
    return found
