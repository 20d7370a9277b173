"""One psycopg connection for test after test: what a test has not committed is rolled back, and no test connects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


class KeptConnection:
    """A connection that looks new each time it is lent.

    It is given back with ROLLBACK, where a transaction is open, and DISCARD ALL: one or two round trips after a test.
    """

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def pid(self) -> int:
        """Of the server's process behind it; 0 while there is none."""
        connection = self._connection
        return 0 if connection is None or connection.closed else connection.info.backend_pid

    def lend(self, dsn: str) -> psycopg.Connection[Any]:
        """To this database, as `psycopg.connect(dsn)` makes it. Raises psycopg.OperationalError."""
        import psycopg

        connection = self._connection
        if connection is not None and not connection.closed and connection.info.dbname == dsn.rpartition("/")[2]:
            return connection
        self.close()
        self._connection = psycopg.connect(dsn)
        return self._connection

    def give_back(self) -> None:
        """Bring it back to the state of a new one, or close it where that cannot be."""
        import psycopg

        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            connection.rollback()
            # Its own settings, adapters, handlers and count of prepared statements begin anew, those of the server too.
            type(connection).__init__(connection, connection.pgconn)
            connection.autocommit = True
            connection.execute("DISCARD ALL")
            type(connection).__init__(connection, connection.pgconn)
        except psycopg.Error:
            connection.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
