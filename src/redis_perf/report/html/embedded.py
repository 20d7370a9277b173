"""Plain values as an element of a page: JSON, compressed, in an alphabet that markup means nothing in.

ASCII throughout, lone surrogates too: JSON writes them as escapes.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

_RAW = -15
_FAST = 6
encoded: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encoded_numbers(numbers: Sequence[int | None]) -> str:
    """As JSON. Python writes numbers the same, and several times as fast."""
    return encoded(numbers) if None in numbers else str(numbers).replace(" ", "")


def embedded(name: str, text: str) -> str:
    """`<script type="application/octet-stream" id="data-{name}">`: no script to a browser, but data; `text` is JSON."""
    packing = zlib.compressobj(_FAST, zlib.DEFLATED, _RAW)
    deflated = packing.compress(text.encode("ascii")) + packing.flush()
    return f'<script type="application/octet-stream" id="data-{name}">{b64encode(deflated).decode("ascii")}</script>\n'
