"""The command `redisperf`: finds the verb, reads its arguments, turns what stops it into one line and a status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import redis_perf
from redis_perf.commands import CommandError

VERBS: Final = {
    "taps": "the client libraries that are counted, and the servers that can be started",
    "run": "run a command and count what it spends, in any language",
    "proxy": "stand before servers until interrupted, counting",
    "show": "what a trace file or a suite file holds",
    "diff": "what changed from one trace file or suite file to another",
    "report": "reports of a run of tests, from its suite file",
}
"""Each is a module of `redis_perf.commands`."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command. Returns the verb's exit status, or 2 when the verb could not be carried out."""
    given = list(sys.argv[1:] if words is None else words)
    verb = given[0] if given and given[0] in VERBS else None
    parser, of_verb = _parsers(verb)
    arguments, unknown = parser.parse_known_args(given)  # ends the process for --version, --help, and errors
    if unknown or verb is None:
        of_verb.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        status: int = import_module(f"redis_perf.commands.{verb}").run(arguments)
    except CommandError as error:
        print(f"redisperf {verb}: {error}", file=sys.stderr)
        return 2
    return status


def _parsers(chosen: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """All verbs, of which only the chosen one is loaded and knows its arguments; and the parser of that one."""
    parser = of_chosen = argparse.ArgumentParser(prog="redisperf", description=redis_perf.__doc__)
    parser.add_argument("--version", action="version", version=f"redisperf {redis_perf.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, about in VERBS.items():
        of_verb = verbs.add_parser(verb, help=about, description=about)
        if verb == chosen:
            import_module(f"redis_perf.commands.{verb}").add_arguments(of_verb)
            of_chosen = of_verb
    return parser, of_chosen
