"""What is found, in words: what it means and what to do about it, for reports that explain themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from redis_perf.analysis.findings import Finding, Rule
from redis_perf.report.units import count

Level: TypeAlias = Literal["error", "warning", "note"]
TESTS_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """`help` is a sentence or two for people who have not heard of it."""

    name: str
    title: str
    help: str
    level: Level


RULES: Final[dict[Rule, About]] = {
    "budget": About(
        name="BudgetNotKept",
        title="A test spent more round trips than its budget allows",
        help="Each round trip is a wait for the network: at 2 ms a trip, 50 of them are 100 ms. Look at the lines the "
        "failure names; raise the budget only if the code has to ask more than before.",
        level="error",
    ),
    "ratchet": About(
        name="MoreThanBaseline",
        title="A test spent more round trips than the baseline says it did",
        help="Look at the shapes that are asked more often than before. If that is right, write the baseline anew with "
        "--redisperf-update-baseline=yes and have it reviewed.",
        level="error",
    ),
    "n-plus-one": About(
        name="SuspectedNPlusOne",
        title="The same question is asked again and again, one round trip each",
        help="Ask once for all: MGET, HMGET, a pipeline or MULTI for Redis; = ANY($1), unnest, executemany or eager "
        "loading for Postgres. The cost then no longer grows with the data.",
        level="warning",
    ),
    "cold-script": About(
        name="ScriptLoadedOnTheWay",
        title="A Lua script was loaded where it is used",
        help="Load scripts once at start, so that each use is one EVALSHA.",
        level="note",
    ),
    "lonely-transaction": About(
        name="TransactionAroundOneStatement",
        title="BEGIN and COMMIT around a single statement",
        help="A single statement is a transaction by itself. With autocommit it is one round trip instead of three.",
        level="note",
    ),
    "prepare": About(
        name="StatementPreparedOnTheWay",
        title="A round trip that only prepared a statement",
        help="psycopg prepares what it is asked often; prepare_threshold=None leaves that out, a pool keeps what was "
        "prepared.",
        level="note",
    ),
    "connecting": About(
        name="ConnectionOpenedInside",
        title="A connection was opened where it is used",
        help="A pool, or a client that lives longer, keeps connections open.",
        level="note",
    ),
    "keys": About(
        name="KeysCommand",
        title="KEYS looks at every key of the server",
        help="The server serves nobody else meanwhile. Use SCAN, or keep a set of the keys.",
        level="warning",
    ),
    "large-reply": About(
        name="LargeReply",
        title="A reply of a MiB or more",
        help="Its transfer takes longer than round trips saved elsewhere. Ask for less, or in parts.",
        level="note",
    ),
    "repeated-read": About(
        name="RepeatedRead",
        title="The same was read again, with nothing written in between",
        help="Keep the first answer, in a variable or a cache of the request, and hand it on.",
        level="note",
    ),
}


def level_of(finding: Finding) -> Level:
    """What failed a test is an error."""
    return "error" if finding.failed else RULES[finding.rule].level


def told(finding: Finding) -> str:
    """The finding in one line, with the tests it is of."""
    first = finding.text.strip().partition("\n")[0]
    return f"{first} (in {tests_named(finding)})"


def tests_named(finding: Finding) -> str:
    """`test_a, test_b, test_c and 2 more tests`: those it is of."""
    names = ", ".join(tested.nodeid for tested in finding.tests[:TESTS_NAMED])
    more = len(finding.tests) - TESTS_NAMED
    return f"{names} and {count(more, 'more test')}" if more > 0 else names
