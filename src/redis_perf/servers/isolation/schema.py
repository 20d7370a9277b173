"""What a test's database has in it from the start: the steps named by `redisperf_schema`, applied once to a template.

A step is an SQL file (`db/schema.sql`, or a pattern, in the order of names), an Alembic configuration (`alembic.ini`),
a Python function that is given the DSN (`app.db:create_all`) or a Django settings module (`site.settings`). All but SQL
files run in a Python of their own: what they import, configure and send is then not in the tests' process.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from redis_perf.errors import ServerUnavailable
from redis_perf.own_children import own_children
from redis_perf.servers.isolation.session import Refused, Session

Connect: TypeAlias = "Callable[[], Session]"

ERROR_TAIL_LINES = 12
KINDS = (
    "an SQL file (schema.sql), an alembic.ini, a function (module:function) or a Django settings module (app.settings)"
)
MADE_ANYTHING = """
    SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_toast%' LIMIT 1
"""


class Step(Protocol):
    """One part of a schema."""

    @property
    def content(self) -> bytes:
        """Another content is another template."""
        ...

    def apply(self, dsn: str, connect: Connect) -> None:
        """Raises ServerUnavailable."""
        ...


class Schema(NamedTuple):
    """Steps and the hash of all they are made of."""

    steps: Sequence[Step]
    digest: str

    @classmethod
    def of(cls, text: str, root: Path) -> Schema:
        """From what `redisperf_schema` says, files relative to `root`. Raises ServerUnavailable for a bad step."""
        steps = [step for word in shlex.split(text) for step in _steps(word, root)]
        if not steps:
            raise ServerUnavailable(f"redisperf_schema is empty; give {KINDS}")
        return cls(steps, _digest(steps))

    @classmethod
    def by(cls, function: Callable[[str], object]) -> Schema:
        """Made by a function of this process, called once with the DSN of the template."""
        return cls([Called(function)], os.urandom(8).hex())

    @property
    def only_sql(self) -> bool:
        """Whether it is the same whenever it is applied, and whoever does it."""
        return all(isinstance(step, SqlFile) for step in self.steps)

    def apply(self, dsn: str, connect: Connect) -> None:
        """Fill this empty database. Raises ServerUnavailable with the file and the server's reason."""
        for step in self.steps:
            step.apply(dsn, connect)


class SqlFile(NamedTuple):
    path: Path

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    def apply(self, dsn: str, connect: Connect) -> None:
        """In one transaction, unless the file says otherwise."""
        text = self.content.decode()
        session = connect()
        try:
            session.query(text)
        except Refused as refusal:
            raise ServerUnavailable(f"redisperf_schema: {self._told(text, refusal)}") from None
        except OSError as error:
            raise ServerUnavailable(f"redisperf_schema: {self.path}: the connection was lost ({error})") from error
        finally:
            session.close()

    def _told(self, text: str, refusal: Refused) -> str:
        problem = f"{refusal.problem} ({refusal.code})" + (f"; {refusal.detail}" if refusal.detail else "")
        if refusal.position is None:
            return f"{self.path}: {problem}"
        number = text.count("\n", 0, refusal.position - 1)
        return f"{self.path}, line {number + 1}: {problem}\n    {text.splitlines()[number].strip()}"


class Called(NamedTuple):
    """Never taken for another one: see `Schema.by`."""

    function: Callable[[str], object]

    @property
    def content(self) -> bytes:
        return b""

    def apply(self, dsn: str, connect: Connect) -> None:
        self.function(dsn)


class Migrations(NamedTuple):
    """Run by `migrate` in another Python."""

    kind: str
    what: str
    root: Path

    @property
    def content(self) -> bytes:
        """Of all that is likely to take part. What a function needs is not known: it is never taken for the same."""
        if self.kind == "function":
            return os.urandom(8)
        folder = Path(self.what).parent if self.kind == "alembic" else self.root
        return self.what.encode() + b"".join(path.read_bytes() for path in _migration_files(folder))

    def apply(self, dsn: str, connect: Connect) -> None:
        command = [sys.executable, "-m", "redis_perf.servers.isolation.migrate", self.kind, self.what]
        # DATABASE_URL is where many an application looks for its database; these must not find another one.
        environment = {**os.environ, "REDISPERF_SCHEMA_DSN": dsn, "DATABASE_URL": dsn}
        environment["PYTHONPATH"] = os.pathsep.join([str(self.root), *filter(None, sys.path)])
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        with own_children():
            ended = subprocess.run(command, cwd=self.root, env=environment, check=False, **streams)
        if ended.returncode:
            said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-ERROR_TAIL_LINES:]
            raise ServerUnavailable(f"redisperf_schema: {self.what} ({self.kind}) failed:\n" + "\n".join(said))
        self._made_something(connect)

    def _made_something(self, connect: Connect) -> None:
        session = connect()
        try:
            if not session.query(MADE_ANYTHING):
                raise ServerUnavailable(
                    f"redisperf_schema: {self.what} ({self.kind}) ran but made nothing in the database it was given. "
                    "It must connect to the DSN it is given: the function's argument, Alembic's `sqlalchemy.url`, "
                    "Django's DATABASES['default'], or the environment's DATABASE_URL"
                )
        finally:
            session.close()


def _steps(word: str, root: Path) -> Iterator[Step]:
    if word.endswith(".sql"):
        files = sorted(root.glob(word)) if not Path(word).is_absolute() else [Path(word)]
        if not files or not files[0].is_file():
            raise ServerUnavailable(f"redisperf_schema: there is no file {root / word}")
        yield from map(SqlFile, files)
    elif word.endswith(".ini"):
        if not (root / word).is_file():
            raise ServerUnavailable(f"redisperf_schema: there is no file {root / word}")
        yield Migrations("alembic", str(root / word), root)
    elif all(part.isidentifier() for part in word.replace(":", ".").split(".")) and word.count(":") <= 1:
        yield Migrations("function" if ":" in word else "django", word, root)
    else:
        raise ServerUnavailable(f"redisperf_schema: {word!r} is no step of a schema; give {KINDS}")


def _migration_files(folder: Path) -> Iterator[Path]:
    for directory, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in ("node_modules", "venv"))
        yield from (Path(directory, name) for name in sorted(files) if name.endswith((".py", ".ini", ".sql", ".mako")))


def _digest(steps: Sequence[Step]) -> str:
    digest = hashlib.sha256()
    for step in steps:
        content = step.content
        digest.update(b"%s %d " % (type(step).__name__.encode(), len(content)) + content)
    return digest.hexdigest()[:16]
