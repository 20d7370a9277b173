"""A suite as one page that needs no network: `html(suite)` yields it in pieces, each small enough to hold.

The page has its data in blocks of compressed JSON, some tests in each, which it reads when a test is looked at; last
comes a row for each test, which it reads at once. Nothing of a suite is written as markup: it is data until the page's
script makes text of it, and the page's policy allows no other script. docs/html-report.md has the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from redis_perf.analysis.analysed import Analysed, seen
from redis_perf.analysis.baseline import Entry
from redis_perf.analysis.baseline import before as before_of
from redis_perf.report.html.details import Block
from redis_perf.report.html.embedded import embedded, encoded
from redis_perf.report.html.page import after, before
from redis_perf.report.html.rows import Rows
from redis_perf.suite import Suite

TRIPS_A_BLOCK = 4_000
TESTS_A_BLOCK = 200


def html(
    suite: Suite, *, baseline: Mapping[str, Entry] | None = None, analysed: Analysed | None = None
) -> Iterator[str]:
    """The page. With a baseline, by test id, it also shows what was spent before. Without `analysed`, each test is
    analysed as it is written."""
    yield before()
    rows = Rows(suite, baseline)
    block, number = Block(suite.root), 0
    looks = analysed.seen if analysed is not None else seen(suite, suite.threshold)
    for tested, look in zip(suite, looks, strict=True):
        if block.trips >= TRIPS_A_BLOCK or len(block) >= TESTS_A_BLOCK:
            yield _ended(block, number, rows)
            block, number = Block(suite.root), number + 1
        base = None if baseline is None else before_of(tested, baseline)
        block.add(tested, look, base)
        rows.add(tested, look, number, len(block) - 1, base)
    yield _ended(block, number, rows)
    yield embedded("rows", encoded(rows.values()))
    yield after()


def _ended(block: Block, number: int, rows: Rows) -> str:
    text = block.text()
    rows.block_ended(block)
    return embedded(f"block-{number}", text)
