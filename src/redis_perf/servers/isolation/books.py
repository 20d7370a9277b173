"""What a PostgreSQL knows about a database: the questions `reset` asks, as SQL. For PostgreSQL 14 and later."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.isolation.session import Row, Session, literal

LEAVING_S = 10.0
POLL_S = 0.0005
USERS_OWN = "nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_%'"
USERS = 16384
"""Smaller numbers are what every database begins with."""
# ANALYZE writes the first two; whoever adds to the next two adds to pg_depend.
CATALOGS = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relisshared AND relnamespace = 'pg_catalog'::regnamespace
    AND relname NOT IN ('pg_statistic', 'pg_statistic_ext_data', 'pg_amop', 'pg_amproc') ORDER BY 1
"""
# Where most rows are about the catalogs themselves and an index finds the others, and what backends leave behind:
# the schema of their temporary tables.
PART_OF = {
    "pg_attribute": f"WHERE attrelid >= {USERS}",
    "pg_description": f"WHERE objoid >= {USERS} OR objoid = 'public'::regnamespace",
    "pg_namespace": "WHERE nspname !~ '^pg_(toast_)?temp_'",
}
RELATIONS = f"""
    SELECT c.oid, format('%I.%I', nspname, relname), relkind, relpersistence
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'S') AND {USERS_OWN}
"""
MARK = """
    SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot()),
           (SELECT format('%s %s', size, modification) FROM pg_stat_file('postgresql.auto.conf'))
"""
# Through the functions under pg_stat_activity, which joins more than is needed here, five times as slow.
DISCONNECT = """
    SELECT pg_terminate_backend(pid)
    FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend' AND pid NOT IN (pg_backend_pid(), $1)
    AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
COMMITTED = """
    SELECT id & 4294967295 FROM generate_series($1, $2 - 1) AS id
    WHERE pg_xact_status(id::text::xid8) IS DISTINCT FROM 'aborted'
"""
# Rows of the catalogs that all databases share, and of this database's own entry there.
SHARED = """
    SELECT (SELECT string_agg(format('%s %s %s', setdatabase, setrole, setconfig), ',' ORDER BY setdatabase, setrole)
            FROM pg_db_role_setting),
           (SELECT string_agg(format('%s %s', oid, xmin), ',' ORDER BY oid) FROM pg_authid),
           (SELECT string_agg(format('%s %s %s', roleid, member, xmin), ',' ORDER BY roleid, member)
            FROM pg_auth_members),
           (SELECT string_agg(format('%s %s', oid, xmin), ',' ORDER BY oid) FROM pg_tablespace),
           (SELECT xmin FROM pg_database WHERE datname = current_database())
"""
UNFIT = """
    SELECT format('trigger %s of %s fires always', tgname, tgrelid::regclass) FROM pg_trigger
    WHERE tgenabled IN ('A', 'R')
    UNION ALL
    SELECT format('rule %s of %s fires always', rulename, ev_class::regclass) FROM pg_rewrite
    WHERE ev_enabled IN ('A', 'R')
    UNION ALL
    SELECT format('%s is a foreign table', oid::regclass) FROM pg_class WHERE relkind = 'f'
    LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, a materialised view or a sequence; `name` is quoted and has its schema."""

    oid: int
    name: str
    kind: str
    unlogged: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment: where the log ends, the next transaction, the state of what ALTER SYSTEM writes."""

    log_position: str
    transaction: int
    settings_file: str


def mark(session: Session) -> Mark:
    return _mark(session.query("EXECUTE mark"))


def relations(session: Session) -> list[Relation]:
    return [Relation(int(row[0] or 0), str(row[1]), str(row[2]), row[3] == "u") for row in session.query(RELATIONS)]


def prepare(session: Session, relations: list[Relation]) -> None:
    """Make ready what is asked each time, so that it need not be planned again."""
    session.query(
        f"SET plan_cache_mode = force_generic_plan; PREPARE mark AS {MARK}; PREPARE shared AS {SHARED};"
        f"PREPARE disconnect (int) AS {DISCONNECT}; PREPARE committed (bigint, bigint) AS {COMMITTED}"
    )
    catalogs = [str(row[0]) for row in session.query(CATALOGS)]
    counted = [_count(literal(name), name, PART_OF.get(name, "")) for name in catalogs]
    session.query(f"PREPARE catalogs (xid[]) AS {_all(counted)}")
    tables = [_count(str(table.oid), table.name) for table in relations if table.kind != "S"]
    session.query(f"PREPARE rows (xid[]) AS {_all(tables)}")
    states = [f"SELECT {each.oid}, last_value, is_called FROM {each.name}" for each in relations if each.kind == "S"]
    session.query(f"PREPARE sequences AS {_all(states)}")


def changed(session: Session, what: str, transactions: Iterable[int] = ()) -> list[Row]:
    """For each of the `catalogs` or `rows`: its name, how many rows there are, how many of them these have made."""
    return session.query(f"EXECUTE {what} ({array(transactions)})")


def array(numbers: Iterable[int]) -> str:
    """As a constant of SQL."""
    return literal("{" + ",".join(map(str, numbers)) + "}")


def committed(session: Session, since: int, until: int) -> list[int]:
    """The transactions of this span that were committed, as their rows name them (32 bits)."""
    return [int(row[0] or 0) for row in session.query(f"EXECUTE committed ({since}, {until})")]


def left_alone(session: Session, spared: int) -> Mark:
    """End all connections to this database but our own and this one; the moment when they have gone.

    They have let go of everything they held before they are no longer listed.
    """
    deadline = time.monotonic() + LEAVING_S
    while True:
        leaving, now = session.queries(f"EXECUTE disconnect ({spared})", "EXECUTE mark")
        if not leaving:
            return _mark(now)
        if time.monotonic() > deadline:
            raise ServerUnavailable("connections to the test's database that do not end")
        time.sleep(POLL_S)


def roll_back_prepared(session: Session) -> None:
    """Transactions prepared for a second phase outlive their connections, with their locks."""
    for (gid,) in session.query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
        session.query(f"ROLLBACK PREPARED {literal(str(gid))}")


def _mark(rows: list[Row]) -> Mark:
    ((position, transaction, settings_file),) = rows
    return Mark(str(position), int(transaction or 0), str(settings_file))


def _count(name: str, table: str, condition: str = "") -> str:
    return f"SELECT {name}, count(*), count(*) FILTER (WHERE xmin = ANY ($1)) FROM ONLY {table} {condition}"


def _all(queries: list[str]) -> str:
    return " UNION ALL ".join(queries) or "SELECT NULL WHERE false"
