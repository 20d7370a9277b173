"""The page as it is written: what it holds, that it holds it as data, and that it can be read in both themes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from redis_perf.analysis.baseline import Spent
from redis_perf.report.html import TESTS_A_BLOCK, html
from redis_perf.report.html.page import script, style
from redis_perf.suite import FixtureSpent, Suite, Tested
from redis_perf.trace import NOT_IMPORTED, Opened, Operation, Purpose, RoundTrip, Site, Store, Tapped, Trace

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`&<!--\u2028\ud800\x00{{ script }}"


def trip(
    at: int,
    shape: str = "GET user:{}",
    *,
    store: Store = "redis",
    connection: int = 1,
    took: int = 1_000,
    line: int = 3,
    purpose: Purpose = "work",
    server: str = "127.0.0.1:6379",
    arguments: int | None = None,
) -> RoundTrip:
    return RoundTrip(
        store,
        connection,
        (Operation(shape.split()[0], shape),),
        at * 1_000,
        at * 1_000 + took,
        10,
        20,
        site=Site("/home/ada/shop/app.py", line, "f"),
        purpose=purpose,
        lane="MainThread",
        server=server,
        arguments=arguments,
    )


def suite(*calls: Trace, **about: Any) -> Suite:
    tests = (
        Tested(nodeid=f"tests/test_a.py::test_{at}", outcome="passed", file="tests/test_a.py", phases={"call": call})
        for at, call in enumerate(calls)
    )
    return Suite(tests=tuple(tests), root="/home/ada/shop", **about)


class _Page(HTMLParser):
    """Every element with its attributes, and what stands in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self._inside, []).append(data)

    def data(self) -> dict[str, Any]:
        names = [about["id"] for tag, about in self.elements if (about.get("id") or "").startswith("data-")]
        return dict(zip(map(str, names), map(_unpacked, self.text["script"]), strict=False))


def _unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text), -15))


def data(made: Suite, **about: Any) -> dict[str, Any]:
    return _Page("".join(html(made, **about))).data()


def test_a_row_has_the_numbers_of_the_call() -> None:
    call = Trace((trip(0), trip(2, "SELECT 1", store="postgres"), trip(4, "HELLO", purpose="setup")))
    tests = data(suite(call))["data-rows"]["tests"]
    row = {name: column[0] for name, column in tests.items()}
    assert row == {
        "id": "tests/test_a.py::test_0", "outcome": "passed", "broken": None, "file": "tests/test_a.py", "line": None,
        "redis": 1, "postgres": 1, "depth": 2, "redis_operations": 1, "postgres_operations": 1,
        "sent": 20, "received": 40, "setup": 1, "outside": 0, "connections": 0, "commits": 0, "lost": 0,
        "problems": 0, "suspects": 0, "block": 0, "within": 0, "base": None,
    }  # fmt: skip


def test_round_trips_are_told_by_their_sort_and_four_numbers() -> None:
    block = data(suite(Trace((trip(0), trip(5, took=2_500), trip(9)))))["data-block-0"]
    (phase,) = block["tests"][0]["phases"]
    assert (phase["sorts"], phase["starts"], phase["took"]) == ([0, 0, 0], [0, 50, 40], [10, 25, 10])
    assert (phase["sent"], phase["received"], phase["chain"]) == ([10] * 3, [20] * 3, 1)
    assert block["sites"] == [["app.py", 3, "f"]]
    assert block["operations"] == [[["GET", "GET user:{}", False]]]
    assert block["sorts"] == [
        ["redis", "work", "complete", False, 1, "MainThread", "127.0.0.1:6379", 0, 0, 0, 0]
    ]  # fmt: skip


def test_the_longest_chain_is_that_of_the_analysis() -> None:
    at_once = Trace((trip(0), trip(2, connection=2, took=9_000), trip(3, connection=3), trip(20)))
    (phase,) = data(suite(at_once))["data-block-0"]["tests"][0]["phases"]
    assert (phase["depth"], phase["chain"]) == (3, [1, 0, 1, 1])


