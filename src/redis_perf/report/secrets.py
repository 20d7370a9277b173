"""What must not stand in a report: passwords in URLs, which come with names of tests and with error texts.

Argument values of commands and statements need no redaction: a trace never holds them.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
_URL_PASSWORD: Final = re.compile(r"(?P<user>\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@?#'\"]*:)[^\s/'\"]+(?=@)")
_OPTION: Final = re.compile(r"(?P<name>\b(?:password|passwd|pwd|secret|token)=)[^\s&;'\",\])]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """`redis://ada:***@host` and `password=***`."""
    if "://" not in text and "=" not in text:
        return text
    return _OPTION.sub(rf"\g<name>{HIDDEN}", _URL_PASSWORD.sub(rf"\g<user>{HIDDEN}", text))
