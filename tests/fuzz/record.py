"""Records what real clients and servers say to each other into `seeds/`: `python tests/fuzz/record.py`.

The servers are our own, started for this and gone afterwards. Between client and server stands a pipe that notes what
passes; libpq tells its own trace. What looks like a secret (the exchange of SCRAM) is overwritten byte for byte.
"""

from __future__ import annotations

import asyncio
import re
import selectors
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import streams
from streams import SEEDS, Stream

from redis_perf import servers
from redis_perf.wire import RECEIVED, SENT

_SECRET = re.compile(rb"(?<=[=\0,])[A-Za-z0-9+/]{20,}")
Use = Callable[[Any], object]


class Pipe:
    """Passes on between one server and any number of clients; `taken` are the streams, one for each connection."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.taken: list[list[tuple[int, bytes]]] = []
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                events: list[tuple[int, bytes]] = []
                self.taken.append(events)
                self._threads.append(threading.Thread(target=self._pass, args=(client, events), daemon=True))
                self._threads[-1].start()

    def _pass(self, client: socket.socket, events: list[tuple[int, bytes]]) -> None:
        with (
            suppress(OSError),
            client,
            socket.create_connection(self._server) as server,
            selectors.DefaultSelector() as ready,
        ):
            ready.register(client, selectors.EVENT_READ, (SENT, server))
            ready.register(server, selectors.EVENT_READ, (RECEIVED, client))
            while True:
                for key, _ in ready.select():
                    direction, sink = key.data
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        return
                    events.append((direction, data))
                    sink.sendall(data)

    def taken_since_last(self) -> list[list[tuple[int, bytes]]]:
        for thread in self._threads:
            thread.join(5)
        taken, self.taken = self.taken, []
        return [merged(events) for events in taken if events]

    def close(self) -> list[list[tuple[int, bytes]]]:
        taken = self.taken_since_last()
        self._door.close()
        return taken


def merged(events: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """What follows one another the same way, in one piece."""
    out: list[tuple[int, bytes]] = []
    for direction, data in events:
        if out and out[-1][0] == direction:
            out[-1] = direction, out[-1][1] + data
        else:
            out.append((direction, data))
    return out


def keep(name: str, reader: str, events: list[tuple[int, bytes]], remark: str) -> None:
    without = [(direction, _SECRET.sub(lambda found: b"x" * len(found[0]), data)) for direction, data in events]
    streams.write(SEEDS / f"{name}.txt", Stream(reader, True, tuple(without)), remark)


# --- Redis


def redis_scenes(client: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each gets a client of its own."""
    import redis

    def values() -> None:
        with client() as one, one.pipeline(transaction=False) as pipe:
            pipe.hset("user:1", mapping={"name": "Ada", "born": "1815"}).hgetall("user:1").zadd("rank", {"ada": 1.5})
            pipe.zrange("rank", 0, -1, withscores=True).get("nothing").sadd("tags", "a").smembers("tags").incr("n")
            pipe.execute()

    def transaction() -> None:
        with client() as one, one.pipeline() as pipe:
            pipe.watch("n")
            pipe.multi()
            pipe.set("n", "text").incr("n").get("n")
            with suppress(redis.ResponseError):
                pipe.execute()

    def script() -> None:
        with client() as one:
            one.script_flush()
            one.register_script("return {1, 'two', {3}}")(["key"])
            with suppress(redis.ResponseError):
                one.eval("return redis.call('incr', 'user:1')", 0)

    def pubsub() -> None:
        with client() as one, client() as other, one.pubsub() as messages:
            messages.subscribe("news", "sport")
            messages.psubscribe("w*")
            taken = [messages.get_message(timeout=1) for _ in range(3)]
            other.publish("news", "hello")
            other.publish("weather", "rain")
            taken += [messages.get_message(timeout=1) for _ in range(2)]
            messages.ping()
            messages.unsubscribe()
            messages.punsubscribe()
            taken += [messages.get_message(timeout=1) for _ in range(4)]

    def blocking() -> None:
        with client() as one:
            one.blpop(["queue"], timeout=0.01)
            one.xadd("log", {"a": "1"}, id="1-1")
            one.xread({"log": "0"}, block=5)

    def monitor() -> None:
        with client() as one, one.monitor() as lines, client() as other:
            other.get("seen")
            while "seen" not in lines.next_command()["command"]:
                pass

    def quiet() -> None:
        with client(single_connection_client=True) as one:
            for words in [("CLIENT", "REPLY", "SKIP"), ("SET", "a", "1"), ("CLIENT", "REPLY", "OFF"), ("SET", "a", 2)]:
                one.connection.send_command(*words)
            one.connection.send_command("CLIENT", "REPLY", "ON")
            one.connection.read_response()
            one.get("a")
            one.execute_command("RESET")

    for scene in (values, transaction, script, pubsub, blocking, monitor, quiet):
        yield scene.__name__, scene


