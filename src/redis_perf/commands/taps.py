"""`redisperf taps`: what can be counted and started on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

from redis_perf import ServerUnavailable, TapError, servers, taps
from redis_perf.recorder import Recorder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(arguments: argparse.Namespace) -> int:
    """Try every tap and every server of our own. Returns 1 when a client that is installed cannot be tapped."""
    print("clients")
    broken = False
    for point in taps.installed():
        try:
            found = _found(point)
        except TapError as error:
            broken, found = True, f"cannot be tapped: {error}"
        print(f"  {point.name:<10} {found}")
    for line in _servers():
        print(line, flush=True)
    return int(broken)


def _found(point: EntryPoint) -> str:
    recorder = Recorder()
    with point.load()(recorder):
        found = [tap for tap in recorder.trace(0).taps if tap.name == point.name]
    return ", ".join(f"{tap.version or ''} {tap.problem or 'counted'}".strip() for tap in found) or "says nothing"


def _servers() -> Iterator[str]:
    for store, start, choices in (
        ("redis", servers.redis, ("fake", "embedded", "system")),
        ("postgres", servers.postgres, ("embedded", "system")),
    ):
        yield f"servers for --redisperf-{store}="
        for choice in choices:
            yield f"  {choice:<10} {_started(start, choice)}"


def _started(start: Callable[[str], servers.RedisServer | servers.PostgresServer], choice: str) -> str:
    try:
        server = start(choice)
    except ServerUnavailable as error:
        return f"not to be had: {error}"
    try:
        return server.version
    finally:
        server.stop()
