"""`redisperf proxy`: stands before servers until interrupted, then prints what passed."""

from __future__ import annotations

import argparse
import signal

from redis_perf.commands import CommandError, upstreams
from redis_perf.commands.output import write
from redis_perf.commands.trace_file import check_writable, write_trace
from redis_perf.proxy import Proxy
from redis_perf.report.overview import overview, shape_lines

SHAPES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    upstreams.add_arguments(parser, default=upstreams.NONE)
    parser.add_argument(
        "--listen",
        action="append",
        default=[],
        type=_place,
        metavar="NAME=HOST:PORT",
        help="where to listen for this server (default: a free port of 127.0.0.1); may be given again",
    )
    parser.add_argument("--out", metavar="FILE", help="write the trace there at the end")


def _place(text: str) -> tuple[str, tuple[str, int]]:
    name, equals, place = text.partition("=")
    host, colon, port = place.rpartition(":")
    if not equals or not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=HOST:PORT, as redis=127.0.0.1:6390")
    return name, (host.strip("[]") or "127.0.0.1", int(port))


def run(arguments: argparse.Namespace) -> int:
    """Returns 0 once it was interrupted or told to end. Raises CommandError when it cannot stand there."""
    places, names = dict(arguments.listen), upstreams.names(arguments)
    for name in places:
        if name not in names:
            raise CommandError(f"--listen {name}: no server of that name; there are {', '.join(names)}")
    if arguments.out:
        check_writable(arguments.out)
    ends = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with upstreams.proxied(arguments, places, may_be_down=True) as proxy:
            write(f"{name}  {proxy.url(name)}" for name in proxy.names)
            signal.sigwait(ends)
            _end(proxy, arguments.out)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 0


def _end(proxy: Proxy, out: str | None) -> None:
    trace = proxy.trace()
    write(overview(trace, "redisperf"))
    if trace.charged:
        write(shape_lines(trace, top=SHAPES))
    if out:
        write_trace(out, trace)
