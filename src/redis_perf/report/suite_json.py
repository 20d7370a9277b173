"""A suite as one JSON document of numbers, findings and costs: for scripts and dashboards.

Stable: within one version names keep their meaning and new ones may be added. `summary.schema.json` beside this file
is its JSON Schema. Single round trips are not in it; those are in the suite file (`redis_perf.report.suite_file`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from operator import attrgetter
from typing import Final, TypeAlias

from redis_perf.analysis.analysed import Analysed
from redis_perf.analysis.baseline import MEASURES, NOTHING, STORES, Entry, before, entry_of, missing, shape_changes
from redis_perf.analysis.findings import BROKEN, Finding
from redis_perf.analysis.tally import NOTHING as NOTHING_SENT
from redis_perf.analysis.tally import NUMBERS, Tallies, Tally, tallies, total
from redis_perf.analysis.waste import connecting
from redis_perf.report.places import relative
from redis_perf.suite import WHENS, FixtureSpent, Suite, Tested, When
from redis_perf.trace import NOT_IMPORTED, Site, Tapped, Trace

Json: TypeAlias = dict[str, object]

FORMAT: Final = "redisperf-summary"
VERSION: Final = 1
_encoded: Final = json.JSONEncoder(check_circular=False).encode
_CHANGE: Final = ("store", "asked", "before", "after")
_OF_TALLY: Final = attrgetter(*NUMBERS)
_TALLY_TEXT: Final = "{" + ", ".join([f'"{number}": %s' for number in NUMBERS]) + "}"


def schema() -> Json:
    """The JSON Schema of the document."""
    found: Json = json.loads(files("redis_perf.report").joinpath("summary.schema.json").read_text(encoding="utf-8"))
    return found


def summary(analysed: Analysed, *, baseline: Mapping[str, Entry] | None = None) -> Iterator[str]:
    """The document, in pieces: test after test, then what they add up to. With a baseline, by test id, also what was
    spent before."""
    yield f'{{\n"format": "{FORMAT}",\n"version": {VERSION},\n"tests": ['
    sums: dict[When, list[Tallies]] = {when: [] for when in WHENS}
    suite, seen = analysed.suite, _Seen()
    for index, (tested, call, found) in enumerate(zip(suite, analysed.calls, analysed.found, strict=True)):
        phases = tested.phases.items()
        spent = {when: call if when == "call" else tallies(trace) for when, trace in phases}
        for when, numbers in spent.items():
            sums[when].append(numbers)
        seen.add(tested)
        yield (",\n" if index else "\n") + _test(tested, spent, found, suite, _before(tested, baseline))
    yield "\n],\n" + ",\n".join(
        f"{json.dumps(name)}: {json.dumps(value)}"
        for name, value in (_whole(suite, sums, seen) | _missing(suite, baseline)).items()
    )
    yield "\n}\n"


class _Seen:
    """What is gathered over all tests on the way."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.taps: dict[tuple[str, str | None], Tapped] = {}
        self.problems: dict[str, None] = {}

    def add(self, tested: Tested) -> None:
        self.outcomes[tested.outcome] = self.outcomes.get(tested.outcome, 0) + 1
        for trace in tested.phases.values():
            for tap in trace.taps:
                known = self.taps.get((tap.name, tap.version), tap)
                self.taps[tap.name, tap.version] = tap if known.problem == NOT_IMPORTED else known
            for problem in trace.problems:
                self.problems.setdefault(str(problem))

    def taps_met(self) -> list[Tapped]:
        """Without what was said of clients before they were imported."""
        met = {tap.name for tap in self.taps.values() if tap.problem != NOT_IMPORTED}
        return [tap for tap in self.taps.values() if tap.problem != NOT_IMPORTED or tap.name not in met]


def _whole(suite: Suite, sums: dict[When, list[Tallies]], seen: _Seen) -> Json:
    call = total(sums["call"])
    return {
        "totals": {
            "tests": len(suite.tests),
            "outcomes": seen.outcomes,
            "phases": {when: _tallies(total(each)) for when, each in sums.items()},
            "projections": _projections(call, suite.networks_ns),
        },
        "incomplete": list(suite.incomplete),
        "networks_ns": list(suite.networks_ns),
        "problems": list(seen.problems),
        "taps": [
            {"name": tap.name, "store": tap.store, "version": tap.version, "problem": tap.problem}
            for tap in seen.taps_met()
        ],
    }


