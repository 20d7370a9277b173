"""N+1 of real clients and ORMs on real servers: what is found, and what is rightly not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
import redis
import redis.asyncio

import redis_perf
from redis_perf.analysis.n_plus_one import Suspect, n_plus_one
from redis_perf.analysis.waste import wasted
from redis_perf.recording import tapped

IDS = (1, 2, 3, 4)
TABLES = """
    CREATE TABLE author (id bigint PRIMARY KEY, name text);
    CREATE TABLE book (id bigint PRIMARY KEY, author_id bigint REFERENCES author, title text);
    INSERT INTO author SELECT n, 'name' || n FROM generate_series(1, 4) n;
    INSERT INTO book SELECT n, n, 'title' || n FROM generate_series(1, 4) n;
"""


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    with tapped():
        yield


@pytest.fixture
def library(postgres_dsn: str) -> str:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    return postgres_dsn


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        client.ping()
        yield client


def recorded(work: Callable[[], object]) -> redis_perf.Trace:
    with redis_perf.record() as recording:
        work()
    assert recording.trace.problems == ()
    return recording.trace


def suspects(work: Callable[[], object]) -> list[Suspect]:
    return n_plus_one(recorded(work))


def told(found: list[Suspect]) -> list[tuple[str, int, str]]:
    """Shape, round trips saved, and the text of the loop's line."""
    return [(each.shape, each.saves, line_of(each)) for each in found]


def line_of(suspect: Suspect) -> str:
    assert suspect.loop is not None
    return Path(suspect.loop.file).read_text().splitlines()[suspect.loop.line - 1].strip()


# --- found


def test_gets_in_a_loop(client: redis.Redis) -> None:
    def work() -> None:
        for number in IDS:
            client.get(f"user:{number}")

    assert told(suspects(work)) == [("GET user:{}", 3, "for number in IDS:")]


def test_fields_of_one_hash(client: redis.Redis) -> None:
    def work() -> None:
        for number in IDS:
            client.hget("user", f"field:{number}")

    (found,) = suspects(work)
    assert (found.shape, found.fix) == ("HGET user", "one HMGET")


def test_a_script_in_a_loop(client: redis.Redis) -> None:
    script = client.register_script("return redis.call('incr', KEYS[1])")
    script(keys=["hits:0"])

    def work() -> None:
        for number in IDS:
            script(keys=[f"hits:{number}"])

    (found,) = suspects(work)
    assert (found.saves, found.fix) == (3, "one pipeline, or one script over all keys,")


def test_awaits_in_a_loop_through_a_helper(redis_url: str) -> None:
    async def name(client: Any, number: int) -> Any:
        return await client.get(f"user:{number}")

    async def main() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            for number in IDS:
                await name(client, number)

    (found,) = suspects(lambda: asyncio.run(main()))
    assert told([found]) == [("GET user:{}", 3, "for number in IDS:")]
    assert found.site.function == "name"


SELECT = "SELECT name FROM author WHERE id = "


def test_selects_by_psycopg_past_its_prepare_threshold(library: str) -> None:
    with psycopg.connect(library, autocommit=True) as connection:

        def work() -> None:
            for number in IDS * 2:
                connection.execute(SELECT + "%s", [number]).fetchone()

        (found,) = suspects(work)
    assert (found.saves, found.different, found.fix) == (7, 4, "one SELECT with = ANY($1)")


def test_selects_by_psycopg2(library: str) -> None:
    connection = psycopg2.connect(library)
    cursor = connection.cursor()

    def work() -> None:
        for number in IDS:
            cursor.execute(SELECT + "%s", [number])

    assert told(suspects(work)) == [("SELECT name FROM author WHERE id = ?", 3, "for number in IDS:")]
    connection.close()


