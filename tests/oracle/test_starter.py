"""Servers that another process starts and hands over: whose they are at each moment, and who ends them."""

from __future__ import annotations

import io
import os
import pickle
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest

from redis_perf import ServerUnavailable
from redis_perf.servers import handing_over, starter
from redis_perf.servers.isolation.schema import Schema
from redis_perf.servers.starter import TAKEN, Order, Started
from redis_perf.servers.watched import run_directory

Begin: TypeAlias = "Callable[..., Started]"

DEADLINE_S = 30.0
REDIS = Order("redis", "embedded")
POSTGRES = Order("postgres", "embedded")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, valkey_server: object, postgres_server: object) -> Iterator[Path]:
    """Where servers put their directories; empty in the end."""
    directory = run_directory()
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    yield directory
    assert until(lambda: not any(directory.iterdir())), list(directory.iterdir())
    shutil.rmtree(directory)


@pytest.fixture
def begin() -> Iterator[Begin]:
    """A starter with these orders, seen off in the end."""
    with ExitStack() as seen_off:

        def start(*orders: Order) -> Started:
            begun = starter.start(orders)
            seen_off.callback(begun.see_off, DEADLINE_S)
            return begun

        yield start


def until(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.005)
    return happened()


def taken(channel: socket.socket) -> Any:
    channel.settimeout(DEADLINE_S)
    ready = handing_over.receive(channel)
    channel.sendall(TAKEN)
    return ready


@pytest.mark.usefixtures("runs")
def test_both_are_started_at_once_and_are_ours_as_if_we_had_started_them(begin: Begin) -> None:
    begun = begin(REDIS, POSTGRES)
    for_redis, for_postgres = begun.channels
    with for_redis, for_postgres:
        redis, (postgres, lending) = taken(for_redis).server, taken(for_postgres)
    lending.close()
    assert begun.ended(DEADLINE_S)
    for server in (redis, postgres):
        assert server.alive
        server.kill()
        assert not server.alive
        server.start()
        server.pause()
        server.resume()
    with postgres.database() as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    redis.ask(["SET", "k", "v"])
    redis.reset()
    assert redis.ask(["DBSIZE"]) == [0]
    redis.stop()
    postgres.stop()


@pytest.mark.usefixtures("runs")
def test_with_a_postgres_come_its_first_database_and_the_connections_that_make_more(begin: Begin) -> None:
    begun = begin(POSTGRES)
    (channel,) = begun.channels
    with channel:
        ready = taken(channel)
    assert begun.ended(DEADLINE_S)
    first, second = ready.lending.new(None), ready.lending.new(None)
    assert first != second
    with psycopg.connect(ready.lending.dsn(first)) as connection:
        assert connection.info.dbname == first
    ready.lending.close()
    ready.server.stop()


def test_a_server_that_nobody_took_ends(begin: Begin, runs: Path) -> None:
    begun = begin(REDIS, POSTGRES)
    assert until(lambda: len(list(runs.glob("*/log"))) == 2)
    for channel in begun.channels:
        channel.close()
    assert begun.ended(DEADLINE_S)
    assert list(runs.iterdir()) == []


def test_a_starter_that_is_killed_takes_with_it_what_it_has_not_handed_over(begin: Begin, runs: Path) -> None:
    begun = begin(REDIS)
    (channel,) = begun.channels
    with channel:
        assert until(lambda: any(runs.glob("*/log")))
        begun.kill()
        assert begun.ended(DEADLINE_S)
        assert until(lambda: not any(runs.iterdir()))


@pytest.mark.usefixtures("runs")
def test_a_starter_that_is_killed_leaves_what_it_has_handed_over(begin: Begin) -> None:
    begun = begin(REDIS)
    (channel,) = begun.channels
    with channel:
        server = taken(channel).server
        begun.kill()
        assert begun.ended(DEADLINE_S)
        assert server.ask(["PING"]) == [b"PONG"]
        server.stop()


TAKES_AND_DIES = """
import os, signal, sys
from redis_perf.servers import handing_over, starter
(channel,) = starter.start([starter.Order("postgres", "embedded")]).channels
ready = handing_over.receive(channel)
if sys.argv[1] == "taken":
    channel.sendall(starter.TAKEN)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["offered", "taken"])
def test_a_run_that_dies_while_it_is_handed_a_server_leaves_nothing(when: str, runs: Path) -> None:
    mark = f"REDISPERF_TEST_RUN={secrets.token_hex(8)}"
    name, value = mark.split("=")
    died = subprocess.run([sys.executable, "-c", TAKES_AND_DIES, when], env={**os.environ, name: value}, check=False)
    assert died.returncode == -9
    assert until(lambda: not any(runs.iterdir()))
    if sys.platform == "linux":
        assert until(lambda: not any(os.fsencode(mark) in environ for environ in environments()))


def environments() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            yield path.read_bytes()
        except OSError:  # ended meanwhile
            continue


@pytest.mark.usefixtures("runs")
def test_why_a_server_cannot_be_had_is_what_comes_instead(begin: Begin) -> None:
    begun = begin(Order("redis", "embedded:1.0"))
    (channel,) = begun.channels
    with channel:
        channel.settimeout(DEADLINE_S)
        problem = handing_over.receive(channel)
    assert isinstance(problem, ServerUnavailable)
    assert str(problem).startswith("redis=embedded: no version 1.0 here; there ")
    assert begun.ended(DEADLINE_S)


@pytest.mark.usefixtures("runs")
def test_it_is_no_child_of_ours_that_somebody_could_wait_for(begin: Begin) -> None:
    before = children()  # and `ps`, each time another one
    begun = begin(REDIS)
    assert len(children() - before) == 1
    (channel,) = begun.channels
    with channel:
        taken(channel).server.stop()
    assert begun.ended(DEADLINE_S)
    assert len(children() - before) == 1


def children() -> set[int]:
    """Of this process, ended or not."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], stdout=subprocess.PIPE, check=False)
    return {*map(int, found.stdout.split())}


