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
from pathlib import Path
from typing import Any

import psycopg
import pytest

from redis_perf import ServerUnavailable
from redis_perf.servers import handing_over, starter
from redis_perf.servers.starter import TAKEN, Order
from redis_perf.servers.watched import run_directory

DEADLINE_S = 30.0
REDIS = Order("redis", "embedded", strict=False)
POSTGRES = Order("postgres", "embedded", strict=False)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, valkey_server: object, postgres_server: object) -> Iterator[Path]:
    """Where servers put their directories; empty in the end."""
    directory = run_directory()
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    yield directory
    assert until(lambda: not any(directory.iterdir())), list(directory.iterdir())
    shutil.rmtree(directory)


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
def test_both_are_started_at_once_and_are_ours_as_if_we_had_started_them() -> None:
    process, (for_redis, for_postgres) = starter.start([REDIS, POSTGRES])
    with for_redis, for_postgres:
        redis, (postgres, lending) = taken(for_redis).server, taken(for_postgres)
    lending.close()
    assert process.wait(DEADLINE_S) == 0
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
def test_with_a_postgres_come_its_first_database_and_the_connections_that_make_more() -> None:
    process, (channel,) = starter.start([POSTGRES])
    with channel:
        ready = taken(channel)
    assert process.wait(DEADLINE_S) == 0
    first, second = ready.lending.new(None), ready.lending.new(None)
    assert first != second
    with psycopg.connect(ready.lending.dsn(first)) as connection:
        assert connection.info.dbname == first
    ready.lending.close()
    ready.server.stop()


def test_a_server_that_nobody_took_ends(runs: Path) -> None:
    process, channels = starter.start([REDIS, POSTGRES])
    assert until(lambda: len(list(runs.glob("*/log"))) == 2)
    for channel in channels:
        channel.close()
    assert process.wait(DEADLINE_S) == 0
    assert list(runs.iterdir()) == []


def test_a_starter_that_is_killed_takes_with_it_what_it_has_not_handed_over(runs: Path) -> None:
    process, (channel,) = starter.start([REDIS])
    with channel:
        assert until(lambda: any(runs.glob("*/log")))
        process.kill()
        process.wait()
        assert until(lambda: not any(runs.iterdir()))


@pytest.mark.usefixtures("runs")
def test_a_starter_that_is_killed_leaves_what_it_has_handed_over() -> None:
    process, (channel,) = starter.start([REDIS])
    with channel:
        server = taken(channel).server
        process.kill()
        process.wait()
        assert server.ask(["PING"]) == [b"PONG"]
        server.stop()


TAKES_AND_DIES = """
import os, signal, sys
from redis_perf.servers import handing_over, starter
process, (channel,) = starter.start([starter.Order("postgres", "embedded", False)])
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
def test_why_a_server_cannot_be_had_is_what_comes_instead() -> None:
    process, (channel,) = starter.start([Order("redis", "embedded:1.0", strict=False)])
    with channel:
        channel.settimeout(DEADLINE_S)
        problem = handing_over.receive(channel)
    assert isinstance(problem, ServerUnavailable)
    assert str(problem).startswith("redis=embedded: no version 1.0 here; there ")
    assert process.wait(DEADLINE_S) == 0


def test_what_cannot_be_handed_over_is_not_started(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    monkeypatch.setenv("REDISPERF_REDIS", "redis://127.0.0.1:1/0")  # what `auto` takes first
    process, (channel,) = starter.start([Order("redis", "auto", strict=False)])
    channel.settimeout(DEADLINE_S)
    with channel, pytest.raises(EOFError):
        handing_over.receive(channel)
    assert process.wait(DEADLINE_S) == 0
    assert list(runs.iterdir()) == []


@pytest.mark.usefixtures("runs")
def test_a_module_of_the_tests_that_is_called_like_one_of_pythons_is_not_taken_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("secrets", "types", "pickle"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    process, (channel,) = starter.start([REDIS])
    with channel:
        taken(channel).server.stop()
    assert process.wait(DEADLINE_S) == 0


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


def test_a_python_that_may_not_write_bytecode_writes_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **_: asked.append(words))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    for channel in starter.start([REDIS])[1]:
        channel.close()
    assert asked[0][1:6] == ["-I", "-S", "-B", "-X", f"pycache_prefix={tmp_path}"]


@pytest.mark.usefixtures("runs")
def test_a_forked_child_that_lives_on_keeps_no_server_that_was_handed_over() -> None:
    process, (channel,) = starter.start([REDIS])
    with channel:
        server = taken(channel).server
    assert process.wait(DEADLINE_S) == 0
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
