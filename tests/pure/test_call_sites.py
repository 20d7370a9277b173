"""Which round trip on the wire is which one seen inside its client, by literals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redis_perf.analysis.call_sites import located
from redis_perf.trace import Answer, Operation, RoundTrip, Site

HERE, THERE = Site("app.py", 1, "here"), Site("app.py", 2, "there")


def trip(
    started_ns: int,
    ended_ns: int,
    *shapes: str,
    site: Site | None = None,
    client: str | None = "127.0.0.1:50000",
    connection: int = 1,
    answer: Answer = "complete",
) -> RoundTrip:
    return RoundTrip(
        store="redis",
        connection=connection,
        operations=tuple(Operation(shape.partition(" ")[0], shape) for shape in shapes),
        started_ns=started_ns,
        ended_ns=ended_ns,
        sent_bytes=None,
        received_bytes=None,
        site=site,
        lane="MainThread" if site else None,
        client=client,
        answer=answer,
    )


INSIDE = [trip(0, 10, "GET a", site=HERE), trip(20, 30, "GET a", site=THERE)]
FIRST, SECOND = trip(2, 9, "GET a"), trip(22, 29, "GET a")


def sites(wire: list[RoundTrip], inside: list[RoundTrip]) -> list[Site | None]:
    return [each.site for each in located(wire, inside)]


def test_each_has_the_line_and_the_lane_of_the_one_that_ends_next_inside() -> None:
    assert located([FIRST, SECOND], INSIDE) == (
        replace(FIRST, site=HERE, lane="MainThread"),
        replace(SECOND, site=THERE, lane="MainThread"),
    )


def test_the_order_inside_does_not_matter() -> None:
    assert sites([FIRST, SECOND], INSIDE[::-1]) == [HERE, THERE]


def test_that_inside_it_was_noted_a_little_late_does_not_matter() -> None:
    late = [replace(INSIDE[0], started_ns=5), replace(INSIDE[1], started_ns=25)]
    assert sites([FIRST, SECOND], late) == [HERE, THERE]


def test_another_connection_is_another_matter() -> None:
    assert sites([replace(FIRST, client="127.0.0.1:50001")], INSIDE) == [None]


def test_a_unix_socket_has_no_name_to_be_known_by() -> None:
    assert sites([replace(FIRST, client=None)], [replace(each, client=None) for each in INSIDE]) == [None]


def test_what_was_asked_elsewhere_is_not_guessed() -> None:
    assert sites([replace(FIRST, operations=(Operation("GET", "GET b"),))], INSIDE) == [None]


def test_before_the_first_and_after_the_last_seen_inside_nothing_is_known() -> None:
    assert sites([trip(-9, -2, "GET a"), trip(32, 39, "GET a")], INSIDE) == [None, None]


def test_one_on_the_wire_that_was_two_of_different_lines_inside_has_none() -> None:
    assert sites([trip(2, 29, "GET a", "GET a")], INSIDE) == [None]


def test_one_on_the_wire_that_was_two_of_one_line_has_that() -> None:
    both = [replace(each, site=HERE) for each in INSIDE]
    assert sites([trip(2, 29, "GET a", "GET a")], both) == [HERE]


def test_two_on_the_wire_that_were_one_inside_have_its_line() -> None:
    inside = [trip(0, 10, "GET a", "GET b", site=HERE)]
    assert sites([trip(1, 4, "GET a"), trip(5, 9, "GET b")], inside) == [HERE, HERE]


def test_a_port_may_be_used_again() -> None:
    inside = [INSIDE[0], replace(INSIDE[1], connection=2)]
    assert sites([FIRST, replace(SECOND, connection=2)], inside) == [HERE, THERE]


@pytest.mark.parametrize("answer", ["in flight", "lost"])
def test_one_without_an_answer_is_known_by_its_beginning(answer: Answer) -> None:
    inside = [INSIDE[0], replace(INSIDE[1], answer=answer)]
    assert sites([FIRST, trip(22, 22 if answer == "in flight" else 31, "GET a", answer=answer)], inside) == [
        HERE,
        THERE,
    ]


def test_one_that_is_owed_nothing_has_no_end_to_be_known_by() -> None:
    assert sites([replace(FIRST, answer="none owed")], INSIDE) == [None]


def test_a_connect_is_known_by_its_name_for_the_wire_hears_of_it_whenever() -> None:
    inside = [trip(0, 1, "CONNECT", site=HERE), trip(2, 9, "GET a", site=THERE)]
    assert sites([trip(5, 5, "CONNECT"), trip(6, 8, "GET a")], inside) == [HERE, THERE]
