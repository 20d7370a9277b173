"""Servers in containers, of a real engine: what local ones promise, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers import ports, resp
from redis_perf.servers.container import Container
from redis_perf.servers.docker import STAYS, DockerPostgres, DockerRedis
from redis_perf.servers.pgwire import execute

psycopg = pytest.importorskip("psycopg")

DEADLINE_S = 30.0


def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
        time.sleep(0.02)


def asked(url: str, *commands: list[str]) -> list[resp.Reply]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return resp.ask((parts.hostname, parts.port), ["AUTH", str(parts.password)], *commands)[1:]


@pytest.fixture(scope="module")
def redis_server(redis_image: str) -> Iterator[servers.RedisServer]:
    server = servers.redis(f"docker:{redis_image}")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def postgres_server(postgres_image: str) -> Iterator[servers.PostgresServer]:
    server = servers.postgres(f"docker:{postgres_image}")
    yield server
    server.stop()


def test_a_redis_tells_its_version_and_where_it_is(redis_server: servers.RedisServer) -> None:
    assert re.fullmatch(r"(Valkey|Redis) \d+\.\d+\.\d+", redis_server.version)
    assert re.fullmatch(r"redis://:[0-9a-f]{32}@127\.0\.0\.1:\d+/0", redis_server.url)
    assert (redis_server.choice, redis_server.owned, redis_server.fake) == ("docker", True, False)


def test_a_redis_wants_its_password(redis_server: servers.RedisServer) -> None:
    parts = urlsplit(redis_server.url)
    assert parts.port is not None
    with pytest.raises(ServerUnavailable, match="NOAUTH"):
        resp.ask(("127.0.0.1", parts.port), ["PING"])


def test_a_reset_empties_a_redis(redis_server: servers.RedisServer) -> None:
    asked(redis_server.url, ["SET", "k", "v"], ["SELECT", "7"], ["SET", "k", "v"])
    redis_server.reset()
    assert asked(redis_server.url, ["DBSIZE"], ["SELECT", "7"], ["DBSIZE"]) == [0, b"OK", 0]


def test_both_are_published_on_loopback_only_and_named_after_their_run(
    redis_server: servers.RedisServer, postgres_server: servers.PostgresServer, docker_engine: Any
) -> None:
    found = docker_engine.client.api.containers(filters={"label": f"redisperf.pid={os.getpid()}"})
    assert {port["IP"] for one in found for port in one["Ports"]} == {"127.0.0.1"}
    assert sorted(one["Labels"]["redisperf.store"] for one in found) == ["postgres", "redis"]
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    assert {one["Labels"]["redisperf.run"] for one in found} == {run}


def test_a_postgres_tells_its_version_and_where_it_is(postgres_server: servers.PostgresServer) -> None:
    assert re.fullmatch(r"PostgreSQL \d+(\.\d+)?", postgres_server.version)
    assert re.fullmatch(r"postgresql://postgres:[0-9a-f]{32}@127\.0\.0\.1:\d+/postgres", postgres_server.dsn)
    assert (postgres_server.choice, postgres_server.owned) == ("docker", True)


def test_each_test_has_a_database_of_its_own_that_is_then_gone(postgres_server: servers.PostgresServer) -> None:
    with postgres_server.database() as one, postgres_server.database() as other:
        with psycopg.connect(one) as connection:
            connection.execute("create table t (i int)")
        with psycopg.connect(other) as connection:
            assert connection.execute("select to_regclass('t')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(one)


def test_the_server_that_makes_the_cluster_answers_but_is_not_taken_for_the_one_that_stays(
    postgres_image: str, postgres_server: servers.PostgresServer
) -> None:
    environment = {"POSTGRES_PASSWORD": "secret", "POSTGRES_INITDB_ARGS": "--no-sync", "TEMPORARY_S": "60"}
    early = Container("postgres", postgres_image, 5432, ports.free_port(), ["postgres"], **environment)
    try:
        with pytest.raises(ServerUnavailable, match=r"postmaster \d+ of "):
            early.until(lambda: execute(early.address, STAYS, password="secret"))
    finally:
        early.stop()
    with psycopg.connect(postgres_server.dsn) as connection:
        lines = connection.execute("select pg_read_file('postmaster.pid')").fetchone()
    assert lines is not None
    assert lines[0].split("\n")[0] == "1"


def test_stopping_removes_the_container_and_its_volumes_and_may_be_repeated(
    postgres_image: str, docker_engine: Any, ours: Callable[[], list[str]]
) -> None:
    api, before = docker_engine.client.api, ours()
    server = servers.postgres(f"docker:{postgres_image}")
    (name,) = set(ours()) - set(before)
    (volume,) = [mount["Name"] for mount in api.inspect_container(name)["Mounts"] if mount["Type"] == "volume"]
    assert volume in [one["Name"] for one in api.volumes()["Volumes"]]
    server.stop()
    server.stop()
    assert ours() == before
    assert volume not in [one["Name"] for one in api.volumes()["Volumes"] or ()]


def test_a_container_that_is_frozen_is_removed_too(redis_image: str, ours: Callable[[], list[str]]) -> None:
    before = ours()
    frozen = Container("redis", redis_image, 6379, ports.free_port(), [])
    frozen.pause()
    frozen.stop()
    assert ours() == before


def test_a_server_that_ends_at_once_shows_the_end_of_its_log(redis_image: str, ours: Callable[[], list[str]]) -> None:
    before = ours()
    wrong = Container("redis", redis_image, 6379, ports.free_port(), ["--no-such-option", "1"])
    try:
        with pytest.raises(ServerUnavailable, match=r"(?s)^redis=docker: the container ended .*no-such-option"):
            wrong.until(lambda: resp.ask(wrong.address, ["PING"]))
    finally:
        wrong.stop()
    assert ours() == before


@pytest.mark.usefixtures("docker_engine")
def test_an_image_that_cannot_be_had_is_one_clear_line(ours: Callable[[], list[str]]) -> None:
    before = ours()
    with pytest.raises(ServerUnavailable) as caught:
        servers.redis("docker:127.0.0.1:1/nobody/redis:0")
    message = str(caught.value)
    assert message.startswith("redis=docker: the engine could not run the image 127.0.0.1:1/nobody/redis:0: ")
    assert message.endswith("other ways: --redisperf-redis=embedded, --redisperf-redis=system or a URL")
    assert "\n" not in message
    assert ours() == before


def test_a_redis_is_killed_and_restarted_at_the_same_address_and_paused(redis_image: str) -> None:
    server = DockerRedis("docker", redis_image)
    try:
        asked(server.url, ["SET", "k", "v"])
        server.kill()
        assert server.alive is False
        server.start()
        assert asked(server.url, ["DBSIZE"]) == [0]
        server.restart()
        server.pause()
        assert server.alive
        server.resume()
        assert asked(server.url, ["PING"]) == [b"PONG"]
    finally:
        server.stop()


def test_a_redis_without_memory_refuses_writes_until_the_block_ends(redis_server: DockerRedis) -> None:
    redis_server.reset()
    with redis_server.fill_memory():
        with pytest.raises(ServerUnavailable, match="OOM"):
            asked(redis_server.url, ["SET", "k", "v"])
        assert asked(redis_server.url, ["GET", "k"]) == [None]
    assert asked(redis_server.url, ["SET", "k", "v"]) == [b"OK"]


def test_a_redis_that_is_read_only_keeps_its_data_and_is_writable_after_its_reset(redis_server: DockerRedis) -> None:
    asked(redis_server.url, ["SET", "k", "v"])
    redis_server.read_only()
    with pytest.raises(ServerUnavailable, match="READONLY"):
        asked(redis_server.url, ["SET", "k", "w"])
    assert asked(redis_server.url, ["GET", "k"]) == [b"v"]
    redis_server.reset()
    assert asked(redis_server.url, ["SET", "k", "v"]) == [b"OK"]


def test_a_redis_started_anew_has_memory_again(redis_image: str) -> None:
    server = DockerRedis("docker", redis_image)
    try:
        condition = server.fill_memory()
        server.restart()
        assert asked(server.url, ["SET", "k", "v"]) == [b"OK"]
        condition.end()  # nothing is left to end
        assert asked(server.url, ["CONFIG", "GET", "maxmemory"]) == [[b"maxmemory", b"0"]]
    finally:
        server.stop()


def test_a_reset_takes_settings_back(redis_server: DockerRedis) -> None:
    redis_server.reset()
    asked(redis_server.url, ["CONFIG", "SET", "maxmemory", "100mb"])
    redis_server.reset()
    assert asked(redis_server.url, ["CONFIG", "GET", "maxmemory"]) == [[b"maxmemory", b"0"]]


def test_a_postgres_is_read_only_in_sessions_that_are_open_too(postgres_server: DockerPostgres) -> None:
    with postgres_server.database() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table t (i int)")
        with postgres_server.read_only():
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("insert into t values (1)")
            assert connection.execute("select count(*) from t").fetchone() == (0,)
        connection.execute("insert into t values (1)")


def test_the_memory_of_a_postgres_cannot_be_filled(postgres_server: DockerPostgres) -> None:
    with pytest.raises(ServerUnavailable, match="PostgreSQL has no limit of memory"):
        postgres_server.fill_memory()


def test_what_a_postgres_in_a_container_would_not_survive_is_refused(postgres_server: DockerPostgres) -> None:
    with pytest.raises(ServerUnavailable, match="keeps its data in memory and cannot be killed; use embedded"):
        postgres_server.kill()


def test_a_port_taken_meanwhile_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, redis_image: str) -> None:
    holder = servers.redis(f"docker:{redis_image}")
    taken, free_port, asked = urlsplit(holder.url).port, ports.free_port, []

    def offered() -> int:
        asked.append(free_port() if asked else taken)
        return asked[-1]

    monkeypatch.setattr(ports, "free_port", offered)
    server = servers.redis(f"docker:{redis_image}")
    try:
        assert urlsplit(server.url).port == asked[-1] != taken
    finally:
        server.stop()
        holder.stop()


START = """
import os, sys
from redis_perf import servers
started = [servers.redis("docker:" + sys.argv[1])]
started += [servers.postgres("docker:" + image) for image in sys.argv[2:]]
if {fork} and os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("started", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_run(*images: str, fork: bool = False) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", START.format(fork=fork), *images]
    with subprocess.Popen(arguments, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.readline() or pytest.fail(process.stderr.read())


def test_containers_are_gone_after_their_run_was_killed(
    redis_image: str, postgres_image: str, ours: Callable[[], list[str]]
) -> None:
    before = ours()
    with another_run(redis_image, postgres_image) as process:
        assert first_line(process) == "started\n"
        assert len(ours()) == len(before) + 2
        process.kill()
        until(lambda: ours() == before, "containers gone")


@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGINT])
def test_a_container_is_gone_after_its_run_was_told_to_end(
    death: signal.Signals, redis_image: str, ours: Callable[[], list[str]]
) -> None:
    before = ours()
    with another_run(redis_image) as process:
        assert first_line(process) == "started\n"
        process.send_signal(death)
        until(lambda: ours() == before, "container gone")


