"""The reports there are of a suite, by the name of their format: for the pytest plugin and for the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import redis_perf
from redis_perf.analysis.analysed import Analysed, analysed
from redis_perf.analysis.baseline import Entry
from redis_perf.suite import Suite
from redis_perf.uncollected import uncollected

FORMATS: Final = {
    "html": "a page to look into, with a waterfall for each test",
    "json": "numbers and findings for scripts",
    "sarif": "findings on the lines they are about, for code scanning",
    "trace": "everything that was seen, for `redisperf report`, `show` and `diff`",
    "markdown": "the dearest tests and the findings, for a page of text",
    "text": "the same for a terminal",
}
COMPARING: Final = ("html", "json", "markdown", "text")
"""Those that can show what was spent before."""


class Reporting:
    """The reports of one suite; it is analysed once for all that ask. Those that can show what was spent before, too,
    where there is a `baseline` (by test id)."""

    def __init__(self, suite: Suite, *, baseline: Mapping[str, Entry] | None = None) -> None:
        self.suite = suite
        self._baseline = baseline
        self._analysed: Analysed | None = None

    @property
    def analysed(self) -> Analysed:
        if self._analysed is None:
            with uncollected():
                self._analysed = analysed(self.suite)
        return self._analysed

    def pieces(self, form: str) -> Iterator[str]:
        """The report in pieces. Raises ValueError for a form that is none of FORMATS."""
        pieces = self._pieces(form)
        with uncollected():
            yield from pieces

    def _pieces(self, form: str) -> Iterator[str]:
        """Each format's code is loaded when it is asked for."""
        match form:
            case "html":
                from redis_perf.report.html import html

                return html(self.suite, baseline=self._baseline, analysed=self.analysed)
            case "json":
                from redis_perf.report.suite_json import summary

                return summary(self.analysed, baseline=self._baseline)
            case "sarif":
                from redis_perf.report.sarif import sarif

                return sarif(self.analysed, version=redis_perf.__version__, source_root=source_root(self.suite))
            case "trace":
                from redis_perf.report.suite_file import pieces

                return pieces(self.suite)
            case "markdown":
                from redis_perf.report.markdown import markdown

                return markdown(self.analysed, source_root=source_root(self.suite), baseline=self._baseline)
            case "text":
                from redis_perf.report.suite_text import suite_lines

                return (
                    f"{line}\n" for line in suite_lines(self.analysed, "redisperf", top=None, baseline=self._baseline)
                )
        raise ValueError(f"{form!r} is no report: expected one of {', '.join(FORMATS)}")


def source_root(suite: Suite) -> str | None:
    """The repository the suite lies in, to which paths in pull requests are relative; None: the suite's root is it."""
    if not suite.root:
        return None
    root = Path(suite.root)
    return next((str(each) for each in (root, *root.parents) if (each / ".git").exists()), None)
