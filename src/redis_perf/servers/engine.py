"""The container engine of this machine, found as testcontainers finds it, and what is asked of it from outside a test.

Its packages are imported when asked for.
"""

from __future__ import annotations

import socket
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from redis_perf.errors import ServerUnavailable

USUAL = "unix:///var/run/docker.sock"
REMOVAL_DEADLINE_S = 10.0
OTHER_WAYS = "--redisperf-{store}=embedded, --redisperf-{store}=system or a URL"
LOOPBACK = frozenset({"localhost", "localnpipe", "127.0.0.1", "::1"})


def engine(store: str) -> Any:
    """testcontainers' client of the engine that answers here. Raises ServerUnavailable when there is none."""
    missing = [package for package in ("testcontainers", "docker") if find_spec(package) is None]
    if missing:
        raise ServerUnavailable(
            f"{store}=docker: the package {missing[0]} is not installed: pip install 'pytest-redisperf[docker]'; "
            f"other ways: {OTHER_WAYS.format(store=store)}"
        )
    clients = import_module("testcontainers.core.docker_client")
    where = clients.get_docker_host() or USUAL
    try:
        _knock(where)
        found = clients.DockerClient()
    except problems() as error:
        raise ServerUnavailable(
            f"{store}=docker: no container engine answers at {where} ({one_line(error)}): "
            f"start one or set DOCKER_HOST; other ways: {OTHER_WAYS.format(store=store)}"
        ) from error
    where = found.client.api.base_url
    if urlsplit(where).hostname not in LOOPBACK:
        found.client.close()
        raise ServerUnavailable(
            f"{store}=docker: the engine at {where} is on another machine, where we publish no port: it would be open "
            f"to that machine's network. Start the server there and give its URL, or {OTHER_WAYS.format(store=store)}"
        )
    return found


def _knock(where: str) -> None:
    """Raises OSError when nobody listens at a socket. (The client would leave its own open there, with a warning.)"""
    scheme, _, path = where.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.connect(path)


def remove(name: str) -> None:
    """After a crash: remove the container of this name with its files, waiting a while for it to exist."""
    client = engine("container").client
    deadline = time.monotonic() + REMOVAL_DEADLINE_S
    while not removed(client, name) and time.monotonic() < deadline:
        time.sleep(0.1)


def removed(client: Any, name: str) -> bool:
    """Whether the container of this name is gone or going, by our doing; False when there is none."""
    try:
        client.api.remove_container(name, force=True, v=True)
    except import_module("docker.errors").NotFound:
        return False
    except import_module("docker.errors").APIError as error:
        return "already in progress" in str(error)
    return True


def problems() -> tuple[type[Exception], ...]:
    """What the client raises: its own errors, and those of its HTTP library, which are OSErrors."""
    return (import_module("docker.errors").DockerException, OSError)


def one_line(error: Exception) -> str:
    """What the engine or its client had to say."""
    return " ".join(str(getattr(error, "explanation", None) or error).split())
