"""asyncpg, on asyncio and uvloop: counted from the bytes its protocol object sends and is handed.

The protocol class that connections are made with is replaced by a subclass, which stands between the transport and
asyncpg's own protocol. asyncpg parses what arrives at once and waits for nothing but the end of an answer, so arrival
is looking; except in COPY FROM, where it streams without waiting for leave: nothing is looked at before its end.

A TCP connect is one round trip, so is a TLS handshake besides the request for it. What asyncpg asks on its own account
(the types of a schema, `RESET ALL` when a connection goes back to its pool) is setup: see `housekeeping`. A cancel
request has a connection of its own and no answer; it is not counted. Nor is that `close` waits until the server has
hung up: that is as long as a round trip, but there is no reply.

Where asyncpg's own coroutine is a task (`gather`, `create_task`) the user's line is the one that made it.

Connections that were open before are taken up at their next use. What they had prepared then is shown as
`prepared statement not seen`. On uvloop only those can be that were opened under an earlier recording: the others
are a problem of the trace, which fails budgets, since they cannot be counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module

from redis_perf.recorder import Recorder
from redis_perf.taps import of_client
from redis_perf.trace import Tapped


@of_client("asyncpg", "postgres", "asyncpg")
@contextmanager
def asyncpg(recorder: Recorder) -> Iterator[None]:
    """Record what asyncpg connections send while the block runs.

    Raises TapError when asyncpg has not the hook points needed, or is tapped already.
    """
    try:
        client = import_module("asyncpg")
    except ImportError as missing:
        problem = "not installed" if missing.name == "asyncpg" else str(missing)
        recorder.tapped(Tapped("asyncpg", "postgres", problem=problem))
        yield
        return
    from redis_perf.taps.asyncpg.listening import Listeners
    from redis_perf.taps.asyncpg.patches import patch

    listeners = Listeners(recorder)
    with ExitStack() as stack:
        stack.callback(listeners.release)
        patch(client, listeners, stack)
        recorder.tapped(Tapped("asyncpg", "postgres", version=client.__version__))
        yield
