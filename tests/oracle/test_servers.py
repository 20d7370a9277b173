"""The servers themselves: they answer, are clean for each test, and are gone when their run is, however it ended."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers import ports, resp, unprivileged, watched
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.local_redis import LocalRedis
from redis_perf.servers.pgwire import execute
from redis_perf.servers.watched import run_directory

psycopg = pytest.importorskip("psycopg")

DEADLINE_S = 30.0


def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
        time.sleep(0.005)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def processes_of(directory: Path) -> list[int]:
    """Those whose command line names this directory: the server and its shell."""
    mine = os.fsencode(directory)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mine in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # ended meanwhile
            continue
    return found


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def installation_of(server: servers.PostgresServer) -> Path:
    assert isinstance(server, LocalPostgres)
    return server._installation


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where servers put their directories in this test; it must be empty again in the end. (`tmp_path` is too long.)"""
    directory = run_directory()
    directory.mkdir(mode=0o755)
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    yield directory
    directory.rmdir()


def test_a_valkey_tells_its_version_and_where_it_is(valkey_server: servers.RedisServer) -> None:
    assert re.fullmatch(r"(Valkey|Redis) \d+\.\d+\.\d+", valkey_server.version)
    assert re.fullmatch(r"redis://127\.0\.0\.1:\d+/0", valkey_server.url)
    assert (valkey_server.choice, valkey_server.owned, valkey_server.fake) == ("embedded", True, False)


def test_a_postgres_tells_its_version_and_where_it_is(postgres_server: servers.PostgresServer) -> None:
    assert re.fullmatch(r"PostgreSQL \d+(\.\d+)?", postgres_server.version)
    assert re.fullmatch(r"postgresql://postgres:[0-9a-f]{32}@127\.0\.0\.1:\d+/postgres", postgres_server.dsn)
    assert (postgres_server.choice, postgres_server.owned) == ("embedded", True)


def test_both_listen_on_loopback_only(redis_url: str, postgres_dsn: str) -> None:
    assert resp.ask(address(redis_url), ["CONFIG", "GET", "bind"]) == [[b"bind", b"127.0.0.1"]]
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)


def test_a_reset_empties_keys_scripts_functions_and_statistics(valkey_server: servers.RedisServer) -> None:
    where = address(valkey_server.url)
    sha = resp.ask(where, ["SCRIPT", "LOAD", "return 1"])[0]
    assert isinstance(sha, bytes)
    library = "#!lua name=mine\nredis.register_function('f', function() return 1 end)"
    resp.ask(where, ["SET", "k", "v"], ["SELECT", "7"], ["SET", "k", "v"], ["FUNCTION", "LOAD", library])
    valkey_server.reset()
    size, _, size_7, known, functions, info = resp.ask(
        where,
        ["DBSIZE"],
        ["SELECT", "7"],
        ["DBSIZE"],
        ["SCRIPT", "EXISTS", sha.decode()],
        ["FUNCTION", "LIST"],
        ["INFO", "stats"],
    )
    assert (size, size_7, known, functions) == (0, 0, [0], [])
    assert isinstance(info, bytes)
    assert b"total_connections_received:1\r\n" in info


def test_a_reset_of_a_server_that_is_gone_says_so() -> None:
    server = servers.redis("embedded")
    server.stop()
    with pytest.raises(ServerUnavailable, match=r"^the server does not answer any more \(.*No such file"):
        server.reset()


def test_each_test_has_a_database_of_its_own_that_is_empty_and_then_gone(
    postgres_server: servers.PostgresServer,
) -> None:
    count = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
    with postgres_server.database() as one, postgres_server.database() as other:
        assert one != other
        with psycopg.connect(one) as connection:
            connection.execute("create table t (i int)")
        with psycopg.connect(other) as connection:
            assert connection.execute(count).fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(one)


def test_a_database_is_dropped_under_whoever_is_still_connected(postgres_server: servers.PostgresServer) -> None:
    with postgres_server.database() as dsn:
        connection = psycopg.connect(dsn)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    connection.close()


