"""What stands in place of a value where there is none. (None is a value.)"""

from __future__ import annotations

from enum import Enum


class Missing(Enum):
    """MISSING: there is none. GONE: nobody loads it any more."""

    MISSING = "missing"
    GONE = "gone"


MISSING, GONE = Missing.MISSING, Missing.GONE