def test_one_that_hangs_is_killed_when_it_is_seen_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "CODE", "import signal; signal.pause()")
    begun = starter.start([REDIS])
    assert not begun.ended(0.1)
    group = begun._group
    begun.see_off(0.1)
    assert until(lambda: not is_there(group))


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


SCHEMA = "CREATE TABLE seen (x int);\n"


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("isolation", ["database", "reset", "rollback"])
def test_the_first_database_and_its_template_are_made_ahead(begin: Begin, isolation: str, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text(SCHEMA)
    begun = begin(Order("postgres", "embedded", isolation, "schema.sql", str(tmp_path)))
    (channel,) = begun.channels
    with channel:
        server, lending = taken(channel)
    there = databases(server)
    schema = Schema.of("schema.sql", tmp_path)
    name = lending.new(schema) if isolation == "database" else lending.cleaned(schema)
    assert f"template_{schema.digest}" in there
    assert isolation == "database" or name in there  # else it may still have been in the making
    used = [name]
    for _ in range(2):
        with psycopg.connect(lending.dsn(used[-1])) as connection:
            connection.execute("INSERT INTO seen VALUES (1)")
            assert connection.execute("SELECT count(*) FROM seen").fetchone() == (1,)
        used.append(lending.new(schema) if isolation == "database" else lending.cleaned(schema))
    assert len(set(used)) == (3 if isolation == "database" else 1)
    lending.close()
    server.stop()


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("isolation", ["database", "reset"])
def test_a_schema_that_cannot_be_made_ahead_is_told_to_who_asks(begin: Begin, isolation: str, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("CREATE TABEL seen (x int);")
    begun = begin(Order("postgres", "embedded", isolation, "schema.sql", str(tmp_path)))
    (channel,) = begun.channels
    with channel:
        server, lending = taken(channel)
    with pytest.raises(ServerUnavailable, match='line 1: syntax error at or near "TABEL"'):
        lending.new(Schema.of("schema.sql", tmp_path))
    assert lending.new(None)
    lending.close()
    server.stop()


@pytest.mark.usefixtures("runs")
def test_programs_that_fill_a_template_are_not_run_before_a_test_asks(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "tables.py").write_text("def make(dsn): raise SystemExit('ran')")
    begun = begin(Order("postgres", "embedded", "reset", "tables:make", str(tmp_path)))
    (channel,) = begun.channels
    with channel:
        server, lending = taken(channel)
    assert databases(server) == {"postgres", "template0", "template1"}
    lending.close()
    server.stop()


def databases(server: Any) -> set[str]:
    with psycopg.connect(server.dsn) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


@pytest.mark.usefixtures("runs")
def test_a_module_of_the_tests_that_is_called_like_one_of_pythons_is_not_taken_for_it(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("secrets", "types", "pickle"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    begun = begin(REDIS)
    (channel,) = begun.channels
    with channel:
        taken(channel).server.stop()
    assert begun.ended(DEADLINE_S)


def test_open_sockets_are_handed_over_with_what_holds_them() -> None:
    ours, theirs = socket.socketpair()
    one_end, other_end = socket.socketpair()
    with ours, theirs, one_end, other_end:
        handing_over.send(ours, {"it": one_end, "with": [1, 2]})
        received: Any = handing_over.receive(theirs)
        one_end.close()
        with received["it"] as connection:
            connection.sendall(b"heard")
            assert other_end.recv(5) == b"heard"
    assert received["with"] == [1, 2]


def test_sockets_that_are_handed_over_are_not_inherited_by_programs_that_are_started() -> None:
    ours, theirs = socket.socketpair()
    one_end, other_end = socket.socketpair()
    with ours, theirs, one_end, other_end:
        handing_over.send(ours, one_end)
        received: Any = handing_over.receive(theirs)
        with received:
            assert not received.get_inheritable()


@pytest.mark.parametrize("cut", [2, 10, 30])
def test_what_was_cut_off_is_the_end_and_keeps_no_socket_open(cut: int) -> None:
    ours, theirs = socket.socketpair()
    one_end, other_end = socket.socketpair()
    with ours, theirs, one_end, other_end:
        text = struct.pack("!I", 100) + pickle.dumps(["nothing"] * 20)
        socket.send_fds(ours, [text[:cut]], [one_end.fileno()])
        ours.close()
        one_end.close()
        with pytest.raises(EOFError):
            handing_over.receive(theirs)
        other_end.settimeout(DEADLINE_S)
        assert other_end.recv(1) == b""


def test_what_names_a_socket_that_did_not_come_is_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        text = io.BytesIO()
        pickler = handing_over._Pickler(text)
        pickler.dump(ours)
        ours.sendall(struct.pack("!I", text.tell()) + text.getvalue())
        with pytest.raises(EOFError):
            handing_over.receive(theirs)


def test_a_python_that_may_not_write_bytecode_writes_none(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda words, **_: asked.append(words) or start("true"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    begin(REDIS)
    options = ["-I", "-S", "-B", "-X", f"pycache_prefix={tmp_path}"]
    assert asked[0][4:10] == [sys.executable, *options]


@pytest.mark.usefixtures("runs")
def test_a_forked_child_that_lives_on_keeps_no_server_that_was_handed_over(begin: Begin) -> None:
    begun = begin(REDIS)
    (channel,) = begun.channels
    with channel:
        server = taken(channel).server
    assert begun.ended(DEADLINE_S)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    server.stop()
    assert not Path(server.unix_path).exists()
    os.close(writing)
    os.close(reading)
    os.waitpid(child, 0)
