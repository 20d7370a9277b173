"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

_BUFFER_BYTES: Final = 1 << 20
"""A file of hundreds of MB takes half the time as in buffers of the usual size."""
_NO_FILES_OF_OURS: Final = ("/dev/", "/proc/")


def write_whole(path: Path, pieces: Iterable[str]) -> int:
    """Put the pieces in place of what the file held; if they cannot be made or written, it holds that still.

    Returns the size in bytes. Directories that are missing are made; a symbolic link stays one. What is no file (a
    pipe, `/dev/null`, `/dev/stdout`) is written to as it is. Raises OSError.
    """
    if str(path).startswith(_NO_FILES_OF_OURS) or (path.exists() and not path.is_file()):
        with open(path, "wb") as there:
            return _written(there, pieces)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb", _BUFFER_BYTES) as file:
            size_bytes = _written(file, pieces)
        os.chmod(aside, path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
    return size_bytes


def _written(file: BinaryIO, pieces: Iterable[str]) -> int:
    return sum(file.write(piece.encode("utf-8", "backslashreplace")) for piece in pieces)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