def test_a_run_killed_while_its_container_is_made_leaves_nothing(
    redis_image: str, postgres_image: str, ours: Callable[[], list[str]]
) -> None:
    before = ours()
    with another_run(redis_image, postgres_image) as process:
        until(lambda: len(ours()) == len(before) + 2, "the second container")
        process.kill()
        until(lambda: ours() == before, "containers gone")


def test_a_forked_child_that_lives_on_keeps_no_container(redis_image: str, ours: Callable[[], list[str]]) -> None:
    before = ours()
    with another_run(redis_image, fork=True) as process:
        assert first_line(process) == "started\n"
        process.kill()
        process.wait()
        until(lambda: ours() == before, "container gone")


def test_a_cluster_is_tuned_to_forget(postgres_server: servers.PostgresServer) -> None:
    with postgres_server.database() as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("show fsync").fetchone() == ("off",)


SUITE = """
    import pytest

    @pytest.mark.parametrize("round", range(3))
    def test_both_are_clean(round, redisperf_redis, redisperf_postgres):
        assert redisperf_redis.dbsize() == 0
        redisperf_redis.set("k", "v")
        redisperf_postgres.execute("create table if not exists t (i int)")
        assert redisperf_postgres.execute("select count(*) from t").fetchone() == (0,)
        redisperf_postgres.execute("insert into t values (1)")
        redisperf_postgres.commit()
"""


