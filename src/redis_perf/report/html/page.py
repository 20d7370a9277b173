"""What is the same in every page: its markup, style and script, read from the files beside this one."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

STYLES: Final = ("page.css", "tests.css", "detail.css")
SCRIPTS: Final = (
    "format.js", "data.js", "elements.js", "tests.js", "findings.js", "steps.js", "bars.js", "waterfall.js",
    "trips.js", "detail.js", "page.js",
)  # fmt: skip
"""In the order they are run: one module, so that each may use the names of those before it."""
_DATA: Final = "<!-- data -->\n"


def before() -> str:
    """All that stands in front of the data."""
    return _page()[0]


def after() -> str:
    """All that stands behind it."""
    return _page()[1]


@cache
def style() -> str:
    return "\n".join(map(_read, STYLES))


@cache
def script() -> str:
    return "\n".join(map(_read, SCRIPTS))


@cache
def _page() -> tuple[str, str]:
    policy = (
        f"default-src 'none'; script-src '{_hash(script())}'; style-src '{_hash(style())}'; "
        "base-uri 'none'; form-action 'none'"
    )
    whole = _read("page.html")
    for name, text in (("policy", policy), ("style", style()), ("script", script())):
        whole = whole.replace(f"{{{{ {name} }}}}", text)
    head, _, tail = whole.partition(_DATA)
    return head, tail


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")


def _read(name: str) -> str:
    return files("redis_perf.report.html").joinpath("static", name).read_text("utf-8")
