"""Which suspects are meant to be as they are: by shape, by site, or both."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

from redis_perf.analysis.n_plus_one import Suspect
from redis_perf.trace import Site

AT = " @ "


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Patterns as of `fnmatch`: `shape="GET user:*"`, `site="app/legacy.py"`, `site="app/legacy.py:12"`,
    `site="app/*"`, `site="load_names"` (a function). None matches all. Files are relative to the project's root."""

    shape: str | None = None
    site: str | None = None

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """`SHAPE`, `SHAPE @ SITE` or `@ SITE`. Raises ValueError if it says neither."""
        shape, at, site = f" {text.strip()} ".rpartition(AT)
        if not at:
            shape, site = site, ""
        if not shape.strip() and not site.strip():
            raise ValueError(f"{text!r} ignores nothing; give SHAPE, SHAPE @ SITE or @ SITE, such as 'GET user:*'")
        return cls(shape=shape.strip() or None, site=site.strip() or None)

    def __str__(self) -> str:
        return f"{self.shape or ''}{f'{AT}{self.site}' if self.site else ''}".strip() or "everything"

    def matches(self, suspect: Suspect, root: str = "") -> bool:
        """Whether it is about this suspect; a site matches with any of the lines that led to it."""
        if self.shape is not None and not fnmatchcase(suspect.shape, self.shape):
            return False
        return self.site is None or any(_stands(site, self.site, root) for site in _sites(suspect))


def _sites(suspect: Suspect) -> tuple[Site, ...]:
    paths = {trip.path for trip in suspect.trips if trip.path is not None}
    above = tuple(caller for path in paths for caller in path.callers)
    return (suspect.site, *((suspect.loop,) if suspect.loop else ()), *above)


def _stands(site: Site, pattern: str, root: str) -> bool:
    path = PurePath(site.file)
    file = (path.relative_to(root) if root and path.is_relative_to(root) else path).as_posix()
    return any(fnmatchcase(name, pattern) for name in (file, f"{file}:{site.line}", site.function))