def test_a_problem_names_its_round_trips_and_adds_up_over_the_tests() -> None:
    loop = Trace(tuple(trip(at * 2, arguments=at) for at in range(4)))
    read = data(suite(loop, loop, threshold=3))
    (problem,) = read["data-block-0"]["tests"][1]["phases"][0]["problems"]
    assert (problem["kind"], problem["saves"], problem["trips"]) == ("N+1", 3, [0, 1, 2, 3])
    ((kind, text, site, _, total, tests),) = read["data-rows"]["problems"]
    assert (kind, site, total, tests) == ("N+1", ["app.py", 3, "f"], 6, [0, 1])
    assert text.startswith("4 x GET user:{}: ")
    assert data(suite(loop, threshold=0))["data-rows"]["problems"] == []


def test_a_baseline_is_what_was_before_and_what_did_not_run() -> None:
    base = {
        "tests/test_a.py::test_0": {"redis": Spent(round_trips=1, operations=1, shapes={"GET user:{}": 1})},
        "tests/test_a.py::test_gone": {},
    }
    read = data(suite(Trace((trip(0), trip(2))), Trace()), baseline=base)
    assert read["data-rows"]["tests"]["base"] == [[1, 1], None]
    assert read["data-rows"]["missing"] == ["tests/test_a.py::test_gone"]
    assert read["data-block-0"]["tests"][0]["change"] == {
        "counts": [["redis", "round_trips", 1, 2], ["redis", "operations", 1, 2]],
        "shapes": [["redis", "GET user:{}", 1, 2]],
    }
    assert read["data-block-0"]["tests"][1]["change"] is None


def test_a_client_that_was_imported_on_the_way_is_not_called_not_imported() -> None:
    before = Tapped("psycopg", "postgres", "3.3", NOT_IMPORTED, seen=0)
    never = Tapped("asyncpg", "postgres", "0.32", NOT_IMPORTED, seen=0)
    after = Tapped("psycopg", "postgres", "3.3 (libpq 18.6)", seen=1)
    read = data(suite(Trace(taps=(before, never)), Trace(taps=(after, never))))["data-rows"]
    assert read["taps"] == [["asyncpg", "0.32", NOT_IMPORTED, 0], ["psycopg", "3.3 (libpq 18.6)", None, 1]]


def test_what_is_missing_and_who_was_listened_to_stands_in_front() -> None:
    call = Trace((trip(0),), taps=(Tapped("redis-py", "redis", "8.1.0", seen=1), Tapped("psycopg", "postgres")))
    read = data(suite(call, call, incomplete=("worker gw1 crashed",), networks_ns=(500_000,)))["data-rows"]
    assert read["incomplete"] == ["worker gw1 crashed"]
    assert read["taps"] == [["redis-py", "8.1.0", None, 2]]
    assert read["servers"] == [["redis", "127.0.0.1:6379", 2]]
    assert read["networks_ns"] == [500_000]


def test_blocks_end_so_that_none_grows_with_the_suite() -> None:
    tests = data(suite(*[Trace((trip(0),))] * (2 * TESTS_A_BLOCK + 1)))
    assert [len(tests[f"data-block-{at}"]["tests"]) for at in range(3)] == [TESTS_A_BLOCK, TESTS_A_BLOCK, 1]
    assert tests["data-rows"]["tests"]["block"][-1] == 2


def test_pieces_are_made_as_they_are_asked_for() -> None:
    class Endless(tuple[Tested, ...]):
        def __iter__(self) -> Iterator[Tested]:
            for at in range(10**9):
                yield Tested(nodeid=f"test_{at}", outcome="passed", phases={"call": Trace((trip(0),))})

    pieces = html(Suite(tests=Endless()))
    assert max(len(next(pieces)) for _ in range(6)) < 200_000


