"""Where in the source a finding is, as a path that means something on another machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath, PurePosixPath

from redis_perf.analysis.findings import Finding
from redis_perf.suite import Suite, Tested
from redis_perf.trace import Site


@dataclass(frozen=True, slots=True)
class Place:
    """`file` is relative to the root of the sources, with slashes. `function` is empty where the line is the test's."""

    file: str
    line: int
    function: str = ""


def place_of(finding: Finding, suite: Suite, source_root: str | None = None) -> Place | None:
    """The finding's line if it lies within the sources, else that of its test; None if neither is known.

    `source_root` is the root of the sources where that is not the suite's, as in a repository of several projects.
    """
    root = source_root or suite.root
    return _inside(finding.site, root) or _of_test(finding.test, suite, root)


def loop_of(finding: Finding, suite: Suite, source_root: str | None = None) -> Place | None:
    """The line that runs again and again, if it is known and lies within the sources."""
    return _inside(finding.loop, source_root or suite.root)


def _inside(site: Site | None, root: str) -> Place | None:
    file = None if site is None else relative(site.file, root)
    return None if site is None or file is None else Place(file, max(1, site.line), site.function)


def _of_test(tested: Tested, suite: Suite, root: str) -> Place | None:
    if tested.file is None:
        return None
    absolute = PurePath(suite.root, tested.file)
    file = relative(str(absolute), root) if suite.root else tested.file.replace("\\", "/")
    return None if file is None else Place(file, max(1, tested.line or 1))


@lru_cache(maxsize=4096)
def relative(file: str, root: str) -> str | None:
    """The path within the root; None for one outside, whose name is nobody else's business."""
    if not root or not PurePath(file).is_relative_to(root):
        return None
    inside = PurePath(file).relative_to(root).as_posix()
    return None if ".." in PurePosixPath(inside).parts or _LIBRARIES.search(inside) else inside


_LIBRARIES = re.compile(r"(^|/)(site-packages|dist-packages|node_modules)/")