def record_redis(address: tuple[str, int]) -> None:
    import redis

    library = f"redis-py {version('redis')}"
    for protocol in (2, 3):
        pipe = Pipe(address)
        for name, scene in redis_scenes(partial(redis.Redis, port=pipe.port, protocol=protocol)):
            with redis.Redis(port=address[1]) as other:
                other.flushall()
            scene()
            longest = max(pipe.taken_since_last(), key=len)
            keep(f"redis-{name}-resp{protocol}", "resp", longest, f"{library}, RESP{protocol}: {name}")
        pipe.close()
    record_tracking(address, library)
    record_inline(address)
    record_coredis(address)


def record_tracking(address: tuple[str, int], library: str) -> None:
    import redis

    pipe = Pipe(address)
    with (
        redis.Redis(port=pipe.port, protocol=3, single_connection_client=True) as one,
        redis.Redis(port=address[1]) as other,
    ):
        one.execute_command("CLIENT", "TRACKING", "ON")
        for _ in range(2):
            one.get("cached")
            other.set("cached", "x")
            one.ping()
    keep("redis-tracking-resp3", "resp", max(pipe.close(), key=len), f"{library}, RESP3: client-side caching")


def record_inline(address: tuple[str, int]) -> None:
    pipe = Pipe(address)
    with socket.create_connection(("127.0.0.1", pipe.port)) as plain:
        for line in (b"PING\r\n", b'SET "a b" 1\n\r\nGET nothing\r\n', b"HELLO 3\r\n", b"GET nothing\r\nQUIT\r\n"):
            plain.sendall(line)
            plain.recv(1 << 16)
    keep("redis-inline", "resp", pipe.close()[0], "inline commands")


def record_coredis(address: tuple[str, int]) -> None:
    async def main(port: int) -> None:
        import coredis

        async with coredis.Redis(port=port) as one:
            await asyncio.gather(*(one.get(f"key:{number}") for number in range(5)))
            async with one.pipeline(transaction=True) as pipe:
                pipe.rpush("turns", ["a", "b"])
                pipe.lrange("turns", 0, -1)

    pipe = Pipe(address)
    asyncio.run(main(pipe.port))
    keep("coredis-multi", "resp", max(pipe.close(), key=len), f"coredis {version('coredis')}: gathered GETs, MULTI")


# --- Postgres


def record_postgres(address: tuple[str, int], database: str, scram: tuple[str, str]) -> None:
    scenes: dict[str, tuple[Callable[[str, tuple[str, str]], dict[str, Callable[[int], None]]], str]] = {
        "psycopg": (psycopg_scenes, f"psycopg {version('psycopg')}"),
        "asyncpg": (asyncpg_scenes, f"asyncpg {version('asyncpg')}"),
        "pg8000": (pg8000_scenes, f"pg8000 {version('pg8000')}"),
    }
    for client, (scene_of, library) in scenes.items():
        for name, use in scene_of(database, scram).items():
            pipe = Pipe(address)
            use(pipe.port)
            keep(f"{client}-{name}", "postgres", max(pipe.close(), key=len), f"{library}: {name}")
    for name, traced_use in TRACED.items():
        keep(f"libpq-{name}", "libpq", traced(address[1], database, traced_use), f"libpq's trace under psycopg: {name}")


@contextmanager
def psycopg_connection(port: int, database: str, **more: Any) -> Iterator[Any]:
    import psycopg

    login: dict[str, Any] = {"user": "trusted", "gssencmode": "disable", "sslmode": "disable"}
    with psycopg.connect(host="127.0.0.1", port=port, dbname=database, autocommit=True, **{**login, **more}) as one:
        one.prepare_threshold = 1
        yield one


def statements(one: Any) -> None:
    import psycopg

    for number in range(3):
        one.execute("SELECT %s::int", [number])
    with suppress(psycopg.Error):
        one.execute("SELECT 1/0")
    one.execute("SELECT 1; SELECT 'a\nb' AS \"c\nd\"")


def in_transaction(one: Any) -> None:
    with one.transaction(), one.transaction():
        one.execute("CREATE TEMP TABLE IF NOT EXISTS t (id int, body text)")
    with one.transaction():
        one.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(1, "a"), (2, "b")])
    one.execute("DO $$ BEGIN RAISE NOTICE 'on the way'; END $$")


