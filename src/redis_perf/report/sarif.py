"""A suite's findings as SARIF 2.1.0, for whatever shows them beside the code: pull requests, editors.

Written for GitHub's code scanning, which wants a place for each result, paths relative to the repository and a
fingerprint that stays the same when lines move. https://docs.oasis-open.org/sarif/sarif/v2.1.0/
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeAlias
from urllib.parse import quote

from redis_perf.analysis.analysed import Analysed
from redis_perf.analysis.findings import Finding
from redis_perf.report.places import Place, loop_of, place_of
from redis_perf.report.rules import RULES, About, level_of, tests_named

Json: TypeAlias = dict[str, object]

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
SHOWN: Final = 5_000
"""GitHub shows no more results of one run."""
_IDS: Final = {rule: f"redisperf/{rule}" for rule in RULES}


def sarif(analysed: Analysed, *, version: str, source_root: str | None = None) -> Iterator[str]:
    """The document, in pieces. `version` is this package's; `source_root` as in `redis_perf.report.places`."""
    results = list(_results(analysed, source_root))
    run: Json = {
        "tool": {
            "driver": {
                "name": "pytest-redisperf",
                "semanticVersion": version,
                "rules": [_rule(_IDS[rule], about) for rule, about in RULES.items()],
            }
        },
        "columnKind": "unicodeCodePoints",
        "automationDetails": {"id": "redisperf/"},
        "invocations": [
            {
                "executionSuccessful": not analysed.suite.incomplete,
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": sentence}} for sentence in analysed.suite.incomplete
                ],
            }
        ],
        "results": results[:SHOWN],
    }
    yield json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)
    yield "\n"


def _rule(identity: str, about: About) -> Json:
    return {
        "id": identity,
        "name": about.name,
        "shortDescription": {"text": about.title},
        "fullDescription": {"text": f"{about.title}. {about.help}"},
        "help": {"text": about.help, "markdown": about.help},
        "defaultConfiguration": {"level": about.level},
        "properties": {"tags": ["performance"]},
    }


def _results(analysed: Analysed, source_root: str | None) -> Iterator[Json]:
    alike: Counter[str] = Counter()
    for finding in analysed.findings:
        place = place_of(finding, analysed.suite, source_root)
        if place is not None:
            print_ = _fingerprint(finding, place)
            alike[print_] += 1
            loop = loop_of(finding, analysed.suite, source_root)
            yield _result(finding, place, f"{print_}:{alike[print_]}") | _related(loop)


def _result(finding: Finding, place: Place, fingerprint: str) -> Json:
    return {
        "ruleId": _IDS[finding.rule],
        "ruleIndex": list(RULES).index(finding.rule),
        "level": level_of(finding),
        "message": {"text": _message(finding)},
        "locations": [
            _physical(place) | {"logicalLocations": [{"fullyQualifiedName": finding.test.nodeid, "kind": "function"}]}
        ],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
        "properties": {"saves": finding.saves, "tests": len(finding.tests)},
    }


def _physical(place: Place) -> Json:
    artifact = {"uri": quote(place.file, errors="replace"), "uriBaseId": "%SRCROOT%"}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": place.line}}}


def _related(loop: Place | None) -> Json:
    if loop is None:
        return {}
    return {"relatedLocations": [{"id": 1, "message": {"text": "the loop it is asked in"}} | _physical(loop)]}


def _message(finding: Finding) -> str:
    """A literal `[text](target)` would be a link; braces stand as they are, for there are no arguments."""
    text = f"{finding.text.strip()}\nIn {tests_named(finding)}."
    return text.replace("](", "\\](")


def _fingerprint(finding: Finding, place: Place) -> str:
    """Of everything but line numbers."""
    about = "\0".join((finding.rule, place.file, place.function, finding.about))
    return hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest()[:16]
