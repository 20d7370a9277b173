"""A suite as Markdown, for a page that people read before they read the log: totals, dearest tests, findings.

Whatever a user's code can put into it (names of tests, shapes) is text, never markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from redis_perf.analysis.analysed import Analysed
from redis_perf.analysis.baseline import Change, Entry, changes, missing
from redis_perf.analysis.findings import Finding
from redis_perf.analysis.tally import Tallies, total
from redis_perf.report.places import place_of
from redis_perf.report.rules import RULES
from redis_perf.report.units import count, duration
from redis_perf.suite import Suite, Tested

TESTS_SHOWN: Final = 20
FINDINGS_SHOWN: Final = 20
TEXT_CHARS: Final = 300
_NETWORKS_NS: Final = (2_000_000,)


def markdown(
    analysed: Analysed,
    *,
    top: int = TESTS_SHOWN,
    source_root: str | None = None,
    baseline: Mapping[str, Entry] | None = None,
) -> Iterator[str]:
    """The page, in pieces. With a baseline, by test id, also what was spent before."""
    suite = analysed.suite
    spent = list(zip(suite, analysed.calls, strict=True))
    whole = total(numbers for _, numbers in spent)
    yield "## Redis and Postgres round trips\n\n"
    for sentence in suite.incomplete:
        yield f"> **Incomplete:** {escaped(sentence)}\n\n"
    yield f"{count(len(spent), 'test')}: {whole.redis.round_trips} redis and {whole.postgres.round_trips} postgres "
    yield f"round trips, {count(whole.operations, 'operation')}, depth {whole.depth} in all.\n\n"
    yield from _dearest(spent, whole, suite, top)
    if baseline is not None:
        yield from _changes(changes(suite, baseline), len(missing(suite, baseline)), top)
    yield from _findings(analysed, source_root)


def _changes(changed: Sequence[Change], missing: int, top: int) -> Iterator[str]:
    yield "### Before and after\n\n"
    if changed:
        yield "| test | | before | after | change |\n|---|---|--:|--:|--:|\n"
    for change in changed[:top]:
        for each in change.differences:
            what = f"{each.store} {each.measure.replace('_', ' ')}"
            yield f"| {code(change.nodeid)} | {what} | {each.base} | {each.head} | {each.head - each.base:+d} |\n"
    more = f" {count(len(changed) - top, 'more test')} changed." if len(changed) > top else ""
    yield "\n" if changed else "No test spends other counts than its baseline says.\n\n"
    gone = f" {count(missing, 'test')} of the baseline did not run." if missing else ""
    if more or gone:
        yield f"{(more + gone).strip()}\n\n"


def _dearest(spent: list[tuple[Tested, Tallies]], whole: Tallies, suite: Suite, top: int) -> Iterator[str]:
    sent = [(tested, numbers) for tested, numbers in spent if numbers.operations]
    if not sent:
        yield "No test sent anything while it ran.\n\n"
        return
    networks = suite.networks_ns or _NETWORKS_NS
    costs = "".join(f" at {duration(ns)} |" for ns in networks)
    yield f"| test | redis | postgres | operations | depth |{costs}\n|---|--:|--:|--:|--:|{'--:|' * len(networks)}\n"
    sent.sort(key=lambda each: (-each[1].depth, -each[1].round_trips, each[0].nodeid))
    for tested, numbers in sent[:top]:
        yield _row(code(tested.nodeid), numbers, networks)
    if len(sent) > top:
        yield _row(f"... and {count(len(sent) - top, 'more test')}", total(n for _, n in sent[top:]), networks)
    yield _row("**in all**", whole, networks)
    yield "\n"


def _row(name: str, numbers: Tallies, networks_ns: tuple[int, ...]) -> str:
    counts = (numbers.redis.round_trips, numbers.postgres.round_trips, numbers.operations, numbers.depth)
    costs = (duration(numbers.depth * ns) for ns in networks_ns)
    return f"| {' | '.join([name, *map(str, counts), *costs])} |\n"


def _findings(analysed: Analysed, source_root: str | None) -> Iterator[str]:
    found = analysed.findings
    if not found:
        return
    yield "### What to look at\n\n"
    for finding in found[:FINDINGS_SHOWN]:
        yield f"- **{RULES[finding.rule].title}**{_where(finding, analysed.suite, source_root)}: {_text(finding)}\n"
    if len(found) > FINDINGS_SHOWN:
        yield f"- ... and {len(found) - FINDINGS_SHOWN} more\n"
    yield "\n"


def _where(finding: Finding, suite: Suite, source_root: str | None) -> str:
    place = place_of(finding, suite, source_root)
    return "" if place is None else f" at {code(f'{place.file}:{place.line}')}"


def _text(finding: Finding) -> str:
    first = finding.text.strip().partition("\n")[0]
    more = f" and {count(len(finding.tests) - 1, 'more test')}" if len(finding.tests) > 1 else ""
    return f"{code(_cut(first))} in {code(finding.test.nodeid)}{more}"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS else f"{text[: TEXT_CHARS - 3]}..."


def code(text: str) -> str:
    """As it is, in the type of code; also within a table."""
    return f"<code>{escaped(text)}</code>"


_MARKUP: Final = re.compile(r"[&<>\\`*_{}\[\]()#+!|~:@$\"'/\x00-\x1f\x7f\u2028\u2029\u0085-]")


def escaped(text: str) -> str:
    """Text that means nothing to Markdown or HTML: all it could be made of stands as a character reference."""
    return _MARKUP.sub(lambda found: " " if found[0] < " " else f"&#{ord(found[0])};", text)
