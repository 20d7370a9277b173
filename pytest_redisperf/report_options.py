"""The settings of what is made of the numbers of a whole run, each declared once. Any of them makes the run metered."""

from __future__ import annotations

import pytest

from pytest_redisperf.option import Option, Values, flag, value


class _OneOf:
    """Reads one of these words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def __call__(self, text: str) -> str:
        if text in self._words:
            return text
        raise ValueError(f"{text!r} is not one of {' and '.join(self._words)}; paths go before it, or after =VALUE")


def _times(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 1:
        return int(text)
    raise ValueError(f"{text!r} is no number of runs to compare; give a whole number from 2")


REPORT_OPTIONS = (
    Option(
        "redisperf_write_budgets",
        _OneOf("diff", "write"),
        None,
        "make what each test spent its budget, as a marker in the source: diff (the default) shows it, write writes it",
        metavar="diff|write",
        bare="diff",
    ),
    Option(
        "redisperf_baseline",
        str,
        None,
        "compare what each test spends with this file",
        metavar="FILE",
    ),
    Option(
        "redisperf_update_baseline",
        _OneOf("yes", "in-ci"),
        None,
        "write what was spent by the tests that ran into the baseline; in-ci also where CI is set (default: yes)",
        metavar="yes|in-ci",
        bare="yes",
    ),
    Option(
        "redisperf_ratchet",
        flag,
        None,
        "fail each test that spends more than its baseline",
        kind="bool",
    ),
    Option(
        "redisperf_repeat",
        _times,
        None,
        "run each test so many times, and tell which counts vary and why",
        kind="int",
        metavar="N",
    ),
    Option("redisperf_html", str, None, "write a page with every test and its round trips", metavar="FILE"),
    Option("redisperf_json", str, None, "write what was spent and found as JSON, for scripts", metavar="FILE"),
    Option("redisperf_sarif", str, None, "write what was found as SARIF, for code scanning", metavar="FILE"),
    Option(
        "redisperf_trace",
        str,
        None,
        "write every round trip, for `redisperf report`, `show` and `diff`",
        metavar="FILE",
    ),
    Option(
        "redisperf_github",
        flag,
        None,
        "in a GitHub Actions step: annotate failed budgets and suspected N+1, and write the step summary",
        kind="bool",
    ),
)


class Reports(Values):
    """The options as values; field for field the REPORT_OPTIONS table."""

    write_budgets: str | None
    baseline: str | None
    update_baseline: str | None
    ratchet: bool | None
    repeat: int | None
    html: str | None
    json: str | None
    sarif: str | None
    trace: str | None
    github: bool | None

    @classmethod
    def of(cls, config: pytest.Config) -> Reports:
        return cls(value(config, option) for option in REPORT_OPTIONS)

    @property
    def asked(self) -> bool:
        """Whether any report is to be made."""
        return any(self.__dict__.values())
