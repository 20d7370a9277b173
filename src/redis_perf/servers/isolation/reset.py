"""A database kept from test to test: finds out what a test has left in it and takes back exactly that.

It is decided by the server's own books, not by what we saw pass:

1. Whoever is still connected is disconnected; with them go their locks, settings, temporary tables and transactions.
2. Nothing was written if the write-ahead log has not moved, nor a sequence: one may have 32 values that are logged.
3. The commit log says which transactions since then were committed. If none, only sequences can have changed.
4. Rows of the system catalogs made by these transactions, or missing, mean DDL. Rows of a table made by them are
   the test's; if others are missing, the test changed what the schema had put there. DELETE, with triggers off,
   removes the test's rows, setval puts sequences back.

DDL, changed seed rows, materialised views, roles, settings, and any doubt: a new database is needed.
"""

from __future__ import annotations

from collections.abc import Iterable

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.isolation import books
from redis_perf.servers.isolation.session import Row, Session

NO_TRANSACTIONS = "'{}'"
MOST_DELETED = 20_000
"""Deleted rows stay in the files, for nothing vacuums; after so many a new database is faster."""


class Reset:
    """The books of one kept database, opened when it is new."""

    def __init__(self, session: Session) -> None:
        """`session` is connected to it. Raises ServerUnavailable, OSError."""
        self._session = session
        relations = books.relations(session)
        self._relations = {str(each.oid): each for each in relations}
        self._sequences = {row[0]: row for row in books.prepare(session, relations)}
        self._catalogs = session.query(f"EXECUTE catalogs ({NO_TRANSACTIONS})")
        self._prepares = session.query("SHOW max_prepared_transactions") != [("0",)]
        self._shared = session.query("EXECUTE shared")
        # A sequence writes one log record for 32 values: with none of these left, the next value is in the log again.
        self._clean = self._undone(self._putting_back(self._sequences.values())) or books.mark(session)
        unfit = session.query(books.UNFIT)
        self.doubt = str(unfit[0][0]) if unfit else ""
        """Why it cannot be cleaned, if it cannot."""

    def clean(self, spared_pid: int = 0) -> bool:
        """Take back what was left, disconnecting all but `spared_pid`. False when a new database is needed."""
        if not self.doubt:
            try:
                self.doubt = self._cleaned(spared_pid)
            except (ServerUnavailable, OSError) as error:
                self.doubt = str(error)
        return not self.doubt

    def close(self) -> None:
        """Disconnect."""
        self._session.close()

    def _cleaned(self, spared_pid: int) -> str:
        if self._prepares:  # its locks would be waited for
            books.roll_back_prepared(self._session)
        now, moved = books.left_alone(self._session, spared_pid, self._clean.transaction)
        if now.settings_file != self._clean.settings_file:
            return "ALTER SYSTEM"
        if now.log_position == self._clean.log_position and not moved:
            return ""
        if self._prepares:
            books.roll_back_prepared(self._session)
        if now.transaction - self._clean.transaction > books.MOST_TRANSACTIONS:
            return f"more than {books.MOST_TRANSACTIONS} transactions"
        rows: list[Row] = []
        if now.committed != NO_TRANSACTIONS:
            questions = ("EXECUTE shared", f"EXECUTE catalogs ({now.committed})", f"EXECUTE rows ({now.committed})")
            shared, catalogs, rows = self._session.queries(*questions)
            doubt = self._compared(shared, catalogs, rows)
            if doubt:
                return doubt
        self._clean = self._undone([*self._deleting(rows, now.committed), *self._putting_back(moved)]) or now
        return f"more than {MOST_DELETED} deleted rows" if self._session.deleted > MOST_DELETED else ""

    def _compared(self, shared: list[Row], catalogs: list[Row], rows: list[Row]) -> str:
        """Why what was committed cannot be undone, or nothing."""
        if shared != self._shared:
            return "changed roles, settings or privileges"
        if catalogs != self._catalogs:
            return "DDL"
        for oid, gone, made in rows:
            relation = self._relations[str(oid)]
            if gone != "0":
                return f"changed or deleted rows of {relation.name} that the schema had put there"
            if made != "0" and relation.kind == "m":
                return f"a refreshed materialised view, {relation.name}"
        return ""

    def _deleting(self, rows: list[Row], committed: str) -> list[str]:
        tables = [self._relations[str(oid)].name for oid, *_ in rows]
        return [f"DELETE FROM ONLY {table} WHERE xmin = ANY ({committed})" for table in tables]

    def _undone(self, undoing: list[str]) -> books.Mark | None:
        """In one transaction; the moment after it. None if there is nothing to undo."""
        if not undoing:
            return None
        self._session.send(";".join(undoing))
        return books.mark(self._session)

    def _putting_back(self, sequences: Iterable[Row]) -> list[str]:
        states = ((oid, *self._sequences[oid][1:]) for oid, *_ in sequences)
        return [f"SELECT setval({oid}::regclass, {value}, '{called}')" for oid, value, called in states]
