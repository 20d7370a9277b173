"""What the servers themselves counted, asked without any client library that could be tapped.

Redis: the calls of INFO commandstats, and the errors of commands it would not even call (an unknown subcommand).
Postgres: the statements it logged (`log_statement = all`) and the transactions it committed.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

Ask = Callable[[str], str]
"""Runs one query in a Postgres and returns its first value."""

LOGGED = re.compile(rb"^redisperf (\S+) LOG:  (?:statement|execute [^:]*): ", re.MULTILINE)


def redis_info(port: int) -> dict[str, dict[str, int]]:
    """INFO commandstats and errorstats as `{"cmdstat_get": {"calls": 3, ...}}`."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection, connection.makefile("rb") as replies:
        connection.sendall(b"INFO commandstats errorstats\r\n")
        size = int(replies.readline()[1:])
        text = replies.read(size).decode()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {
        name: {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)(?:,|$)", values)}
        for name, values in facts.items()
    }


def redis_commands(before: dict[str, dict[str, int]], after: dict[str, dict[str, int]]) -> int:
    """Commands that reached the server between two INFOs: called, rejected, or not known to it.

    An INFO does not tell of itself yet, so of our own only the first is in the second's numbers.
    """

    def total(info: dict[str, dict[str, int]], *kinds: str) -> int:
        stats = [values for name, values in info.items() if name.startswith("cmdstat_")]
        return sum(values.get(kind, 0) for values in stats for kind in kinds)

    def errors(info: dict[str, dict[str, int]]) -> int:
        return sum(values.get("count", 0) for name, values in info.items() if name.startswith("errorstat_"))

    called = total(after, "calls", "rejected_calls") - total(before, "calls", "rejected_calls") - 1
    failed = total(after, "failed_calls", "rejected_calls") - total(before, "failed_calls", "rejected_calls")
    return called + (errors(after) - errors(before)) - failed


def postgres_statements(log: Path, since_bytes: int, database: str) -> int:
    """Statements of this database that the server logged since its log was so long."""
    with log.open("rb") as file:
        file.seek(since_bytes)
        return LOGGED.findall(file.read()).count(database.encode())


def postgres_commits(ask: Ask, database: str) -> tuple[int, int]:
    """Committed transactions and sessions of a database, once all its backends are gone (they report when they end)."""
    deadline = time.monotonic() + 10
    while int(ask(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"connections to {database} are still open after 10 s")
        time.sleep(0.002)
    row = ask(f"SELECT xact_commit || ' ' || sessions FROM pg_stat_database WHERE datname = '{database}'")
    commits, sessions = row.split()
    return int(commits), int(sessions)
