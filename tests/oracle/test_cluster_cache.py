"""Clusters made in advance: complete or not used, never shared, never seen by two, and nothing more is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers import cluster_cache, unprivileged
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.watched import run_directory

psycopg = pytest.importorskip("psycopg")

DAY_S = 24 * 3600
Start = Callable[[], LocalPostgres]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of this test for runs (which must all be gone in the end) and for the cache."""
    tmp_path_factory.getbasetemp()  # made where TMPDIR says, so it must be there before
    directory = run_directory()
    (directory / "runs").mkdir(parents=True)
    directory.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(directory / "runs"))
    monkeypatch.setattr("tempfile.tempdir", str(directory / "runs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))
    yield directory
    (directory / "runs").rmdir()
    shutil.rmtree(directory)


@pytest.fixture
def installation(postgres_server: servers.PostgresServer) -> Path:
    assert isinstance(postgres_server, LocalPostgres)
    return postgres_server._installation


@pytest.fixture
def start(place: Path, installation: Path) -> Iterator[Start]:
    """Start a server; it is stopped with the test."""
    with ExitStack() as running:

        def start() -> LocalPostgres:
            server = LocalPostgres("embedded", installation)
            running.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def ready_made(tmp_path_factory: pytest.TempPathFactory, postgres_server: servers.PostgresServer) -> Iterator[Path]:
    """A cache with a template and one spare, for tests to copy."""
    assert isinstance(postgres_server, LocalPostgres)
    directory = tmp_path_factory.mktemp("ready")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(directory))
        patch.setenv("TMPDIR", "/tmp")
        LocalPostgres("embedded", postgres_server._installation).stop()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def cache(place: Path, ready_made: Path) -> Path:
    """That of the one key there is, with a template and one spare."""
    shutil.copytree(ready_made / "redisperf", place / "redisperf", symlinks=True)
    return only(place / "redisperf/clusters")


def only(directory: Path) -> Path:
    (found,) = directory.iterdir()
    return found


def spares(cache: Path) -> list[str]:
    return [path.name for path in (cache / "spares").iterdir()]


def ask(server: LocalPostgres, query: str) -> object:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def truncate(data: Path) -> None:
    """The largest file that is not the log's: a catalog."""
    largest = max((data / "base").rglob("*"), key=lambda path: path.stat().st_size)
    os.truncate(largest, 8192)


def test_the_first_run_makes_the_cluster_and_the_next_finds_one_ready(start: Start, place: Path) -> None:
    first = start()
    first.stop()
    cache = only(place / "redisperf/clusters")
    assert first.origin == "initdb"
    assert sorted(path.name for path in cache.iterdir()) == ["lock", "spares", "template"]
    assert len(spares(cache)) == 1
    second = start()
    second.stop()
    assert second.origin == "spare"
    assert len(spares(cache)) == 1
    assert second.version == first.version


def test_the_next_spare_is_copied_when_the_run_has_got_going_or_ends(
    start: Start, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_cache, "LATER", "cat >/dev/null")
    server = start()
    assert server.origin == "spare"
    assert spares(cache) == []
    server.stop()
    assert len(spares(cache)) == 1


def test_two_runs_at_once_never_get_the_same_cluster(start: Start, cache: Path) -> None:
    one, other = start(), start()
    assert one.origin == "spare"
    assert other.origin in ("spare", "copy")  # as fast as the first one was replaced
    assert ask(one, "show data_directory") != ask(other, "show data_directory")
    assert one.dsn != other.dsn


def test_a_run_finds_nothing_of_an_earlier_one_and_a_new_password(start: Start, cache: Path) -> None:
    first = start()
    ask_for = "select (select count(*) from pg_database), (select count(*) from pg_roles where rolname = 'ada')"
    with psycopg.connect(first.dsn, autocommit=True) as connection:
        for statement in ("create database left_over", "create role ada", "alter system set work_mem = '1MB'"):
            connection.execute(statement)
    first.stop()
    second = start()
    assert second.origin == "spare"
    assert ask(second, ask_for) == [(3, 0)]
    assert ask(second, "show work_mem") == [("4MB",)]
    assert second.dsn.split("@")[0] != first.dsn.split("@")[0]


def test_a_truncated_spare_is_thrown_away_and_copied_anew(start: Start, cache: Path) -> None:
    (spare,) = spares(cache)
    truncate(cache / "spares" / spare)
    server = start()
    server.stop()
    assert server.origin == "copy"
    assert len(spares(cache)) == 1
    assert spare not in spares(cache)


def test_a_truncated_template_is_made_anew(start: Start, cache: Path) -> None:
    shutil.rmtree(cache / "spares")
    truncate(cache / "template/data")
    assert start().origin == "initdb"


@pytest.mark.parametrize("sizes", [None, ""])
def test_a_template_that_nobody_vouches_for_is_made_anew(sizes: str | None, start: Start, cache: Path) -> None:
    (cache / "template/sizes").unlink()
    if sizes is not None:
        (cache / "template/sizes").write_text(sizes)
    assert start().origin == "initdb"
    assert (cache / "template/sizes").read_text().count("\n") > 500


def test_a_cluster_of_another_version_is_thrown_away_and_made_anew(start: Start, cache: Path) -> None:
    """The sizes agree, so only the server can tell."""
    for data in (cache / "template/data", cache / "spares" / spares(cache)[0]):
        version = data / "PG_VERSION"
        version.write_text("9" * (version.stat().st_size - 1) + "\n")
    server = start()
    assert server.origin == "initdb"
    assert (cache / "template/data/PG_VERSION").read_text().strip() == server.version.split()[1].split(".")[0]


def test_a_server_that_does_not_start_on_a_new_cluster_either_says_so_once(
    place: Path, cache: Path, installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_perf.servers.local_postgres.SETTINGS", {"no_such_setting": "on"})
    with pytest.raises(ServerUnavailable) as caught:
        LocalPostgres("embedded", installation)
    assert str(caught.value).startswith("the server ended while starting; the end of its log:")
    assert "no_such_setting" in str(caught.value)
    assert not list(cache.glob("making-*"))


RUN = """
from redis_perf import servers
server = servers.postgres("embedded")
print(server.origin, flush=True)
{then}
server.stop()
"""


def test_many_runs_at_once_on_an_empty_cache_make_one_template(postgres_server: object, place: Path) -> None:
    program = [sys.executable, "-c", RUN.format(then="")]
    runs = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    origins = [run.communicate()[0].strip() for run in runs]
    assert origins.count("initdb") == 1
    assert set(origins) <= {"initdb", "copy", "spare"}
    cache = only(place / "redisperf/clusters")
    assert sorted(path.name for path in cache.iterdir()) == ["lock", "spares", "template"]
    assert all(name.startswith("spare-") for name in spares(cache))


def test_a_run_killed_while_it_makes_the_template_is_no_obstacle(start: Start, place: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN.format(then="")])
    deadline = time.monotonic() + 30
    while not any((place / "runs").glob("*/data/*")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    run.kill()
    run.wait()
    assert start().origin == "initdb"
    while any((place / "runs").glob("*/log")) and len(list((place / "runs").iterdir())) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_a_killed_run_left_half_made_and_what_nobody_needs_any_more_is_removed(start: Start, cache: Path) -> None:
    now = time.time()
    (spare,) = spares(cache)
    kept = {"making-new": 0, "taken-new": 0}
    old = {"making-old": 3600, "taken-old": 3600, "spare-old": 2 * DAY_S, "spare-older": 3 * DAY_S}
    for name, age_s in {**kept, **old}.items():
        (cache / "spares" / name).mkdir()
        os.utime(cache / "spares" / name, (now - age_s, now - age_s))
    for name, age_s in {"0000000000000000": 31 * DAY_S, "1111111111111111": 29 * DAY_S}.items():
        (cache.parent / name).mkdir()
        (cache.parent / name / "lock").touch()
        os.utime(cache.parent / name / "lock", (now - age_s, now - age_s))
    start().stop()
    assert len(spares(cache)) == 3
    assert set(spares(cache)) > kept.keys()
    assert spare not in spares(cache)
    assert sorted(path.name for path in cache.parent.iterdir()) == sorted([cache.name, "1111111111111111"])


def test_there_are_never_more_spares_than_a_few(start: Start, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cache, "MOST_SPARES", 2)
    a_minute_ago = time.time() - 60
    for name in ("spare-a", "spare-b"):
        (cache / "spares" / name).mkdir()
        os.utime(cache / "spares" / name, (a_minute_ago, a_minute_ago))
    start().stop()
    assert sorted(spares(cache)) == ["spare-a", "spare-b"]


def test_spares_on_another_file_system_are_not_made_for_they_would_have_to_be_copied_too(
    start: Start, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_perf.servers.local_postgres.run_directory", lambda: elsewhere(cache))
    shutil.rmtree(cache / "spares")
    for _ in range(2):
        server = start()
        server.stop()
        assert server.origin == "copy"
    assert spares(cache) == []


def elsewhere(cache: Path) -> Path:
    for parent in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.stat(parent).st_dev != cache.stat().st_dev and os.access(parent, os.W_OK):
            return Path(parent, run_directory().name)
    pytest.skip("there is only one file system here")


def test_only_we_may_enter_the_cache_and_directories_of_the_user_stay_as_they_are(start: Start, place: Path) -> None:
    place.chmod(0o751)
    start()
    assert place.stat().st_mode & 0o777 == 0o751
    assert (place / "redisperf").stat().st_mode & 0o777 == 0o700


def no_directory(place: Path) -> str:
    (place / "file").touch()
    return str(place / "file")


def for_everybody(place: Path) -> str:
    (place / "open/redisperf").mkdir(parents=True)
    (place / "open/redisperf").chmod(0o777)
    return str(place / "open")


def linked(place: Path) -> str:
    (place / "linked").mkdir()
    (place / "linked/redisperf").symlink_to("/tmp")
    return str(place / "linked")


@pytest.mark.parametrize(
    ("home", "why"),
    [
        (no_directory, "File exists"),
        (for_everybody, "is not a directory that only we may write to"),
        (linked, "is not a directory that only we may write to"),
    ],
)
def test_where_there_can_be_no_cache_a_run_makes_its_cluster_for_itself(
    home: Callable[[Path], str], why: str, start: Start, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", home(place))
    server = start()
    assert server.origin.startswith("made for this run alone, without a cache: ")
    assert why in server.origin
    assert ask(server, "select 1") == [(1,)]


def test_a_disk_that_is_nearly_full_is_left_alone(start: Start, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cache, "ROOM_BYTES", 1 << 60)
    assert "MB free" in start().origin


def test_a_copy_there_was_no_room_for_is_not_kept(
    start: Start, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as a template nor as a spare."""
    (tmp_path / "cp").write_text("#!/bin/sh\nmkdir -p \"$3\"\necho 'cp: No space left on device' >&2\nexit 1\n")
    (tmp_path / "cp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for _ in range(2):
        server = start()
        server.stop()
        assert server.origin == "initdb"
        assert sorted(path.name for path in only(place / "redisperf/clusters").iterdir()) == ["lock", "spares"]
        assert spares(only(place / "redisperf/clusters")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: PostgreSQL minds only that")
@pytest.mark.parametrize("ready", ["spare", "copy", "initdb"])
def test_without_user_namespaces_the_cluster_becomes_nobodys_and_the_cache_stays_ours(
    ready: str, start: Start, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = unprivileged._works
    monkeypatch.setattr(unprivileged, "_works", lambda *command: command[0] != "unshare" and works(*command))
    if ready != "spare":
        shutil.rmtree(cache / "spares")
    if ready == "initdb":
        shutil.rmtree(cache / "template")
    server = start()
    assert server.origin == ready
    assert {path.owner() for path in Path(server.unix_directory, "data").rglob("*")} == {"nobody"}
    assert ask(server, "select 1") == [(1,)]
    server.stop()
    assert {path.stat().st_uid for path in cache.rglob("*")} == {0}


def test_a_relative_cache_directory_is_no_cache_directory(
    start: Start, place: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So says the specification it comes from."""
    home = place / "home"
    home.mkdir(mode=0o700)
    (home / ".cache").mkdir()
    shutil.move(place / "redisperf", home / ".cache/redisperf")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert start().origin == "spare"
    assert home.stat().st_mode & 0o777 == 0o700