def test_selects_by_asyncpg(library: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(library)
        for number in IDS:
            await connection.fetchval(SELECT + "$1", number)
        await connection.close()

    found = suspects(lambda: asyncio.run(main()))
    assert told(found) == [("SELECT name FROM author WHERE id = ?", 3, "for number in IDS:")]


def test_inserts_in_a_loop(library: str) -> None:
    with psycopg.connect(library) as connection:

        def work() -> None:
            for number in IDS:
                connection.execute("INSERT INTO author VALUES (%s, %s)", [10 + number, "x"])

        (found,) = suspects(work)
    assert (found.saves, found.fix.split()[1]) == (3, "executemany")


# --- ORMs


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_lazy_loading_of_sqlalchemy(library: str, driver: str) -> None:
    sqlalchemy, orm = pytest.importorskip("sqlalchemy"), pytest.importorskip("sqlalchemy.orm")

    class Base(orm.DeclarativeBase):  # type: ignore[misc, name-defined]
        pass

    class Author(Base):
        __tablename__ = "author"
        id = orm.mapped_column(sqlalchemy.BigInteger, primary_key=True)
        name = orm.mapped_column(sqlalchemy.Text)

    class Book(Base):
        __tablename__ = "book"
        id = orm.mapped_column(sqlalchemy.BigInteger, primary_key=True)
        author_id = orm.mapped_column(sqlalchemy.ForeignKey("author.id"))
        author = orm.relationship(Author)

    engine = sqlalchemy.create_engine(library.replace("postgresql://", f"postgresql+{driver}://"))

    def work(*how: Any) -> None:
        with orm.Session(engine) as session:
            for book in session.scalars(sqlalchemy.select(Book).options(*how)):
                assert book.author.name

    (found,) = suspects(work)
    assert (found.saves, found.fix) == (3, "selectinload() or joinedload() on the query before")
    assert line_of(found).startswith("for book in session.scalars")
    assert suspects(lambda: work(orm.selectinload(Book.author))) == []
    engine.dispose()


def test_lazy_loading_of_django(library: str) -> None:
    django = pytest.importorskip("django")
    from django.conf import settings

    parts = psycopg.conninfo.conninfo_to_dict(library)
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts["dbname"], "USER": parts.get("user", ""), "PASSWORD": parts.get("password", ""),
                "HOST": parts.get("host", ""), "PORT": parts.get("port", ""),
            }
        }
    )  # fmt: skip
    django.setup()
    from django.db import connection, models

    class Author(models.Model):
        name = models.TextField()

        class Meta:
            app_label, db_table = "library", "author"

    class Book(models.Model):
        author = models.ForeignKey(Author, on_delete=models.CASCADE)
        title = models.TextField()

        class Meta:
            app_label, db_table = "library", "book"

    def lazily() -> None:
        for book in Book.objects.all():
            assert book.author.name

    def one_by_one() -> None:
        for number in IDS:
            Author.objects.create(id=20 + number, name="x")

    try:
        (found,) = suspects(lazily)
        assert (found.saves, found.fix) == (3, "select_related() or prefetch_related() on the query before")
        assert line_of(found) == "for book in Book.objects.all():"
        assert [each.fix for each in suspects(one_by_one)] == ["one bulk_create()"]
        assert suspects(lambda: [book.author.name for book in Book.objects.select_related("author")]) == []
    finally:
        connection.close()


# --- rightly not


def test_three_lines_of_one_helper(client: redis.Redis) -> None:
    def name(number: int) -> Any:
        return client.get(f"user:{number}")

    assert suspects(lambda: (name(1), name(2), name(3), name(4))) == []


def test_polling_retrying_and_scanning(client: redis.Redis) -> None:
    client.mset({f"key:{number}": "x" for number in range(200)})
    client.set("text", "x")

    def work() -> None:
        for _ in range(5):
            client.lpop("queue")
        for _ in range(5):
            with pytest.raises(redis.ResponseError):
                client.incr("text")
        assert len(list(client.scan_iter(count=10))) == 201

    assert suspects(work) == []


def test_chunks(client: redis.Redis, library: str) -> None:
    def work() -> None:
        for start in range(0, 40, 10):
            client.mget([f"user:{number}" for number in range(start, start + 10)])
        for start in range(0, 40, 10):
            with client.pipeline() as pipeline:
                for number in range(start, start + 10):
                    pipeline.get(f"user:{number}")
                pipeline.execute()
        with psycopg.connect(library) as connection, connection.cursor() as cursor:
            for start in range(100, 140, 10):
                rows = [(number, "x") for number in range(start, start + 10)]
                cursor.executemany("INSERT INTO author VALUES (%s, %s)", rows)
            for start in range(0, 40, 10):
                ids = list(range(start, start + 10))
                cursor.execute("SELECT name FROM author WHERE id = ANY(%s)", [ids])

    assert suspects(work) == []


def test_a_cursor_of_the_server_and_pages(library: str) -> None:
    with psycopg.connect(library) as connection:

        def work() -> None:
            with connection.cursor(name="walk") as cursor:
                cursor.itersize = 1
                cursor.execute("SELECT name FROM author")
                assert len(list(cursor)) == 4
            for start in range(4):
                connection.execute("SELECT name FROM author ORDER BY id LIMIT 1 OFFSET %s", [start])

        assert suspects(work) == []


def test_gathered(redis_url: str) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await asyncio.gather(*(client.get(f"user:{number}") for number in range(10)))

    assert suspects(lambda: asyncio.run(main())) == []


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg", "redis"])
def test_the_same_again_is_waste_for_each_driver(driver: str, library: str, client: redis.Redis) -> None:
    async def by_asyncpg() -> None:
        connection = await asyncpg.connect(library)
        for _ in range(4):
            await connection.fetchval(SELECT + "$1", 1)
        await connection.close()

    def by_dbapi(connection: Any) -> None:
        cursor = connection.cursor()
        for _ in range(4):
            cursor.execute(SELECT + "%s", [1])
        connection.close()

    work = {
        "psycopg": lambda: by_dbapi(psycopg.connect(library)),
        "psycopg2": lambda: by_dbapi(psycopg2.connect(library)),
        "asyncpg": lambda: asyncio.run(by_asyncpg()),
        "redis": lambda: [client.get("user:1") for _ in range(4)],
    }[driver]
    trace = recorded(work)
    assert n_plus_one(trace) == []
    assert [waste.saves for waste in wasted(trace.charged) if waste.kind == "repeated read"] == [3]
