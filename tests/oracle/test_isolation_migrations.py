"""Alembic's and Django's migrations make the template that tests' databases are cloned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers.isolation.databases import Databases
from redis_perf.servers.isolation.schema import Schema

psycopg = pytest.importorskip("psycopg")

ENV = """
from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
from alembic import op
revision, down_revision = "1", None

def upgrade():
    op.execute("CREATE TABLE users (id serial PRIMARY KEY)")
"""
SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "elsewhere", "HOST": "192.0.2.1"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True))])]
"""


@pytest.fixture
def databases(postgres_server: servers.PostgresServer) -> Iterator[Databases]:
    databases = Databases(postgres_server)
    yield databases
    databases.close()


def tables(databases: Databases, schema: Schema) -> set[str]:
    with psycopg.connect(databases.dsn(databases.take(databases.template(schema)))) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in found}


@pytest.fixture
def alembic(tmp_path: Path) -> Path:
    pytest.importorskip("alembic")
    (tmp_path / "migrations/versions").mkdir(parents=True)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (tmp_path / "migrations/env.py").write_text(ENV)
    (tmp_path / "migrations/versions/one.py").write_text(REVISION)
    return tmp_path


def test_alembic_upgrades_a_template_and_another_revision_is_another_one(databases: Databases, alembic: Path) -> None:
    schema = Schema.of("alembic.ini", alembic)
    assert tables(databases, schema) == {"users", "alembic_version"}
    assert Schema.of("alembic.ini", alembic).digest == schema.digest
    (alembic / "migrations/versions/one.py").write_text(REVISION.replace("users", "people"))
    assert tables(databases, Schema.of("alembic.ini", alembic)) == {"people", "alembic_version"}


def test_a_revision_that_fails_shows_what_the_server_said(databases: Databases, alembic: Path) -> None:
    (alembic / "migrations/versions/one.py").write_text(REVISION.replace("serial", "nothing"))
    with pytest.raises(ServerUnavailable, match=r'(?s)alembic.ini \(alembic\) failed:.*type "nothing" does not exist'):
        databases.template(Schema.of("alembic.ini", alembic))


def test_an_env_that_connects_elsewhere_is_noticed(databases: Databases, alembic: Path) -> None:
    (alembic / "migrations/env.py").write_text("")
    with pytest.raises(ServerUnavailable, match=r"made nothing in the database it was given"):
        databases.template(Schema.of("alembic.ini", alembic))


def test_djangos_migrations_make_a_template_whatever_its_settings_say_of_databases(
    databases: Databases, tmp_path: Path
) -> None:
    pytest.importorskip("django")
    (tmp_path / "shop/migrations").mkdir(parents=True)
    for empty in ("shop/__init__.py", "shop/migrations/__init__.py"):
        (tmp_path / empty).touch()
    (tmp_path / "shop_settings.py").write_text(SETTINGS)
    (tmp_path / "shop/migrations/0001_initial.py").write_text(MIGRATION)
    assert tables(databases, Schema.of("shop_settings", tmp_path)) == {"django_migrations", "shop_item"}


@pytest.mark.parametrize(("step", "package"), [("alembic.ini", "alembic"), ("app.settings", "django")])
def test_what_is_not_installed_is_named(
    step: str, package: str, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alembic.ini").touch()
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('no', name={package!r})")
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with pytest.raises(
        ServerUnavailable, match=rf"{package} is not installed in this Python \(.*: pip install {package}"
    ):
        databases.template(Schema.of(step, tmp_path))
