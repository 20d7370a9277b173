"""psycopg2: counted from libpq's own message trace, which is put on a connection as soon as there is one.

psycopg2 is compiled, so connections and cursors are made of subclasses whose calls note who calls, and read the trace
afterwards. Within one call that waits several times (BEGIN before a statement, the rows of `executemany`) only its
beginning and end are seen: its round trips are counted one by one and share its time evenly. libpq formats each row
it is sent into the trace, which makes large results slower to read while recording.

The handshake is not seen: libpq shakes hands within `psycopg2.connect`, and only then is there a connection to put a
trace on. Known is that a TCP connect happened: one setup round trip that lasts as long as `connect`, of a size not
seen. The start-up (one round trip more, with TLS two more than that, with SCRAM two) is not counted, which the tap's
version says. Of asynchronous connections (`async_=True`) the handshake is seen.

Large objects, and cursors made without `connection.cursor()`, are counted at the next call on their connection.
Connections that were opened before anybody listened cannot be listened to: used while recording they are a problem of
the trace, which fails budgets. Open them while recording, or keep the taps in place from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module

from redis_perf.recorder import Recorder
from redis_perf.taps import of_client
from redis_perf.trace import Tapped


@of_client("psycopg2", "postgres", "psycopg2-binary", "psycopg2")
@contextmanager
def psycopg2(recorder: Recorder) -> Iterator[None]:
    """Record what psycopg2 connections send while the block runs.

    Raises TapError when psycopg2 has not the hook points needed, or is tapped already, or its libpq cannot be traced.
    """
    try:
        client = import_module("psycopg2")
    except ImportError as missing:
        problem = "not installed" if missing.name == "psycopg2" else str(missing)
        recorder.tapped(Tapped("psycopg2", "postgres", problem=problem))
        yield
        return
    from redis_perf.taps.libpq import Libpq, describe
    from redis_perf.taps.psycopg2.connections import Connections
    from redis_perf.taps.psycopg2.patches import patch, pq_of

    libpq = Libpq(pq_of(client), "psycopg2")
    build = f"{client.__version__.split()[0]} (libpq {describe(libpq.version)}, handshake not seen)"
    connections = Connections(recorder, libpq)
    with ExitStack() as stack:
        stack.callback(connections.release)
        patch(client, connections, stack)
        recorder.tapped(Tapped("psycopg2", "postgres", version=build))
        yield
