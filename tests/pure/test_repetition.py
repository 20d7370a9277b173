"""Which counts vary between runs, and the cause that the traces show."""

from __future__ import annotations

from redis_perf.analysis.repetition import Variation, variations
from redis_perf.trace import Opened, Operation, RoundTrip, Store, Trace


def trip(*shapes: str, store: Store = "redis", failed: bool = False) -> RoundTrip:
    operations = tuple(Operation(shape.split()[0], shape, failed) for shape in shapes)
    return RoundTrip(store, 1, operations, 0, 1, 1, 1)


def test_runs_that_are_alike_vary_in_nothing() -> None:
    assert variations([Trace((trip("GET a"),)), Trace((trip("GET b"),))]) == []


def test_a_script_that_the_first_run_loaded_is_the_cause() -> None:
    cold = Trace((trip("EVALSHA a", failed=True), trip("EVAL a")))
    warm = Trace((trip("EVALSHA a"),))
    causes = ("a script was loaded",)
    assert variations([cold, warm, warm]) == [
        Variation(store="redis", measure="round_trips", counts=(2, 1, 1), causes=causes),
        Variation(store="redis", measure="operations", counts=(2, 1, 1), causes=causes),
    ]


def test_a_statement_that_a_later_run_prepared_is_the_cause() -> None:
    usual = Trace((trip("SELECT ?", store="postgres"),))
    prepared = Trace((trip(store="postgres"), trip("SELECT ?", store="postgres")))
    (found,) = variations([usual, usual, prepared])
    assert (found.counts, found.causes) == ((1, 1, 2), ("a statement was prepared",))


def test_a_pool_that_grew_is_the_cause() -> None:
    grown = Trace((trip("GET a"), trip("PING")), opened=(Opened("redis", 2, 0),))
    (trips, _) = variations([grown, Trace((trip("GET a"),))])
    assert trips.causes == ("connections were opened",)


def test_where_no_cause_is_known_the_shapes_are_named() -> None:
    (trips, _) = variations([Trace((trip("GET a"),)), Trace((trip("GET a"), trip("SET a"), trip("GET a")))])
    assert trips.causes == ("GET a was asked more often", "SET a was asked more often")
