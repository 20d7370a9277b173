"""psycopg 3, sync and async, in all its builds: counted from libpq's own message trace.

Every operation of psycopg is a generator that something waits on (`Connection.wait`), and the replies to a statement
are awaited by a few generators of `psycopg.generators` (`execute`, `fetch`). Both are wrapped: the wait is when
its connection's trace may be read, the generators are when something was sent and when its answer had come, which
gives each of several round trips of one wait its own time. New connections are traced from `PQconnectStart` on, so
their handshake is counted; others are taken up at their next wait.

Large results: libpq formats every row into the trace, which costs more than reading it. When a reply is about to be
read and much of it is waiting already, the trace is off until the reply is complete, and the generator's end tells
how it went (`SETTLED`). That is safe because such a generator only receives: whatever psycopg sends next it sends
after it has ended, with the trace on again. Not done in pipelines and for COPY, where the single messages are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from redis_perf.recorder import Recorder
from redis_perf.taps import of_client
from redis_perf.trace import Tapped


@of_client("psycopg", "postgres", "psycopg")
@contextmanager
def psycopg(recorder: Recorder) -> Iterator[None]:
    """Record what psycopg connections send while the block runs.

    Raises TapError when psycopg has not the hook points needed, or its libpq cannot be traced, or it is tapped already.
    """
    try:
        import psycopg as client
    except ImportError as missing:
        problem = "not installed" if missing.name == "psycopg" else str(missing)
        recorder.tapped(Tapped("psycopg", "postgres", problem=problem))
        yield
        return
    from redis_perf.taps.libpq import Libpq, describe
    from redis_perf.taps.psycopg.connections import Connections
    from redis_perf.taps.psycopg.patches import patch

    libpq = Libpq(client.pq)
    build = f"{client.__version__} ({client.pq.__impl__}, libpq {describe(libpq.version)})"
    connections = Connections(recorder, libpq)
    with ExitStack() as stack:
        stack.callback(connections.release)
        patch(client, connections, stack)
        recorder.tapped(Tapped("psycopg", "postgres", version=build))
        yield
