"""What happens when this plugin itself fails: a pytest warning, never the user's failed test.

The warning is handed to pytest directly, so `filterwarnings = error` does not turn our fault into theirs, and
xdist carries it from a worker to the summary.
"""

from __future__ import annotations

import warnings
from types import TracebackType

import pytest

from redis_perf import TapError


class RedisperfWarning(pytest.PytestWarning):
    """Something went wrong inside pytest-redisperf; the results of the tests themselves stand."""


class OwnFaults:
    """A block of our own code that runs beside a user's test. Exceptions in it become a RedisperfWarning."""

    def __init__(self, item: pytest.Item, doing: str) -> None:
        self._item = item
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, (TapError, pytest.UsageError)):
            return False
        text = f"redisperf internal error while {self._doing}: {type(error).__name__}: {error}"
        self._warn(f"{text}\nIts own result stands; its round trips were not checked. Please report this.")
        return True

    def _warn(self, text: str) -> None:
        file, line, name = self._item.reportinfo()
        message = warnings.WarningMessage(RedisperfWarning(text), RedisperfWarning, str(file), (line or 0) + 1)
        self._item.ihook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": "runtest",
                "nodeid": self._item.nodeid,
                "location": (str(file), line or 0, name),
            }
        )
