"""Budgets: what may be said, what is refused, and what a trace is found guilty of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redis_perf import Budget, BudgetExceeded, Limit, NothingMeasured, Spend, at_most, between, exactly, warm
from redis_perf.check import check
from redis_perf.limit import LatencyLimit
from redis_perf.trace import Opened, Operation, Problem, Purpose, RoundTrip, Store, Trace
from redis_perf.verdict import Breach, Unmeasured, Verdict, verdict


def trip(
    at: int,
    *shapes: str,
    store: Store = "redis",
    purpose: Purpose = "work",
    size: int | None = 10,
    commits: int = 0,
    name: str | None = None,
) -> RoundTrip:
    return RoundTrip(
        store=store,
        connection=1,
        operations=tuple(Operation(shape.split()[0], shape) for shape in shapes),
        started_ns=at,
        ended_ns=at + 1,
        sent_bytes=size,
        received_bytes=size,
        purpose=purpose,
        commits=commits,
        name=name,
        server="127.0.0.1:6379",
    )


THREE = Trace((trip(0, "GET a"), trip(1, "GET a", "GET b"), trip(2, "SELECT ?", store="postgres", commits=1)))


@pytest.mark.parametrize(
    ("limit", "allowed", "refused", "text"),
    [
        (exactly(2), [2], [1, 3], "exactly 2"),
        (at_most(2), [0, 1, 2], [3], "2"),
        (between(1, 3), [1, 2, 3], [0, 4], "1 to 3"),
        (exactly(0), [0], [1], "exactly 0"),
    ],
)
def test_a_limit_allows_its_range(limit: Limit, allowed: list[int], refused: list[int], text: str) -> None:
    assert [n for n in allowed + refused if limit.allows(n)] == allowed
    assert str(limit) == text


def test_limits_are_values() -> None:
    assert exactly(2) == Limit(low=2, high=2)
    assert Budget(redis=1) == Budget.of(redis=1)
    assert Budget.of(redis=1, streams=2) == Budget(redis=1, servers={"streams": 2})


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: exactly(True), TypeError, "exactly(n=True): expected an int of 0 or more"),
        (lambda: exactly(-1), ValueError, "exactly(n=-1): expected an int of 0 or more"),
        (lambda: at_most(1.5), TypeError, "at_most(n=1.5): expected an int of 0 or more"),
        (lambda: at_most(-2), ValueError, "at_most(n=-2): expected an int of 0 or more"),
        (lambda: between("1", 2), TypeError, "between(a='1'): expected an int of 0 or more"),
        (lambda: between(1, -2), ValueError, "between(b=-2): expected an int of 0 or more"),
        (lambda: between(3, 2), ValueError, "between(3, 2): expected the smaller number first"),
        (
            lambda: Spend(),
            ValueError,
            "Spend() limits nothing: expected at least one of round_trips, operations, statements, commands, commits, "
            "connections, bytes, sent_bytes, received_bytes, depth, setup",
        ),
        (
            lambda: Spend(setup=True),
            ValueError,
            "Spend(setup=True) limits nothing: expected at least one of round_trips, operations, statements, commands, "
            "commits, connections, bytes, sent_bytes, received_bytes, depth, setup",
        ),
        (
            lambda: Spend(commits="1"),
            TypeError,
            "Spend(commits='1'): expected an int of 0 or more, exactly(n), at_most(n), between(a, b)",
        ),
        (
            lambda: Spend(depth=True),
            TypeError,
            "Spend(depth=True): expected an int of 0 or more, exactly(n), at_most(n), between(a, b)",
        ),
        (
            lambda: Spend(setup=-1),
            ValueError,
            "Spend(setup=-1): expected an int of 0 or more, exactly(n), at_most(n), between(a, b)",
        ),
        (
            lambda: Spend(statements=1, commands=1),
            ValueError,
            "Spend: statements and commands are the same number: expected one of them",
        ),
        (
            lambda: Budget(),
            ValueError,
            "Budget() limits nothing: expected redis, postgres, depth, latency or a server's name",
        ),
        (
            lambda: Budget(redis=True),
            TypeError,
            "Budget(redis=True): expected an int of 0 or more, exactly(n), at_most(n), between(a, b) or Spend(...)",
        ),
        (
            lambda: Budget(postgres=-1),
            ValueError,
            "Budget(postgres=-1): expected an int of 0 or more, exactly(n), at_most(n), between(a, b) or Spend(...)",
        ),
        (
            lambda: Budget(depth="3"),
            TypeError,
            "Budget(depth='3'): expected an int of 0 or more, exactly(n), at_most(n), between(a, b)",
        ),
        (
            lambda: Budget.of(streams=None),
            TypeError,
            "Budget(streams=None): expected an int of 0 or more, exactly(n), at_most(n), between(a, b) or Spend(...)",
        ),
        (
            lambda: Budget(servers={7: 1}),
            TypeError,
            "Budget(servers={7: ...}): expected a server's name or address (str)",
        ),
        (lambda: Budget(servers=3), TypeError, "Budget(servers=3): expected a mapping of server names to budgets"),
        (lambda: Budget(redis=1, allow_nothing=1), TypeError, "Budget(allow_nothing=1): expected True or False"),
        (
            lambda: Budget(redis=Spend(statements=1)),
            ValueError,
            "Budget(redis=Spend(statements=...)): redis has no statements: expected operations",
        ),
        (
            lambda: Budget(postgres=Spend(commands=1)),
            ValueError,
            "Budget(postgres=Spend(commands=...)): postgres has no commands: expected operations",
        ),
    ],
)
def test_a_bad_argument_is_refused_with_a_sentence(
    make: Callable[[], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "budget",
    [
        Budget(redis=2, postgres=1, depth=3),
        Budget(redis=exactly(2), postgres=between(0, 1)),
        Budget(redis=Spend(commands=exactly(3), depth=2, bytes=40, sent_bytes=20, received_bytes=20)),
        Budget(postgres=Spend(statements=1, commits=exactly(1), connections=0, setup=0)),
        Budget(servers={"127.0.0.1:6379": 3}),
    ],
)
def test_a_trace_that_kept_to_its_budget_passes(budget: Budget) -> None:
    assert verdict(THREE, budget) is None
    check(THREE, budget)


@pytest.mark.parametrize(
    ("spend", "measure", "limit", "seen"),
    [
        (1, "round_trips", 1, 2),
        (exactly(3), "round_trips", 3, 2),
        (Spend(operations=2), "operations", 2, 3),
        (Spend(commands=2), "commands", 2, 3),
        (Spend(bytes=39), "bytes", 39, 40),
        (Spend(sent_bytes=19), "sent_bytes", 19, 20),
        (Spend(received_bytes=19), "received_bytes", 19, 20),
        (Spend(depth=1), "depth", 1, 2),
    ],
)
def test_each_number_outside_its_limit_is_a_breach(
    spend: int | Limit | Spend, measure: str, limit: int, seen: int
) -> None:
    found = verdict(THREE, Budget(redis=spend))
    assert found is not None
    (breach,) = found.breaches
    assert (breach.who, breach.measure, breach.limit.high, breach.seen) == ("redis", measure, limit, seen)


def test_commits_connections_and_setup_have_limits_of_their_own() -> None:
    trace = Trace(
        (trip(0, "connect", store="postgres", purpose="setup"), trip(1, "COMMIT", store="postgres", commits=2)),
        opened=(Opened("postgres", 1, 0),),
    )
    found = verdict(trace, Budget(postgres=Spend(commits=1, connections=0, setup=0, round_trips=1)))
    assert found == Verdict(
        breaches=(
            Breach(who="postgres", measure="commits", limit=at_most(1), seen=2),
            Breach(who="postgres", measure="connections", limit=at_most(0), seen=1),
            Breach(who="postgres", measure="setup", limit=at_most(0), seen=1),
        )
    )


def test_setup_is_charged_only_where_the_budget_says_so() -> None:
    trace = Trace((trip(0, "HELLO", purpose="setup"), trip(1, "GET a")))
    assert verdict(trace, Budget(redis=1)) is None
    found = verdict(trace, Budget(redis=Spend(round_trips=1, setup=True)))
    assert found == Verdict(breaches=(Breach(who="redis", measure="round_trips", limit=at_most(1), seen=2),))


def test_transaction_control_is_charged() -> None:
    trace = Trace((trip(0, "BEGIN", store="postgres", purpose="transaction"),))
    assert verdict(trace, Budget(postgres=0)) is not None


def test_a_view_of_a_trace_is_charged_as_it_is_looked_at() -> None:
    trace = Trace((trip(0, "HELLO", purpose="setup"), trip(1, "GET a")))
    assert verdict(trace.setup, Budget(redis=exactly(1))) is None
    assert verdict(trace.every, Budget(redis=exactly(2))) is None


def test_depth_is_held_across_both_stores() -> None:
    found = verdict(THREE, Budget(depth=2))
    assert found == Verdict(breaches=(Breach(who="", measure="depth", limit=at_most(2), seen=3),))


def test_servers_are_budgeted_by_name() -> None:
    trace = Trace(
        (trip(0, "GET a", name="cache"), trip(1, "XADD s", name="streams"), trip(2, "XADD s", name="streams"))
    )
    assert verdict(trace, Budget.of(cache=1, streams=2)) is None
    found = verdict(trace, Budget.of(cache=1, streams=1))
    assert found == Verdict(breaches=(Breach(who="streams", measure="round_trips", limit=at_most(1), seen=2),))


@pytest.mark.parametrize("store", ["redis", "postgres", "streams"])
def test_a_budget_over_silence_proves_nothing(store: str) -> None:
    budget = Budget.of(**{store: 1})
    assert verdict(Trace(), budget) == Verdict(unmeasured=(Unmeasured(who=store),))
    with pytest.raises(NothingMeasured):
        check(Trace(), budget)


@pytest.mark.parametrize(
    "spend",
    [3, at_most(3), exactly(2), between(1, 2), Spend(commits=0), Spend(connections=0), Spend(setup=0)],
)
def test_silence_needs_a_zero_that_was_asked_for(spend: int | Limit | Spend) -> None:
    assert verdict(Trace(), Budget(redis=spend)) == Verdict(unmeasured=(Unmeasured(who="redis"),))


@pytest.mark.parametrize(
    "budget",
    [
        Budget(redis=0),
        Budget(redis=exactly(0)),
        Budget(redis=at_most(0)),
        Budget(redis=between(0, 3)),
        Budget(redis=Spend(round_trips=0, connections=3)),
        Budget(redis=Spend(commands=0)),
        Budget(redis=3, allow_nothing=True),
        Budget(depth=0),
        Budget(depth=5, allow_nothing=True),
    ],
)
def test_silence_is_right_where_zero_was_asked_for(budget: Budget) -> None:
    assert verdict(Trace(), budget) is None


def test_depth_over_silence_proves_nothing() -> None:
    assert verdict(Trace(), Budget(depth=3)) == Verdict(unmeasured=(Unmeasured(who=""),))


def test_setup_alone_is_traffic() -> None:
    assert verdict(Trace((trip(0, "HELLO", purpose="setup"),)), Budget(redis=1)) is None


def test_a_breach_outweighs_what_was_not_measured() -> None:
    with pytest.raises(BudgetExceeded):
        check(THREE, Budget.of(redis=1, streams=1))


@pytest.mark.parametrize("measure", ["bytes", "sent_bytes", "received_bytes"])
def test_bytes_that_were_not_seen_are_not_measured(measure: str) -> None:
    trace = Trace((trip(0, "GET a", size=None),))
    found = verdict(trace, Budget(redis=Spend(**{measure: 5})))
    assert found == Verdict(unmeasured=(Unmeasured(who="redis", measure=measure),))


def test_a_problem_of_one_store_does_not_fail_a_budget_on_the_other() -> None:
    problem = Problem("connection 1: what is this", "postgres", "127.0.0.1:5432", "orders")
    trace = Trace((trip(0, "GET a"),), problems=(problem,))
    assert verdict(trace, Budget(redis=1)) is None
    for budget in (
        Budget(postgres=0),
        Budget(redis=1, postgres=0),
        Budget(depth=1),
        Budget(servers={"orders": 0}),
        Budget(servers={"127.0.0.1:5432": 0}),
    ):
        assert verdict(trace, budget) == Verdict(problems=("connection 1: what is this",))
    assert verdict(trace, Budget(servers={"127.0.0.1:6379": 1})) is None


def test_a_problem_of_nobody_known_fails_any_budget() -> None:
    trace = Trace((trip(0, "GET a"),), problems=("connection 1: what is this",))
    assert verdict(trace, Budget(redis=1)) == Verdict(problems=("connection 1: what is this",))
    with pytest.raises(NothingMeasured):
        check(trace, Budget(redis=1))


def test_a_measure_is_not_taken_for_a_servers_name() -> None:
    with pytest.raises(ValueError, match="statements") as caught:
        Budget.of(redis=1, statements=0)
    expected = "Budget(statements=...): that is no store or server: expected redis=Spend(statements=...)"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("slip", "meant"), [("reddis", "redis"), ("postgress", "postgres"), ("allow_noting", "allow_nothing")]
)
def test_a_slip_of_the_pen_is_not_taken_for_a_server(slip: str, meant: str) -> None:
    with pytest.raises(ValueError, match="did you mean") as caught:
        Budget.of(**{slip: 0})
    assert str(caught.value) == (
        f"Budget({slip}=...): did you mean {meant}? "
        f"A server that is really called so goes into servers={{{slip!r}: ...}}"
    )


@pytest.mark.parametrize("name", ["streams", "pubsub", "cache", "redis_streams", "primary", "replica"])
def test_names_that_servers_have_are_no_slips(name: str) -> None:
    assert Budget.of(**{name: 2}).servers == {name: 2}


def test_a_latency_budget_is_the_longest_chain_at_a_round_trip_time() -> None:
    overlapping = Trace((*(trip(0, "GET a") for _ in range(10)), trip(2, "SELECT ?", store="postgres")))
    assert verdict(overlapping, Budget(latency="4ms@2ms")) is None
    assert verdict(overlapping, Budget(latency="3.9ms@2ms")) == Verdict(
        breaches=(Breach(who="", measure="latency", limit=Limit(high=3_900_000), seen=4_000_000),)
    )


def test_a_network_may_be_named() -> None:
    assert LatencyLimit.of("60ms@cross-region") == LatencyLimit(most_ns=60_000_000, round_trip_ns=30_000_000)


def test_a_latency_budget_over_no_traffic_proves_nothing() -> None:
    assert verdict(Trace(), Budget(latency="5ms@2ms")) == Verdict(unmeasured=(Unmeasured(who=""),))
    assert verdict(Trace(), Budget(latency="5ms@2ms", allow_nothing=True)) is None


@pytest.mark.parametrize(
    ("latency", "error", "text"),
    [
        ("5ms", ValueError, "latency='5ms': expected a time at a round-trip time, such as 5ms@2ms"),
        (5, TypeError, "latency=5: expected a time at a round-trip time, such as 5ms@2ms"),
        (
            "5@2ms",
            ValueError,
            "latency='5@2ms': '5' is not a time; give a number with a unit, such as 2ms",
        ),
        (
            "5ms@mars",
            ValueError,
            "latency='5ms@mars': 'mars' is not a network; give its round-trip time, such as 2ms, or same-host, "
            "same-zone, cross-zone, cross-region, cross-continent",
        ),
        ("5ms@0ms", ValueError, "latency='5ms@0ms': '0ms' is not a network: a round trip takes more than no time"),
    ],
)
def test_a_latency_that_makes_no_sense_is_named(latency: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as refused:
        Budget(latency=latency)  # type: ignore[arg-type]
    assert str(refused.value) == text


def test_a_latency_failure_leads_with_the_times() -> None:
    with pytest.raises(BudgetExceeded) as failure:
        check(THREE, Budget(latency="5ms@2ms"))
    assert str(failure.value).splitlines()[0] == (
        "latency: budget 5 ms, spent 6 ms   (depth 3 at 2 ms a trip, 3 round trips)"
    )


def test_a_warm_limit_allows_more_only_to_what_a_first_run_does() -> None:
    prepared = Trace((trip(0, store="postgres"), trip(1, "SELECT ?", store="postgres")))
    loaded = Trace((trip(0, "EVALSHA a"), trip(1, "SCRIPT LOAD"), trip(2, "EVALSHA a")))
    opened = Trace((trip(0, "GET a"), trip(1, "GET a")), opened=(Opened("redis", 1, 0),))
    just_more = Trace((trip(0, "GET a"), trip(1, "GET a")))
    budget = Budget(redis=warm(1, cold=3), postgres=warm(1, cold=2), allow_nothing=True)
    assert [verdict(trace, budget) for trace in (prepared, loaded, opened)] == [None, None, None]
    found = verdict(just_more, budget)
    assert found is not None
    assert [str(breach.limit) for breach in found.breaches] == ["1 (3 when cold)"]
    assert verdict(opened, Budget(redis=warm(0, cold=1))) is not None


def test_a_first_run_that_costs_less_is_refused() -> None:
    with pytest.raises(ValueError, match=r"warm\(3, cold=1\): expected a first run to cost no less"):
        warm(3, cold=1)