def copying(one: Any) -> None:
    import psycopg

    one.execute("CREATE TEMP TABLE IF NOT EXISTS t (id int, body text)")
    with one.cursor().copy("COPY t FROM STDIN") as copy:
        for number in range(3):
            copy.write_row((number, "x"))
    with one.cursor().copy("COPY t TO STDOUT") as copy:
        list(copy)
    with suppress(psycopg.Error), one.cursor().copy("COPY t FROM STDIN") as copy:
        copy.write(b"not a number\t1\n")


def pipelined(one: Any) -> None:
    import psycopg

    with suppress(psycopg.Error), one.pipeline() as pipeline:
        one.execute("SELECT %s", [1])
        pipeline.sync()
        one.execute("SELECT %s::int", ["x"])
        one.execute("SELECT 3")


def listening(one: Any) -> None:
    one.execute("LISTEN news")
    one.execute("NOTIFY news, 'line\nB\t5\tReadyForQuery\t I'")
    one.execute("SET TIME ZONE 'UTC'")
    list(one.notifies(timeout=0.1, stop_after=1))


def fetching(one: Any) -> None:
    with one.transaction(), one.cursor("c") as cursor:
        cursor.execute("SELECT generate_series(1, 5)")
        cursor.fetchmany(2)
        cursor.fetchall()


TRACED: dict[str, Use] = {
    "statements": statements, "transaction": in_transaction, "copy": copying, "pipeline": pipelined,
    "notify": listening, "cursor": fetching,
}  # fmt: skip


def psycopg_scenes(database: str, scram: tuple[str, str]) -> dict[str, Callable[[int], None]]:
    def through(use: Use) -> Callable[[int], None]:
        def run(port: int) -> None:
            with psycopg_connection(port, database) as one:
                use(one)

        return run

    def login(port: int) -> None:
        more = {"user": scram[0], "password": scram[1], "sslmode": "prefer", "gssencmode": "disable"}
        with psycopg_connection(port, database, **more) as one:
            one.execute("SELECT 1")

    return {**{name: through(use) for name, use in TRACED.items()}, "login": login}


def traced(port: int, database: str, use: Use) -> list[tuple[int, bytes]]:
    """What libpq says itself, handshake left out."""
    from psycopg import pq

    with tempfile.TemporaryFile() as file, psycopg_connection(port, database) as one:
        one.pgconn.trace(file.fileno())
        one.pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        use(one)
        one.pgconn.untrace()
        file.seek(0)
        return [(SENT, file.read())]


def asyncpg_scenes(database: str, scram: tuple[str, str]) -> dict[str, Callable[[int], None]]:
    async def main(port: int) -> None:
        import asyncpg

        one = await asyncpg.connect(host="127.0.0.1", port=port, user="trusted", database=database, ssl=False)
        for number in range(2):
            await one.fetch("SELECT $1::int", number)
        await one.execute("CREATE TEMP TABLE t (id int)")
        await one.executemany("INSERT INTO t VALUES ($1)", [(1,), (2,)])
        await one.copy_records_to_table("t", records=[(3,), (4,)])
        async with one.transaction():
            cursor = await one.cursor("SELECT id FROM t")
            await cursor.fetch(2)
        with suppress(asyncpg.PostgresError):
            await one.execute("SELECT 1/0")
        await one.close()

    return {"many": lambda port: asyncio.run(main(port))}


def pg8000_scenes(database: str, scram: tuple[str, str]) -> dict[str, Callable[[int], None]]:
    def run(port: int) -> None:
        import pg8000.native

        one = pg8000.native.Connection("trusted", host="127.0.0.1", port=port, database=database, ssl_context=False)
        one.run("SELECT :number ::int", number=1)
        one.run("BEGIN")
        with suppress(pg8000.native.DatabaseError):
            one.run("SELECT nothing")
        one.run("ROLLBACK")
        one.close()

    return {"many": run}


def main() -> None:
    import psycopg

    SEEDS.mkdir(exist_ok=True)
    redis = servers.redis("embedded")
    try:
        record_redis(("127.0.0.1", urlsplit(redis.url).port or 0))
    finally:
        redis.stop()
    postgres = servers.postgres("embedded")
    try:
        with postgres.database() as dsn:
            url = urlsplit(dsn)
            with psycopg.connect(dsn, autocommit=True) as one:
                one.execute("CREATE ROLE trusted LOGIN SUPERUSER")
                (access,) = one.execute("SHOW hba_file").fetchone() or ("",)
                Path(access).write_text("host all trusted 127.0.0.1/32 trust\n" + Path(access).read_text())
                one.execute("SELECT pg_reload_conf()")
            scram = unquote(url.username or ""), unquote(url.password or "")
            record_postgres(("127.0.0.1", url.port or 0), url.path[1:], scram)
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