def test_a_wrong_password_is_refused(postgres_server: servers.PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(re.sub(":[0-9a-f]{32}@", ":wrong@", postgres_server.dsn))


def test_a_refused_statement_is_quoted_with_the_servers_reason(postgres_server: servers.PostgresServer) -> None:
    assert isinstance(postgres_server, LocalPostgres)
    with pytest.raises(ServerUnavailable) as caught:
        execute(postgres_server._socket_path, "DROP DATABASE nowhere")
    assert str(caught.value) == (
        "the server refused 'DROP DATABASE nowhere': database \"nowhere\" does not exist (3D000)"
    )


def test_stopping_removes_processes_and_files_prints_nothing_and_may_be_repeated(
    valkey_server: servers.RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server = servers.redis("embedded")
    assert isinstance(server, LocalRedis)
    directory = Path(server.unix_path).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    assert len(processes_of(directory)) >= 1
    server.stop()
    server.stop()
    assert processes_of(directory) == []
    assert not directory.exists()
    assert capfd.readouterr() == ("", "")


def test_stopping_postgres_leaves_no_process_and_no_file(
    postgres_server: servers.PostgresServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server = LocalPostgres("embedded", installation_of(postgres_server))
    directory = Path(server.unix_directory)
    postmaster = int((directory / "data/postmaster.pid").read_text().split()[0])
    assert running(postmaster)
    server.stop()
    server.stop()
    assert not running(postmaster)
    assert not directory.exists()
    assert capfd.readouterr() == ("", "")


def test_two_at_once_do_not_share_anything(valkey_server: servers.RedisServer) -> None:
    other = servers.redis("embedded")
    try:
        valkey_server.reset()
        resp.ask(address(other.url), ["SET", "k", "v"])
        assert other.url != valkey_server.url
        assert resp.ask(address(valkey_server.url), ["DBSIZE"]) == [0]
    finally:
        other.stop()


def test_a_port_taken_meanwhile_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, valkey_server: object) -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        taken, free_port, asked = somebody.getsockname()[1], ports.free_port, []

        def offered() -> int:
            asked.append(free_port() if asked else taken)
            return asked[-1]

        monkeypatch.setattr(ports, "free_port", offered)
        server = servers.redis("embedded")
    server.stop()
    assert asked[0] == taken
    assert server.url == f"redis://127.0.0.1:{asked[-1]}/0"


def test_a_server_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path, place: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\necho no luck today\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ServerUnavailable) as caught:
        LocalRedis("system", program)
    assert str(caught.value) == "the server ended while starting; the end of its log:\nno luck today"


def test_a_cluster_that_cannot_be_made_shows_what_initdb_said(tmp_path: Path, place: Path) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("initdb", "postgres"):
        (tmp_path / "bin" / program).write_text(f"#!/bin/sh\necho {program} has no luck\nexit 1\n")
        (tmp_path / "bin" / program).chmod(0o755)
    with pytest.raises(ServerUnavailable) as caught:
        LocalPostgres("system", tmp_path)
    assert str(caught.value) == "the server ended while starting; the end of its log:\ninitdb has no luck"


def test_a_long_temporary_directory_is_avoided_for_sockets_have_short_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 90)
    monkeypatch.setattr("tempfile.tempdir", "/tmp/" + "x" * 90)
    assert run_directory().parent == Path("/tmp")


