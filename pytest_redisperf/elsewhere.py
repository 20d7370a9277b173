"""A server that another process starts, so that it takes no time from ours: see `redis_perf.servers.starter`."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import handing_over
from redis_perf.servers.starter import TAKEN

Server = TypeVar("Server")


class HandedOver(Generic[Server]):
    """What that process will hand over on its channel."""

    def __init__(self, channel: socket.socket, otherwise: Callable[[], Server], lend: Callable[[Any], object]) -> None:
        """`otherwise` starts the server where that process does not, `lend` is given the databases of a Postgres."""
        self._channel = channel
        self._otherwise = otherwise
        self._lend = lend
        os.register_at_fork(after_in_child=channel.close)

    def result(self) -> Server:
        """Waits for it. Raises ServerUnavailable."""
        try:
            ready: Any = handing_over.receive(self._channel)
        except (EOFError, OSError):
            self._channel.close()  # what comes yet is not wanted any more
            return self._otherwise()
        if isinstance(ready, ServerUnavailable):
            raise ready
        with contextlib.suppress(OSError):  # that process has gone; the server is ours all the same
            self._channel.sendall(TAKEN)
        if ready.lending is not None:
            self._lend(ready.lending)
        server: Server = ready.server
        return server

    def stop(self) -> None:
        """Not wanted, or not any more. What nobody took ends; what is made for later runs is made now."""
        self._channel.close()
