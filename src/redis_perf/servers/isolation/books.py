"""What a PostgreSQL knows about a database: the questions `reset` asks, as SQL. For PostgreSQL 14 and later."""

from __future__ import annotations

import time
from typing import NamedTuple

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
MADE = "count(*) FILTER (WHERE xmin = ANY ($1))"
RELATIONS = f"""
    SELECT c.oid, format('%I.%I', nspname, relname), relkind
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'S') AND {USERS_OWN}
"""
MOST_TRANSACTIONS = 1000
"""More than this in one test are not looked into."""
# The last: which transactions from $1 on were committed, as their rows name them (32 bits); of no $1, none.
MARK = f"""
    SELECT pg_current_wal_insert_lsn(), next, (SELECT format('%s %s', size, modification)
                                               FROM pg_stat_file('postgresql.auto.conf')),
           ARRAY(SELECT id & 4294967295 FROM generate_series($1, LEAST(next, $1 + {MOST_TRANSACTIONS}) - 1) AS id
                 WHERE pg_xact_status(id::text::xid8) IS DISTINCT FROM 'aborted')
    FROM CAST(pg_snapshot_xmax(pg_current_snapshot())::text AS bigint) AS next
"""
# Through the functions under pg_stat_activity, which joins more than is needed here, five times as slow.
DISCONNECT = """
    SELECT pg_terminate_backend(pid)
    FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend' AND pid NOT IN (pg_backend_pid(), $1)
    AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# Of the catalogs that all databases share: what is about all of them or this one. Others are dropped meanwhile.
SHARED = """
    SELECT (SELECT string_agg(format('%s %s %s', setdatabase, setrole, setconfig), ',' ORDER BY setdatabase, setrole)
            FROM pg_db_role_setting WHERE setdatabase IN (0, mine.oid)),
           (SELECT string_agg(format('%s %s', oid, xmin), ',' ORDER BY oid) FROM pg_authid),
           (SELECT string_agg(format('%s %s %s', roleid, member, xmin), ',' ORDER BY roleid, member)
            FROM pg_auth_members),
           (SELECT string_agg(format('%s %s', oid, xmin), ',' ORDER BY oid) FROM pg_tablespace),
           mine.xmin
    FROM pg_database AS mine WHERE datname = current_database()
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


class Relation(NamedTuple):
    """A table, a materialised view or a sequence; `name` is quoted and has its schema."""

    oid: int
    name: str
    kind: str


class Mark(NamedTuple):
    """A moment: where the log ends, the next transaction, the state of what ALTER SYSTEM writes, and which transactions
    were committed since an earlier one, as a constant of SQL."""

    log_position: str
    transaction: int
    settings_file: str
    committed: str


def relations(session: Session) -> list[Relation]:
    return [Relation(int(row[0] or 0), str(row[1]), str(row[2])) for row in session.query(RELATIONS)]


def prepare(session: Session, relations: list[Relation]) -> list[Row]:
    """Make ready what is asked each time, so that it need not be planned again; the states of the sequences.

    `rows` and `sequences` then answer with what is not as it is now, mostly nothing. The session has triggers and
    rules off from here on: to change that setting throws all plans away.
    """
    session.query(
        f"SET session_replication_role = replica; SET plan_cache_mode = force_generic_plan;"
        f"PREPARE mark (bigint) AS {MARK}; PREPARE shared AS {SHARED}; PREPARE disconnect (int) AS {DISCONNECT}"
    )
    catalogs = [f"SELECT xmin FROM {name} {PART_OF.get(str(name), '')}" for (name,) in session.query(CATALOGS)]
    session.query(f"PREPARE catalogs (xid[]) AS SELECT count(*), {MADE} FROM ({_all(catalogs)}) AS all_of_them")
    names = {str(each.oid): each.name for each in relations}
    counts = session.query(_all([_count(each) for each in relations if each.kind != "S"]))
    session.query(f"PREPARE rows (xid[]) AS {_all([_changed(names[str(oid)], oid, count) for oid, count in counts])}")
    states = session.query(_all([_state(each.name, each.oid) for each in relations if each.kind == "S"]))
    session.query(f"PREPARE sequences AS {_all([_moved(names[str(state[0])], *state) for state in states])}")
    return states


def mark(session: Session) -> Mark:
    return _mark(session.query("EXECUTE mark (NULL)"))


def left_alone(session: Session, spared: int, since: int) -> tuple[Mark, list[Row]]:
    """End all connections to this database but our own and this one; the moment when they have gone, and the sequences
    that have moved.

    They have let go of everything they held before they are no longer listed.
    """
    deadline = time.monotonic() + LEAVING_S
    while True:
        leaving, now, moved = session.queries(
            f"EXECUTE disconnect ({spared})", f"EXECUTE mark ({since})", "EXECUTE sequences"
        )
        if not leaving:
            return _mark(now), moved
        if time.monotonic() > deadline:
            raise ServerUnavailable("connections to the test's database that do not end")
        time.sleep(POLL_S)


def roll_back_prepared(session: Session) -> None:
    """Transactions prepared for a second phase outlive their connections, with their locks."""
    for (gid,) in session.query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
        session.query(f"ROLLBACK PREPARED {literal(str(gid))}")


def _mark(rows: list[Row]) -> Mark:
    ((position, transaction, settings_file, committed),) = rows
    return Mark(str(position), int(transaction or 0), str(settings_file), literal(str(committed)))


def _count(table: Relation) -> str:
    return f"SELECT {table.oid}, count(*) FROM ONLY {table.name}"


def _changed(table: str, oid: str | None, count: str | None) -> str:
    """How many rows more there are than before and the transactions $1 have made, and how many these have made."""
    now = f"SELECT count(*) AS rows, {MADE} AS made FROM ONLY {table}"
    return f"SELECT {oid}, rows - made - {count}, made FROM ({now}) AS now WHERE made <> 0 OR rows <> {count}"


def _state(sequence: str, oid: int | str | None) -> str:
    return f"SELECT {oid}, last_value, is_called FROM {sequence}"


def _moved(sequence: str, oid: str | None, value: str | None, called: str | None) -> str:
    return f"{_state(sequence, oid)} WHERE last_value <> {value} OR is_called <> '{called}'"


def _all(queries: list[str]) -> str:
    return " UNION ALL ".join(queries) or "SELECT NULL WHERE false"
