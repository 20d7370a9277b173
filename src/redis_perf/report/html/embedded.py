"""Plain values as an element of a page: JSON, compressed, in an alphabet that markup means nothing in.

ASCII throughout, lone surrogates too: JSON writes them as escapes.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode

_RAW = -15
_FAST = 6
_encoded = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def embedded(name: str, values: object) -> str:
    """`<script type="application/octet-stream" id="data-{name}">`: no script to a browser, but data."""
    text = _encoded(values)
    packing = zlib.compressobj(_FAST, zlib.DEFLATED, _RAW)
    deflated = packing.compress(text.encode("ascii")) + packing.flush()
    return f'<script type="application/octet-stream" id="data-{name}">{b64encode(deflated).decode("ascii")}</script>\n'
