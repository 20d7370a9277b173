"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, pieces: Iterable[str]) -> int:
    """Put the pieces in place of what the file held; if they cannot be made or written, it holds that still.

    Returns the size in bytes. Directories that are missing are made. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines(pieces)
        size_bytes = os.path.getsize(aside)
        os.chmod(aside, path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
    return size_bytes


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
