"""A suite's findings as GitHub's workflow commands, which it shows as annotations on the lines they name.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from redis_perf.analysis.analysed import Analysed
from redis_perf.analysis.findings import BROKEN, Finding
from redis_perf.report.places import place_of
from redis_perf.report.rules import RULES, level_of, told
from redis_perf.suite import Suite

MOST: Final = 10
"""GitHub shows no more annotations of one kind for a step."""
_COMMANDS: Final = ("error", "warning")
_SHOWN: Final = frozenset({"budget", "ratchet", "n-plus-one"})


def annotation_lines(analysed: Analysed, source_root: str | None = None) -> Iterator[str]:
    """An error for what failed tests, a warning for each other suspected N+1, ten of each at most: the dearest."""
    shown = [each for each in analysed.findings if each.rule in _SHOWN]
    for command in _COMMANDS:
        for finding in [each for each in shown if level_of(each) == command][:MOST]:
            yield _annotation(command, finding, analysed.suite, source_root)


def _annotation(command: str, finding: Finding, suite: Suite, source_root: str | None) -> str:
    place = place_of(finding, suite, source_root)
    at = {} if place is None else {"file": place.file, "line": str(place.line)}
    properties = {**at, "title": RULES[finding.rule].title}
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    text = f"{finding.text.strip()}\nin {finding.test.nodeid}" if finding.rule in BROKEN else told(finding)
    return f"::{command} {listed}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