AUTO = """
import threading
from redis_perf.servers import docker, embedded

embedded.REDIS_BINARIES = {{}}
docker.REDIS_IMAGE = {image!r}
begun, has_begun = [], threading.Event()

class Noted(docker.DockerRedis):
    def __init__(self, *arguments):
        begun.append(threading.current_thread().name)
        has_begun.set()
        super().__init__(*arguments)

docker.DockerRedis = Noted
"""


def test_the_container_that_auto_takes_is_started_while_other_tests_run(
    pytester: pytest.Pytester, redis_image: str, ours: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_redisperf.plugin")
    monkeypatch.setenv("CI", "")
    before = ours()
    pytester.makeconftest(AUTO.format(image=redis_image))
    pytester.makepyfile(
        """
        from conftest import begun, has_begun

        def test_without_any():
            assert has_begun.wait(60)

        def test_with_it(redisperf_redis):
            assert redisperf_redis.ping()
            assert begun == ["redisperf-start"]
        """
    )
    result = pytester.runpytest_subprocess("-Werror", "-pno:randomly", "--redisperf-redis=auto")
    result.assert_outcomes(passed=2)
    assert ours() == before


def test_the_fixtures_use_containers_like_any_server(
    pytester: pytest.Pytester,
    redis_image: str,
    postgres_image: str,
    ours: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_redisperf.plugin")
    pytest.importorskip("redis")
    before = ours()
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess(
        "-Werror",
        "-pno:randomly",
        "--redisperf",
        f"--redisperf-redis=docker:{redis_image}",
        f"--redisperf-postgres=docker:{postgres_image}",
        "--redisperf-isolation=reset",
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"redisperf: *redis docker:{redis_image} (*), postgres docker:{postgres_image} (*"])
    assert ours() == before
