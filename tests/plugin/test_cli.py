"""The command `redisperf`."""

import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import redis_perf
from redis_perf import ServerUnavailable, TapError, Tapped, cli, servers, taps


def test_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"redisperf {redis_perf.__version__}\n"


def test_it_runs_as_a_module():
    run = subprocess.run([sys.executable, "-m", "redis_perf", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"redisperf {redis_perf.__version__}\n"


def test_without_a_command_it_says_which_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "taps" in capsys.readouterr().err


def test_taps_lists_clients_and_servers(capsys, monkeypatch):
    def unavailable(choice):
        raise ServerUnavailable(f"redis={choice}: none here")

    monkeypatch.setattr(servers, "redis", unavailable)
    stopped = []
    server = SimpleNamespace(version="PostgreSQL 18.4", stop=lambda: stopped.append(True))
    monkeypatch.setattr(servers, "postgres", lambda choice: server)

    @contextmanager
    def tap(recorder):
        recorder.tapped(Tapped("redis-py", "redis", version="8.1.0"))
        yield

    monkeypatch.setattr(taps, "installed", lambda: (SimpleNamespace(name="redis-py", load=lambda: tap),))
    assert cli.main(["taps"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "clients",
        "  redis-py   8.1.0 counted",
        "servers for --redisperf-redis=",
        "  fake       not to be had: redis=fake: none here",
        "  embedded   not to be had: redis=embedded: none here",
        "  system     not to be had: redis=system: none here",
        "servers for --redisperf-postgres=",
        "  embedded   PostgreSQL 18.4",
        "  system     PostgreSQL 18.4",
    ]
    assert stopped == [True, True]


def test_a_client_that_cannot_be_tapped_is_shown_and_is_an_error(capsys, monkeypatch):
    @contextmanager
    def tap(recorder):
        raise TapError("no read_response")
        yield

    monkeypatch.setattr(taps, "installed", lambda: (SimpleNamespace(name="misfit", load=lambda: tap),))
    monkeypatch.setattr(cli, "_servers", lambda: ())
    assert cli.main(["taps"]) == 1
    assert capsys.readouterr().out == "clients\n  misfit     cannot be tapped: no read_response\n"
