"""A line of code as plain values: its file as people name it, its number, its function."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePath

from redis_perf.report.secrets import redacted
from redis_perf.trace import Site


@lru_cache(maxsize=4096)
def plain_site(site: Site | None, root: str) -> tuple[object, ...] | None:
    """The file relative to the root if it lies in there, else its name: where it lies is nobody else's business."""
    if site is None:
        return None
    path = PurePath(site.file)
    file = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name
    return redacted(file), site.line, site.function
