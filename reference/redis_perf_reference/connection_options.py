"""How redis-py connects for a cache: by RESP2, which has no notices between replies, whatever is the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def connection_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a pool, without redis-py 8's maintenance notices: they cost a command, and stretch timeouts to 10 s."""
    kept = {name: value for name, value in options.items() if not name.startswith(("maint_", "orig_"))}
    return kept | {"protocol": 2}