def test_nothing_of_a_suite_is_written_as_markup() -> None:
    call = Trace(
        (trip(0, HOSTILE, server=HOSTILE),), (Opened("redis", 1, 0, HOSTILE),), problems=(HOSTILE,), notes=(HOSTILE,)
    )
    fixture = FixtureSpent(name=HOSTILE, scope="function", when="setup", trace=call)
    hostile = Tested(
        nodeid=f"tests/{HOSTILE}.py::{HOSTILE}", outcome="failed", file=HOSTILE, phases={"call": call},
        fixtures=(fixture,), verdict=HOSTILE,
    )  # fmt: skip
    page = "".join(html(Suite(tests=(hostile,), root="/", incomplete=(HOSTILE,)), baseline={HOSTILE: {}}))
    calm = "".join(html(suite(Trace((trip(0),)))))
    assert _Page(page).elements == _Page(calm).elements
    assert "alert(1)" not in page
    assert page.encode("utf-8").decode("utf-8") == page
    assert _Page(page).data()["data-rows"]["tests"]["id"] == [f"tests/{HOSTILE}.py::{HOSTILE}"]


def test_passwords_are_not_in_it() -> None:
    call = Trace((trip(0, server="redis://ada:secret@cache"),), problems=("redis://ada:secret@cache is gone",))
    told = Tested(
        nodeid="test_a[redis://ada:secret@cache]", outcome="failed", phases={"call": call}, verdict="pwd=secret"
    )
    read = data(Suite(tests=(told,), incomplete=("redis://ada:secret@cache",)))
    assert "secret" not in json.dumps(read)
    assert json.dumps(read).count("***") >= 5


def test_the_policy_allows_the_own_script_and_style_and_nothing_else() -> None:
    page = _Page("".join(html(Suite())))
    (policy,) = (about["content"] for _, about in page.elements if "Content-Security-Policy" in about.values())
    hashes = [
        "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (page.text["script"][-1], page.text["style"][0])
    ]
    assert policy == (
        f"default-src 'none'; script-src '{hashes[0]}'; style-src '{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )
    assert not [about for _, about in page.elements if "src" in about or "style" in about or "onclick" in about]


def test_the_script_makes_no_markup_and_asks_for_nothing() -> None:
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
        "http:",
        "</",
    ):
        assert forbidden not in script().replace("http://www.w3.org/2000/svg", ""), forbidden


THEMES = {
    "light": r":root \{(.*?)\}",
    "dark": r':root\[data-theme="dark"\] \{(.*?)\}',
    "dark by preference": r":root:not\(\[data-theme\]\) \{(.*?)\}",
}
TEXT = ("text", "muted", "link", "bad", "warn", "good")
GROUNDS = ("ground", "panel", "raised")
GRAPHICS = ("redis", "postgres", "mixed", "chain", "strong-line", "focus")


def colours(theme: str) -> dict[str, str]:
    found = re.search(THEMES[theme], style(), re.DOTALL)
    assert found
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", found[1]))


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_graphics_stand_out_as_wcag_aa_asks(theme: str) -> None:
    colour = colours(theme)
    texts = {(text, ground): 4.5 for text in TEXT for ground in GROUNDS}
    texts |= {("warn", "warn-ground"): 4.5, ("text", "warn-ground"): 4.5, ("panel", "redis"): 4.5}
    texts |= {("panel", "postgres"): 4.5, ("panel", "mixed"): 4.5, ("ground", "text"): 4.5}
    graphics = {(graphic, ground): 3.0 for graphic in GRAPHICS for ground in ("ground", "panel")}
    too_faint = {
        pair: round(contrast(colour[pair[0]], colour[pair[1]]), 2)
        for pair, least in (texts | graphics).items()
        if contrast(colour[pair[0]], colour[pair[1]]) < least
    }
    assert too_faint == {}


def test_both_ways_to_a_dark_page_are_the_same() -> None:
    assert colours("dark") == colours("dark by preference")
