"""`redisperf diff base.jsonl head.jsonl`: what changed from one trace to another."""

from __future__ import annotations

import argparse
import json
import sys

from redis_perf.commands import CommandError
from redis_perf.commands.output import write
from redis_perf.commands.show import TOP, top
from redis_perf.commands.trace_file import STANDARD_INPUT, name_of, read_trace
from redis_perf.report.changed import change_lines, rise_text
from redis_perf.report.numbers import difference
from redis_perf.trace import Trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="the trace from before; - reads standard input")
    parser.add_argument("head", metavar="HEAD", help="the trace from after; - reads standard input")
    parser.add_argument("--json", action="store_true", help="the numbers as JSON")
    parser.add_argument("--top", type=top, default=TOP, metavar="N", help=f"shapes shown (default {TOP}; 0: all)")
    parser.add_argument(
        "--fail-on-increase",
        action="store_true",
        help="exit status 1 when charged round trips, operations, commits or depth rose",
    )


def run(arguments: argparse.Namespace) -> int:
    """Raises CommandError when a file cannot be read."""
    if arguments.base == arguments.head == STANDARD_INPUT:
        raise CommandError("only one of BASE and HEAD can be standard input (-): give the other as a file")
    base, head = read_trace(arguments.base), read_trace(arguments.head)
    if arguments.json:
        write([json.dumps(difference(base, head), indent=2)])
    else:
        write(change_lines(base, head, (name_of(arguments.base), name_of(arguments.head)), top=arguments.top))
    return _failed(base, head, name_of(arguments.head)) if arguments.fail_on_increase else 0


def _failed(base: Trace, head: Trace, name: str) -> int:
    """A head that was not seen whole proves nothing, as with budgets."""
    risen = rise_text(base, head)
    if risen:
        print(f"redisperf diff: increased: {risen}", file=sys.stderr)
    elif head.problems:
        print(f"redisperf diff: {name} was not seen whole, so it proves no absence of an increase", file=sys.stderr)
    return int(bool(risen or head.problems))
