"""The command `redisperf`: what can be counted and started on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint

import redis_perf
from redis_perf import ServerUnavailable, TapError, servers, taps
from redis_perf.recorder import Recorder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status: 0, or 1 when a client that is installed cannot be tapped."""
    parser = argparse.ArgumentParser(prog="redisperf", description=redis_perf.__doc__)
    parser.add_argument("--version", action="version", version=f"redisperf {redis_perf.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("taps", help="the client libraries that are counted, and the servers that can be started")
    parser.parse_args(arguments)
    return show_taps()


def show_taps() -> int:
    """Try every tap and every server of our own, and print what came of it."""
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
