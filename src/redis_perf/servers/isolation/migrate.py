"""`python -m redis_perf.servers.isolation.migrate KIND WHAT`: one step of a schema, in a process of its own.

The database is named by REDISPERF_SCHEMA_DSN. What goes wrong is on standard error, its last lines first of all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

DRIVERS = (("psycopg", "postgresql+psycopg"), ("psycopg2", "postgresql"), ("pg8000", "postgresql+pg8000"))


def function(what: str, dsn: str) -> None:
    module, _, name = what.partition(":")
    call: Any = import_module(module)
    for part in name.split("."):
        call = getattr(call, part)
    call(dsn)


def alembic(what: str, dsn: str) -> None:
    """`alembic upgrade heads` with the DSN as `sqlalchemy.url`, for the driver that was named there."""
    config = _needed("alembic.config", "alembic").Config(what)
    url = _for_sqlalchemy(config.get_main_option("sqlalchemy.url") or "", dsn)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    _needed("alembic.command", "alembic").upgrade(config, "heads")


def django(what: str, dsn: str) -> None:
    """`manage.py migrate` with the DSN as the database `default`."""
    os.environ["DJANGO_SETTINGS_MODULE"] = what
    settings = _needed("django.conf", "django").settings
    parts = urlsplit(dsn)
    default = settings.DATABASES.setdefault("default", {})
    if "postg" not in default.get("ENGINE", ""):
        default["ENGINE"] = "django.db.backends.postgresql"
    default.update(
        NAME=parts.path[1:], USER=parts.username, PASSWORD=parts.password, HOST=parts.hostname, PORT=parts.port
    )
    import_module("django").setup()
    import_module("django.core.management").call_command("migrate", interactive=False, verbosity=0)


def _for_sqlalchemy(configured: str, dsn: str) -> str:
    scheme = configured.partition("://")[0]
    if not scheme.startswith("postgres") or "+" not in scheme:
        scheme = next((name for module, name in DRIVERS if find_spec(module)), "postgresql")
    return urlsplit(dsn)._replace(scheme=scheme).geturl()


def _needed(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != package:
            raise
        sys.exit(f"{package} is not installed in this Python ({sys.executable}): pip install {package}")


KINDS: dict[str, Callable[[str, str], None]] = {"function": function, "alembic": alembic, "django": django}

if __name__ == "__main__":
    KINDS[sys.argv[1]](sys.argv[2], os.environ["REDISPERF_SCHEMA_DSN"])
