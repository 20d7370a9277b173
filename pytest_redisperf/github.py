"""`--redisperf-github`: annotations on the lines that failed budgets and suspects are about, and a step summary.

Both only within a GitHub Actions step, so the option can stand in the ini file. Under xdist the one process that prints
does it once.
"""

from __future__ import annotations

import os

import pytest

from redis_perf.report.github import annotation_lines
from redis_perf.report_formats import Reporting, source_root

SUMMARY_BYTES = 1 << 20
"""GitHub takes no step summary that is larger."""


def annotate(reporting: Reporting, terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    root = source_root(reporting.suite)
    for line in annotation_lines(reporting.analysed, root):
        terminalreporter.write_line(line)
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        try:
            _append(path, "".join(reporting.pieces("markdown")))
        except OSError as error:
            terminalreporter.write_line(f"redisperf: the step summary {path} cannot be written: {error.strerror}")


def _append(path: str, text: str) -> None:
    room_bytes = SUMMARY_BYTES - (os.path.getsize(path) if os.path.exists(path) else 0)
    lines, used = [], 0
    for line in text.encode("utf-8", "backslashreplace").splitlines(keepends=True):
        used += len(line)
        if used > room_bytes:
            break
        lines.append(line)
    with open(path, "ab") as file:
        file.writelines(lines)
