"""`redisperf run -- COMMAND`: what any command, in any language, spends on Redis and Postgres.

Exit status: the command's own; 128 and the signal's number when a signal ended it; 100 when the command succeeded
and a budget is overspent or proves nothing; 2 when it could not be started as asked, 127 when there is no such
command and 126 when it cannot be executed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Final

from redis_perf import Budget, BudgetExceeded, NothingMeasured, ServerUnavailable, Trace
from redis_perf.check import check
from redis_perf.commands import CommandError, child, upstreams
from redis_perf.commands.trace_file import check_writable, write_trace
from redis_perf.report.overview import overview, shape_lines

OVERSPENT: Final = 100
SHAPES: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "redisperf run [options] -- COMMAND [arguments]"  # argparse would call the command "..."
    upstreams.add_arguments(parser, default="embedded")
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        type=_allowance,
        metavar="NAME=N",
        help="at most N round trips of redis, postgres or a server's name, or N deep (depth); may be given again; "
        f"exit status {OVERSPENT} if overspent",
    )
    parser.add_argument("--out", metavar="FILE", help="write the trace there, for `redisperf show` and `diff`")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        type=_variable,
        metavar="VARIABLE=TEMPLATE",
        help="one more variable for the command: CACHE={redis} or DB_USER={postgres.user}; may be given again",
    )
    parser.add_argument("--quiet", action="store_true", help="no summary")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run, with its arguments")


def _allowance(text: str) -> tuple[str, int]:
    name, equals, number = text.partition("=")
    if not equals or not name.isidentifier() or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=N, as redis=10")
    return name, int(number)


def _variable(text: str) -> tuple[str, str]:
    name, equals, template = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: expected VARIABLE=TEMPLATE, as CACHE_URL={{redis}}")
    return name, template


def run(arguments: argparse.Namespace) -> int:
    """Raises CommandError when servers, proxy or files cannot be had as asked."""
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise CommandError("no command: expected redisperf run [options] -- COMMAND [arguments]")
    names = upstreams.names(arguments)
    budget = _budget(arguments)
    upstreams.environment(dict.fromkeys(names, "redis://host:1/0"), arguments.env)  # before servers are started for it
    if arguments.out:
        check_writable(arguments.out)
    with upstreams.proxied(arguments) as proxy:
        urls = {name: proxy.url(name) for name in proxy.names}
        try:
            status = child.run(words, upstreams.environment(urls, arguments.env))
            trace = proxy.trace()
        except child.NotStarted as error:
            print(f"redisperf run: {error}", file=sys.stderr)
            return error.status
        except ServerUnavailable as error:
            print(f"redisperf run: {error}", file=sys.stderr)
            return status or OVERSPENT
    if not arguments.quiet:
        _say(_summary(trace))
    status = _judged(trace, budget, status)
    if arguments.out:
        write_trace(arguments.out, trace)
    return status


def _budget(arguments: argparse.Namespace) -> Budget | None:
    allowances = dict(arguments.budget)
    known = {"redis", "postgres", "depth", *(name for name, _ in arguments.server)}
    for name in allowances:
        if name not in known:
            raise CommandError(f"--budget {name}: no such server; there are {', '.join(sorted(known))}")
    return Budget.of(**allowances) if allowances else None


def _judged(trace: Trace, budget: Budget | None, status: int) -> int:
    if budget is not None:
        try:
            check(trace, budget)
        except (BudgetExceeded, NothingMeasured) as failure:
            _say(str(failure).splitlines())
            return status or OVERSPENT
    return status


def _summary(trace: Trace) -> Iterator[str]:
    yield from overview(trace, "redisperf")
    if trace.charged:
        yield from shape_lines(trace, top=SHAPES)


def _say(lines: Iterator[str] | list[str]) -> None:
    """On standard error: standard output is the command's."""
    for line in lines:
        print(line, file=sys.stderr)
