"""A free TCP port of the loopback, and starting again when somebody else was faster."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeVar

from redis_perf.errors import ServerUnavailable

Server = TypeVar("Server")

ATTEMPTS = 5
TAKEN = "Address already in use"


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def on_free_port(start: Callable[[int], Server]) -> Server:
    """What `start(port)` returns, tried with other ports while its failure says that the port was taken."""
    for _ in range(ATTEMPTS - 1):
        try:
            return start(free_port())
        except ServerUnavailable as failure:
            if TAKEN not in str(failure):
                raise
    return start(free_port())
