"""Which suspects an ignore is about, and how one is written."""

from __future__ import annotations

import pytest

from redis_perf.analysis.ignoring import Ignore
from redis_perf.analysis.n_plus_one import n_plus_one
from redis_perf.trace import Operation, Path, RoundTrip, Site, Trace

(SUSPECT,) = n_plus_one(
    Trace(
        tuple(
            RoundTrip(
                store="redis",
                connection=1,
                operations=(Operation("GET", "GET user:{}"),),
                started_ns=10 * at,
                ended_ns=10 * at + 1,
                sent_bytes=1,
                received_bytes=1,
                site=Site("/project/app/users.py", 10, "load"),
                path=Path(
                    callers=(Site("/project/app/views.py", 21, "render"), Site("/lib/other.py", 3, "main")),
                    key=1,
                    loop=Site("/project/app/views.py", 20, "render"),
                ),
            )
            for at in range(3)
        )
    )
)


@pytest.mark.parametrize(
    ("shape", "site", "matches"),
    [
        (None, None, True),
        ("GET user:*", None, True),
        ("GET user:{}", None, True),
        ("get user:*", None, False),
        ("SET *", None, False),
        (None, "app/users.py", True),
        (None, "app/*", True),
        (None, "app/users.py:10", True),
        (None, "app/users.py:11", False),
        (None, "app/views.py:20", True),
        (None, "app/views.py:21", True),
        (None, "render", True),
        (None, "/lib/*", True),
        (None, "users.py", False),
        ("GET *", "app/users.py", True),
        ("SET *", "app/users.py", False),
        ("GET *", "app/legacy.py", False),
    ],
)
def test_shape_and_site_must_both_match(shape: str | None, site: str | None, matches: bool) -> None:
    assert Ignore(shape=shape, site=site).matches(SUSPECT, "/project") is matches


@pytest.mark.parametrize(
    ("text", "ignore"),
    [
        ("GET user:*", Ignore(shape="GET user:*")),
        (" GET user:* @ app/legacy.py ", Ignore(shape="GET user:*", site="app/legacy.py")),
        ("@ app/legacy.py", Ignore(site="app/legacy.py")),
        ("SELECT * FROM t WHERE a @> ? @ app/*", Ignore(shape="SELECT * FROM t WHERE a @> ?", site="app/*")),
        ("SELECT * FROM t WHERE a @> ?", Ignore(shape="SELECT * FROM t WHERE a @> ?")),
    ],
)
def test_a_line_is_shape_at_site(text: str, ignore: Ignore) -> None:
    assert Ignore.parse(text) == ignore
    assert Ignore.parse(str(ignore)) == ignore


@pytest.mark.parametrize("text", ["", "  ", "@", " @ "])
def test_a_line_that_ignores_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ignores nothing; give SHAPE"):
        Ignore.parse(text)
