"""The page in a browser: what people do with it, with a mouse, with the keyboard alone, and with much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from redis_perf.analysis.baseline import entry_of
from redis_perf.report.html import html
from redis_perf.suite import Broken, Outcome, Suite, Tested
from redis_perf.trace import Operation, RoundTrip, Site, Store, Trace

HOSTILE = "</script><img src=x onerror=alert(1)>\"'`&<!--\u2028\ud800"
Open = Callable[..., Any]


def trip(at: int, shape: str, *, store: Store = "redis", connection: int = 1, took: int = 100) -> RoundTrip:
    return RoundTrip(
        store,
        connection,
        (Operation(shape.split()[0], shape),),
        at * 1_000,
        (at + took) * 1_000,
        10,
        20,
        site=Site("app.py", 3, "f"),
        lane=f"task-{connection}",
        arguments=at,
    )


def ran(name: str, *trips: RoundTrip, outcome: Outcome = "passed") -> Tested:
    return Tested(nodeid=f"tests/test_a.py::{name}", outcome=outcome, phases={"call": Trace(trips)})


LOOP = tuple(trip(200 * at, "GET user:{}") for at in range(20))
AT_ONCE = tuple(trip(at, "GET badge:{}", connection=at, took=100) for at in range(1, 4))
SUITE = Suite(
    tests=(
        ran("test_small", trip(0, "SELECT 1", store="postgres")),
        ran("test_loop", *LOOP, outcome="failed"),
        ran("test_at_once", *AT_ONCE),
        ran("test_silent"),
    ),
    networks_ns=(2_000_000,),
    threshold=3,
)
BROKEN: tuple[Broken, ...] = ("budget", "ratchet", "n-plus-one")
NAMES = "[...document.querySelectorAll('#rows .test')].map((name) => name.lastChild.textContent)"
DETAIL = "!document.getElementById('detail').hidden && document.querySelector('#detail h1')"


def type_into(page: Any, element: str, value: str, event: str = "input") -> None:
    page.run(f"{element}.value = {value!r}; {element}.dispatchEvent(new Event({event!r}))")


def column(page: Any, number: int) -> list[str]:
    return page.run(
        f"[...document.querySelectorAll('#rows tr:not(.gap)')].map((row) => row.cells[{number}].textContent)"
    )


def test_tests_are_ranked_by_round_trips_and_by_whatever_is_asked(opened: Open) -> None:
    page = opened(html(SUITE))
    assert page.run(NAMES) == ["test_loop", "test_at_once", "test_small", "test_silent"]
    page.run("[...document.querySelectorAll('#columns button')].find((each) => each.textContent === 'Test').click()")
    assert page.run(NAMES) == ["test_at_once", "test_loop", "test_silent", "test_small"]
    assert page.run("document.querySelector('#columns [aria-sort=ascending]').textContent") == "Test"
    page.run("[...document.querySelectorAll('#columns button')].find((each) => each.textContent === 'Depth').click()")
    assert column(page, 5) == ["20", "1", "1", "0"]


def test_the_network_re_projects_every_test(opened: Open) -> None:
    page = opened(html(SUITE))
    assert (column(page, 8), column(page, 9)) == (["40 ms", "6 ms", "2 ms", "0 ms"], ["40 ms", "2 ms", "2 ms", "0 ms"])
    type_into(page, "document.getElementById('network')", "300")
    assert column(page, 8) == ["2 s", "300 ms", "100 ms", "0 ms"]
    assert column(page, 9) == ["2 s", "100 ms", "100 ms", "0 ms"]
    assert page.run("document.querySelector('#totals [data-live=total]').textContent") == "2.4 s"
    assert page.run("document.getElementById('network').getAttribute('aria-valuetext')") == "100 ms, between continents"
    type_into(page, "document.getElementById('network')", "0")
    assert column(page, 8) == ["2 ms", "300 \u00b5s", "100 \u00b5s", "0 ms"]


def test_a_failed_test_is_said_to_have_broken_a_budget_where_it_did(opened: Open) -> None:
    failed = [replace(ran(f"test_{broken}", outcome="failed"), verdict="more", broken=broken) for broken in BROKEN]
    page = opened(html(Suite(tests=(*failed, ran("test_by_itself", outcome="failed"), ran("test_well")))))
    assert sorted(column(page, 1)) == ["failed", "failed: N+1", "failed: budget", "failed: ratchet", "passed"]


def test_searching_and_filtering_leave_what_matches(opened: Open) -> None:
    page = opened(html(SUITE))
    type_into(page, "document.getElementById('search')", "LOOP test_a")
    assert page.run(NAMES) == ["test_loop"]
    assert page.run("document.getElementById('count').textContent") == "1 of 4 tests"
    type_into(page, "document.getElementById('search')", "nothing like it")
    assert page.run("!document.getElementById('none').hidden && document.getElementById('list').hidden")
    page.run("document.getElementById('clear').click()")
    type_into(page, "document.getElementById('outcome')", "failed")
    assert page.run(NAMES) == ["test_loop"]
    type_into(page, "document.getElementById('outcome')", "")
    type_into(page, "document.getElementById('store')", "postgres")
    assert page.run(NAMES) == ["test_small"]
    type_into(page, "document.getElementById('store')", "")
    page.run("document.getElementById('suspects').click()")
    assert page.run(NAMES) == ["test_loop"]


def test_the_keyboard_alone_opens_a_test_and_comes_back(opened: Open) -> None:
    page = opened(html(SUITE))
    page.run("document.querySelector('#rows a').focus()")
    page.press("ArrowDown")
    assert page.run("document.activeElement.textContent") == "test_at_oncetests/test_a.py"
    page.press("Enter")
    page.wait(DETAIL)
    assert page.run("document.activeElement.tagName") == "H1"
    page.press("j")
    page.wait("document.querySelector('#detail h1').textContent.startsWith('test_small')")
    page.press("k")
    page.wait("document.querySelector('#detail h1').textContent.startsWith('test_at_once')")
    page.press("Escape")
    page.wait("!document.getElementById('overview').hidden")
    assert page.run("document.activeElement.textContent") == "test_at_oncetests/test_a.py"
    page.press("/")
    assert page.run("document.activeElement.id") == "search"


def test_the_waterfall_has_a_bar_for_each_round_trip_and_tells_what_it_is(opened: Open) -> None:
    page = opened(html(SUITE), "#test-2")
    page.wait(f"{DETAIL} && document.querySelectorAll('g.bar').length")
    assert page.run("document.querySelectorAll('g.bar').length") == 3
    assert page.run("document.querySelectorAll('g.bar .path').length") == 1
    page.run("document.querySelector('.drawing').focus()")
    page.press("ArrowRight")
    page.press("ArrowRight")
    told = page.run("document.querySelector('.inspector').textContent")
    assert "GET badge:{}" in told
    assert "app.py:3 in f" in told
    assert "10 B sent, 20 B received" in told
    page.run("document.querySelector('details.every:not([open]) summary').click()")
    page.wait("document.querySelectorAll('details.every tbody tr').length === 3")


def test_steps_on_the_network_are_as_many_as_the_depth(opened: Open) -> None:
    page = opened(html(SUITE), "#test-2")
    page.wait(DETAIL)
    type_into(page, "document.querySelector('.controls select')", "steps")
    lefts = page.run("[...document.querySelectorAll('g.bar rect:first-child')].map((bar) => bar.getAttribute('x'))")
    assert len(lefts) == 3
    assert len(set(lefts)) == 1
    assert page.run("[...document.querySelectorAll('.axis text')].at(-1).textContent") == "0"


def test_a_finding_shows_where_it_is(opened: Open) -> None:
    page = opened(html(SUITE), "#findings")
    told = page.run("document.querySelector('#findings tbody').textContent")
    assert "20 x GET user:{}" in told
    assert "38 ms" in told
    page.run("document.querySelector('#findings a').click()")
    page.wait(DETAIL)
    page.run("document.querySelector('.problems button').click()")
    assert page.run("document.querySelectorAll('g.bar.marked').length") == 20


def test_with_a_baseline_it_tells_before_and_after(opened: Open) -> None:
    base = {
        "tests/test_a.py::test_at_once": entry_of(Trace(AT_ONCE[:1])),
        "tests/test_a.py::test_loop": entry_of(Trace(LOOP[:5])),  # it failed, so it may not have got to its end
        "tests/test_a.py::test_gone": {},
    }
    page = opened(html(SUITE, baseline=base))
    assert column(page, 11) == ["\u2013", "1 (+2)", "new", "new"]
    assert "1 test of the baseline did not run" in page.run("document.getElementById('overview').textContent")
    page.run("document.querySelectorAll('#rows a')[1].click()")
    page.wait(DETAIL)
    assert "Since the baseline" in page.run("document.getElementById('detail').textContent")


def test_hostile_names_are_shown_and_nothing_else(opened: Open) -> None:
    told = Tested(
        nodeid=f"tests/{HOSTILE}.py::{HOSTILE}", outcome="failed", file=HOSTILE, verdict=HOSTILE,
        phases={"call": Trace((trip(0, f"GET {HOSTILE}"),), problems=(HOSTILE,), notes=(HOSTILE,))},
    )  # fmt: skip
    page = opened(html(Suite(tests=(told,), incomplete=(HOSTILE,)), baseline={HOSTILE: {}}))
    page.run("document.querySelector('#rows a').click()")
    page.wait(DETAIL)
    page.run("document.querySelector('details.every:not([open]) summary').click()")
    assert page.run("document.images.length") == 0
    shown = HOSTILE.replace("\ud800", "\ufffd")
    assert page.run("document.querySelector('pre.verdict').textContent.toWellFormed()") == shown


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_chosen(opened: Open, theme: str) -> None:
    page = opened(html(SUITE))
    page.prefer(prefers_color_scheme=theme)
    ground = {"light": "rgb(251, 251, 250)", "dark": "rgb(20, 21, 23)"}
    assert page.run("getComputedStyle(document.body).backgroundColor") == ground[theme]
    page.run("localStorage.clear()")
    for chosen in ("light", "dark"):
        page.run("document.getElementById('theme').click()")
        assert page.run("getComputedStyle(document.body).backgroundColor") == ground[chosen]
    page.run("document.getElementById('theme').click(); localStorage.clear()")


def test_on_a_telephone_nothing_stands_out_to_the_side(opened: Open) -> None:
    page = opened(html(SUITE), width=390, height=844)
    for anchor in ("", "#findings", "#test-1"):
        page.run(f"location.hash = {anchor!r}")
        page.wait(DETAIL if "test" in anchor else "document.getElementById('detail').hidden")
        assert page.run("document.documentElement.scrollWidth") == 390


def test_an_empty_run_says_so(opened: Open) -> None:
    page = opened(html(Suite(incomplete=("no test ran",))))
    assert "no test ran" in page.run("document.querySelector('[role=alert]').textContent")
    assert page.run("document.getElementById('count').textContent") == "0 tests"


def test_of_ten_thousand_tests_only_those_on_the_screen_are_elements(opened: Open) -> None:
    calls = [trip(at * 200, "GET user:{}") for at in range(10)]
    page = opened(html(Suite(tests=tuple(ran(f"test_{at}", *calls) for at in range(10_000)))))
    assert page.run("document.getElementById('list').getAttribute('aria-rowcount')") == "10001"
    assert page.run("document.querySelectorAll('#rows tr').length") < 60
    page.run("document.querySelector('#rows a').focus()")
    page.press("End")
    assert page.run("document.activeElement.querySelector('.test').textContent") == "test_9999"
    assert page.run("document.querySelectorAll('#rows tr').length") < 60
    page.press("Enter")
    page.wait(f"{DETAIL}.textContent.startsWith('test_9999')")


def test_a_test_of_many_round_trips_is_drawn_in_few_bars_and_told_in_parts(opened: Open) -> None:
    many = ran("test_many", *(trip(at * 200, "GET user:{}") for at in range(20_000)))
    page = opened(html(Suite(tests=(many,))), "#test-0")
    page.wait(f"{DETAIL} && document.querySelectorAll('g.bar').length")
    assert page.run("document.querySelectorAll('g.bar').length") < 700
    page.run("document.querySelector('.drawing').focus()")
    page.press("ArrowRight")
    assert "round trips here" in page.run("document.querySelector('.inspector').textContent")
    page.run("document.querySelector('details.every summary').click()")
    page.wait("document.querySelectorAll('details.every tbody tr').length === 100")
    page.run("document.querySelectorAll('details.every tbody button')[70].click()")
    assert "Time100 \u00b5s, from 14 ms" in page.run("document.querySelector('.inspector').textContent")