def _test(tested: Tested, spent: dict[When, Tallies], found: tuple[Finding, ...], suite: Suite, before: Json) -> str:
    """As JSON."""
    phases = ", ".join([f'"{when}": {_phase(tested.phases[when], numbers)}' for when, numbers in spent.items()])
    about: Json = {
        "nodeid": tested.nodeid,
        "outcome": tested.outcome,
        "file": tested.file,
        "line": tested.line,
        "verdict": tested.verdict,
        "broken": tested.broken if tested.verdict is not None else None,
        "projections": _projections(spent["call"], suite.networks_ns) if "call" in spent else [],
        **_found(tested, found, suite),
        "fixtures": [_fixture(fixture) for fixture in tested.fixtures],
        **before,
    }
    return f'{_encoded(about)[:-1]}, "phases": {{{phases}}}}}'


def _before(tested: Tested, baseline: Mapping[str, Entry] | None) -> Json:
    if baseline is None:
        return {}
    base = before(tested, baseline)
    if base is None:
        return {"before": None}
    counts: Json = {
        store: {measure: getattr(base.get(store, NOTHING), measure) for measure in MEASURES} for store in STORES
    }
    changed = shape_changes(base, entry_of(tested.call))
    return {"before": counts | {"shapes": [dict(zip(_CHANGE, each, strict=True)) for each in changed]}}


def _missing(suite: Suite, baseline: Mapping[str, Entry] | None) -> Json:
    return {} if baseline is None else {"missing": missing(suite, baseline)}


def _phase(trace: Trace, numbers: Tallies) -> str:
    """As JSON; that of a phase that sent nothing is made once."""
    if numbers is NOTHING_SENT and not (trace.children or trace.problems or trace.notes):
        return _NOTHING
    return _phase_text(trace, numbers)


def _phase_text(trace: Trace, numbers: Tallies) -> str:
    """Put together by hand, for there is one for each test: numbers are their own JSON, and seldom is there more."""
    problems, notes = (json.dumps(list(texts)) if texts else "[]" for texts in (trace.problems, trace.notes))
    return (
        f'{{"redis": {_tally_text(numbers.redis)}, "postgres": {_tally_text(numbers.postgres)}, '
        f'"depth": {numbers.depth}, "children": {trace.children}, "problems": {problems}, "notes": {notes}}}'
    )


def _tally_text(numbers: Tally) -> str:
    return _TALLY_TEXT % tuple(["null" if number is None else number for number in _OF_TALLY(numbers)])


def _tallies(numbers: Tallies) -> Json:
    return {
        "redis": _tally(numbers.redis), "postgres": _tally(numbers.postgres), "depth": numbers.depth,
    }  # fmt: skip


def _tally(numbers: Tally) -> Json:
    return dict(zip(NUMBERS, _OF_TALLY(numbers), strict=True))


_NOTHING: Final = _phase_text(Trace(), NOTHING_SENT)


def _projections(numbers: Tallies, networks_ns: Sequence[int]) -> list[Json]:
    return [
        {"round_trip_ns": ns, "floor_ns": numbers.depth * ns, "total_ns": numbers.round_trips * ns}
        for ns in networks_ns
    ]


def _found(tested: Tested, of_test: tuple[Finding, ...], suite: Suite) -> Json:
    found = [_finding(finding, suite) for finding in of_test if finding.rule not in BROKEN]
    opening = connecting(tested.call.opened, tested.call.setup) if tested.call.opened else None
    opened = [Finding(rule="connecting", text=opening.text, tests=(), saves=opening.saves)] if opening else []
    return {
        "suspects": [each for each in found if each["rule"] == "n-plus-one"],
        "waste": [
            *(each for each in found if each["rule"] != "n-plus-one"),
            *(_finding(each, suite) for each in opened),
        ],
    }


def _finding(finding: Finding, suite: Suite) -> Json:
    nowhere = {"file": None, "line": None, "function": None}
    return {
        "rule": finding.rule,
        "text": finding.text,
        "saves": finding.saves,
        "asked": finding.about,
        **(nowhere if finding.site is None else _site(finding.site, suite)),
        "loop": None if finding.loop is None else _site(finding.loop, suite),
    }


def _site(site: Site, suite: Suite) -> Json:
    """A file outside of the suite by its name alone: where it lies is nobody else's business."""
    file = relative(site.file, suite.root) or site.file.replace("\\", "/").rpartition("/")[2]
    return {"file": file, "line": site.line, "function": site.function}


def _fixture(spent: FixtureSpent) -> Json:
    numbers = tallies(spent.trace.every)
    return {"name": spent.name, "scope": spent.scope, "when": spent.when, **_tallies(numbers)}