def test_servers_live_where_tmpdir_says(place: Path) -> None:
    assert run_directory().parent == place


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/shm is Linux's")
@pytest.mark.parametrize(("roomy_bytes", "parent"), [(0, "/dev/shm"), (1 << 60, "/tmp")])
def test_servers_live_in_memory_only_where_it_is_roomy(
    roomy_bytes: int, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if parent == "/dev/shm" and os.statvfs(parent).f_flag & os.ST_NOEXEC:
        pytest.skip("/dev/shm is mounted noexec here")
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    monkeypatch.setattr(watched, "ROOMY_BYTES", roomy_bytes)
    assert run_directory().parent == Path(parent)


START_BOTH = """
import os, signal, sys
from redis_perf import servers
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever began these tests may ignore it
redis, postgres = servers.redis("embedded"), servers.postgres("embedded")
data = os.path.join(postgres.unix_directory, "data/postmaster.pid")
print(os.path.dirname(redis.unix_path), postgres.unix_directory, open(data).read().split()[0])
{then}
sys.stdout.flush()
sys.stdin.read()
"""
FORK = """
child = os.fork()
if child == 0:
    sys.stdin.read()
    os._exit(0)
print(child)
"""


@contextmanager
def another_run(script: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, stderr=-1, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    assert process.stderr is not None
    words = process.stdout.readline().split()
    return words or pytest.fail(process.stderr.read())


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_are_gone_after_their_run_was_killed(
    death: signal.Signals, valkey_server: object, postgres_server: object
) -> None:
    with another_run(START_BOTH.format(then="")) as process:
        redis_directory, postgres_directory, postmaster = first_line(process)
        directories = [Path(redis_directory), Path(postgres_directory)]
        assert running(int(postmaster))
        process.send_signal(death)
        process.wait(timeout=60)
        for directory in directories:
            until(lambda directory=directory: not directory.exists(), f"{directory} removed")
            until(lambda directory=directory: not processes_of(directory), f"processes of {directory} gone")
        until(lambda: not running(int(postmaster)), "postmaster gone")


def test_a_forked_child_that_lives_on_keeps_no_server_alive(valkey_server: object, postgres_server: object) -> None:
    with another_run(START_BOTH.format(then=FORK)) as process:
        redis_directory, postgres_directory, _ = first_line(process)
        (child,) = map(int, first_line(process))
        process.kill()
        process.wait()
        until(lambda: not Path(redis_directory).exists(), "redis directory removed")
        until(lambda: not Path(postgres_directory).exists(), "postgres directory removed")
        assert running(child)


def test_a_run_killed_while_the_cluster_is_being_made_leaves_nothing(postgres_server: object, place: Path) -> None:
    with another_run('from redis_perf import servers; servers.postgres("embedded")') as process:
        until(lambda: any(place.glob("*/data/*")), "initdb at work")
        process.kill()
        process.wait()
        until(lambda: not any(place.iterdir()), "directory removed")
        until(lambda: not processes_of(place), "processes gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: PostgreSQL minds only that")
@pytest.mark.parametrize("reachable", [True, False])
def test_root_without_user_namespaces_becomes_nobody(
    reachable: bool, postgres_server: servers.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = unprivileged._works

    def works_here(*command: str) -> bool:
        return command[0] != "unshare" and (reachable or "--version" not in command) and works(*command)

    monkeypatch.setattr(unprivileged, "_works", works_here)
    server = LocalPostgres("embedded", installation_of(postgres_server))
    try:
        assert (Path(server.unix_directory) / "copy").exists() is not reachable
        assert (Path(server.unix_directory) / "data").owner() == "nobody"
        with server.database() as dsn, psycopg.connect(dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        server.stop()
    assert not Path(server.unix_directory).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: PostgreSQL minds only that")
def test_root_that_can_be_nobody_else_is_told_what_to_do(
    postgres_server: servers.PostgresServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "_works", lambda *command: False)
    with pytest.raises(ServerUnavailable) as caught:
        LocalPostgres("embedded", installation_of(postgres_server))
    assert str(caught.value) == (
        "PostgreSQL refuses to run as root, and neither `unshare --user` nor `setpriv --reuid` works here "
        "(both are of util-linux): run as an ordinary user, or give --redisperf-postgres=postgresql://..."
    )
    assert list(place.iterdir()) == []


def test_a_redis_by_url_is_used_as_it_is(valkey_server: servers.RedisServer, redis_url: str) -> None:
    resp.ask(address(redis_url), ["SET", "k", "v"])
    external = servers.redis(redis_url)
    assert external.version == valkey_server.version
    with pytest.raises(ServerUnavailable, match="is not ours"):
        external.reset()
    external.stop()
    assert resp.ask(address(redis_url), ["GET", "k"]) == [b"v"]


def test_a_redis_by_the_url_of_its_socket_is_used_as_it_is(valkey_server: servers.RedisServer) -> None:
    assert isinstance(valkey_server, LocalRedis)
    assert servers.redis(f"unix://{valkey_server.unix_path}?db=0").version == valkey_server.version


def test_a_redis_that_refuses_the_password_says_why_without_showing_it(redis_url: str) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        servers.redis(redis_url.replace("//", "//ada:secret@"))
    assert str(caught.value).startswith(
        f"{redis_url.replace('//', '//ada:***@')}: cannot be used: the server refused AUTH: WRONGPASS"
    )


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port on which nobody listens, and nobody else can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_redis_that_is_not_there_says_so(refusing: int) -> None:
    with pytest.raises(ServerUnavailable, match=r"cannot be used: .*Connection refused"):
        servers.redis(f"redis://127.0.0.1:{refusing}/0")


def test_a_postgres_by_url_has_nothing_created_or_dropped_in_it(
    postgres_server: servers.PostgresServer, postgres_dsn: str
) -> None:
    external = servers.postgres(postgres_dsn)
    with psycopg.connect(postgres_dsn) as connection:
        before = connection.execute("select datname from pg_database order by 1").fetchall()
        with external.database() as dsn:
            assert dsn == postgres_dsn
        external.stop()
        assert connection.execute("select datname from pg_database order by 1").fetchall() == before
    assert external.version == postgres_server.version


def test_a_postgres_that_is_not_there_says_so(refusing: int) -> None:
    with pytest.raises(ServerUnavailable, match=r"^postgresql://ada:\*\*\*@127.*: cannot be used: .*onnection refused"):
        servers.postgres(f"postgresql://ada:secret@127.0.0.1:{refusing}/app")


def test_the_fake_redis_shares_data_among_its_clients_until_reset() -> None:
    pytest.importorskip("fakeredis")
    server = servers.redis("fake")
    assert server.fake
    from redis_perf.servers.fake import FakeRedisServer

    assert isinstance(server, FakeRedisServer)

    async def read() -> object:
        async with server.async_client(decode_responses=True) as client:
            return await client.get("k")

    with server.client() as client:
        client.set("k", "v")
        assert asyncio.run(read()) == "v"
        server.reset()
        assert client.get("k") is None
    server.stop()


def test_the_fake_redis_has_no_url() -> None:
    pytest.importorskip("fakeredis")
    with pytest.raises(ServerUnavailable) as caught:
        _ = servers.redis("fake").url
    assert str(caught.value) == (
        "redis=fake has no URL: fakeredis lives in this process. Use the client fixtures, "
        "or --redisperf-redis=embedded for a server with an address"
    )
