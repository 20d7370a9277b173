"""libpq's own message trace, written to memory and read without disturbing the connection.

The trace functions are looked up through the very module psycopg uses: a process may hold several libpq's (psycopg
binary, psycopg2 binary, the system's), and handing a connection of one to the functions of another corrupts it.

The trace goes to a memory stream of the C library (`open_memstream`). Compared with a descriptor (memfd, file, pipe)
nothing can be reused by another file while libpq still writes to it, no SQL reaches a disk, a fork copies it instead
of sharing it, and a send costs no system call. libpq flushes when it sends, so what the client said is readable at
once; what the server said is after `flush`.

All calls here keep the GIL (`PyDLL`): they take well under a microsecond, and a stream is only ever flushed by the
thread that owns its connection at that moment, so no lock of the C library can be held meanwhile by a thread that
waits for the GIL.

Linux with glibc is what this is tested with. macOS has `open_memstream` too, musl as well; both are untested.
"""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any, Final

from redis_perf.errors import TapError

OLDEST_LIBPQ: Final = 140000
"""The first libpq whose trace names messages and can leave out the time of day."""

_SUPPRESS_TIMESTAMPS: Final = 1
_POINTER: Final = ctypes.sizeof(ctypes.c_void_p)
_ENDLESS: Final = ctypes.c_char * sys.maxsize
"""Of C memory whose end is known elsewhere: a slice of it is bytes, at a fifth of what `string_at` costs."""
_IPPROTO_TCP: Final = 6
_TCP_INFO: Final = 11
_TCPI_BYTES_RECEIVED: Final = 128  # offset in Linux's struct tcp_info, there since 4.1
PROXY: Final = "count this client through the proxy instead"


def describe(version: int) -> str:
    """`180006` as people write it: `18.6`."""
    return f"{version // 10000}.{version % 10000}"


class Libpq:
    """The trace functions of the libpq that psycopg's `pq` module runs on, and the few of the C library needed here.

    `client` is whose: psycopg2 has no such module, but one can be made up of its own (see its tap).
    Raises TapError, saying what was found and what is needed, where a message trace cannot be had.
    """

    def __init__(self, pq: ModuleType, client: str = "psycopg") -> None:
        self.version: int = pq.version()
        if self.version < OLDEST_LIBPQ:
            raise _cannot_trace(f"libpq {describe(self.version)}", f"libpq {describe(OLDEST_LIBPQ)} or newer", client)
        library = _library(pq)
        try:
            found = library.PQlibVersion()
            self._trace = library.PQtrace
            self._untrace = library.PQuntrace
            self._flags = library.PQsetTraceFlags
        except AttributeError as missing:
            raise _cannot_trace(
                f"a libpq without {missing}", "one that exports its trace functions", client
            ) from missing
        if found != self.version:
            beside = f"libpq {describe(found)} beside {client}'s {describe(self.version)}"
            raise _cannot_trace(beside, "the same one", client)
        self._trace.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._untrace.argtypes = [ctypes.c_void_p]
        self._flags.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.memory = CMemory(client)

    def trace(self, pgconn_ptr: int, text: TraceText) -> None:
        """Let this connection's messages be written to `text` from now on. Owner thread only."""
        self._trace(pgconn_ptr, text.file)
        self._flags(pgconn_ptr, _SUPPRESS_TIMESTAMPS)

    def untrace(self, pgconn_ptr: int) -> None:
        """Stop that; the connection must be open. Owner thread only."""
        self._untrace(pgconn_ptr)


class CMemory:
    """The C library's memory streams. Raises TapError where it has none."""

    def __init__(self, client: str = "psycopg") -> None:
        c = ctypes.PyDLL(None)
        try:
            self.open_memstream = c.open_memstream
        except AttributeError as missing:
            found = f"a C library without open_memstream ({sys.platform})"
            raise _cannot_trace(found, "one that has it", client) from missing
        self.open_memstream.restype = ctypes.c_void_p
        self.open_memstream.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.calloc = c.calloc
        self.calloc.restype = ctypes.c_void_p
        self.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        self.fflush, self.fclose, self.free = c.fflush, c.fclose, c.free
        self.flockfile, self.funlockfile = c.flockfile, c.funlockfile
        for function in (self.fflush, self.fclose, self.free, self.flockfile, self.funlockfile):
            function.argtypes = [ctypes.c_void_p]
        self.fseeko = c.fseeko
        self.fseeko.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
        self.getsockopt = c.getsockopt
        self.getsockopt.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


class TraceText:
    """What libpq wrote about one connection, in a memory stream that is rewound now and then.

    The cell the C library keeps the stream's address and size in is C memory as well: at exit it writes there once
    more, when Python's own memory is gone.
    """

    REWIND_BYTES: Final = 16 << 10

    __slots__ = ("_address", "_cell", "_fflush", "_memory", "_read", "_size", "_view", "_viewed", "file")

    def __init__(self, memory: CMemory) -> None:
        self._memory = memory
        self._cell: int = memory.calloc(2, _POINTER)
        self.file: int | None = memory.open_memstream(self._cell, self._cell + _POINTER)
        if self.file is None:
            memory.free(self._cell)
            raise MemoryError("open_memstream failed")
        self._address = ctypes.c_size_t.from_address(self._cell)
        self._size = ctypes.c_size_t.from_address(self._cell + _POINTER)
        self._fflush = memory.fflush
        self._view: Any = b""
        self._viewed = 0  # the address of the view: the C library moves what has outgrown its place
        self._read = 0

    @property
    def size_bytes(self) -> int:
        """How much of it there is, read or not."""
        return self._size.value

    def flushed(self) -> bytes:
        """What came since last asked, as far as libpq has flushed it (it does when it sends)."""
        size = self._size.value
        if size == self._read:
            return b""
        address = self._address.value
        if address != self._viewed:
            self._view, self._viewed = _ENDLESS.from_address(address), address
        text: bytes = self._view[self._read : size]
        self._read = size
        return text

    def all(self) -> bytes:
        """What came since last asked. Owner thread only."""
        if self.file is None:
            return b""
        self._fflush(self.file)
        return self.flushed()

    def all_shared(self) -> bytes:
        """What came since last asked, and rewinds. Any thread, one at a time: libpq is kept from writing meanwhile."""
        if self.file is None:
            return b""
        self._memory.flockfile(self.file)
        try:
            text = self.all()
            self.rewind_when_long()
        finally:
            self._memory.funlockfile(self.file)
        return text

    def shows(self, message: bytes) -> bool:
        """Whether what libpq has flushed and nobody asked for yet names this message. Any thread."""
        return message in ctypes.string_at(self._address.value + self._read, self._size.value - self._read)

    def rewind_when_long(self) -> None:
        """Start over in the same memory, if all was read and it is long. Owner thread only."""
        if self._read > self.REWIND_BYTES:
            self._memory.fseeko(self.file, 0, 0)
            self._memory.fflush(self.file)
            self._read = 0

    def close(self) -> None:
        """Give the memory back; from now on there is no text. libpq must have let go of the stream."""
        if self.file is not None:
            file, self.file = self.file, None
            self._memory.fclose(file)
            self._memory.free(self._address.value)
            self._memory.free(self._cell)
            self._address, self._size, self._read = ctypes.c_size_t(), ctypes.c_size_t(), 0


class TcpBytes:
    """How many bytes a plain TCP socket has handed to its owner, from the kernel's own count."""

    def __init__(self, memory: CMemory) -> None:
        self._getsockopt = memory.getsockopt
        self._info = ctypes.create_string_buffer(256)
        self._length = ctypes.c_uint32()
        self._received = ctypes.c_uint64.from_buffer(self._info, _TCPI_BYTES_RECEIVED)

    def arrived(self, fileno: int) -> int | None:
        """None where it cannot be known (Unix sockets, other systems)."""
        if sys.platform != "linux":
            return None
        self._length.value = len(self._info)
        failed = self._getsockopt(fileno, _IPPROTO_TCP, _TCP_INFO, self._info, ctypes.byref(self._length))
        if failed or self._length.value < _TCPI_BYTES_RECEIVED + 8:
            return None
        return self._received.value


def _library(pq: ModuleType) -> Any:
    """A handle whose look-ups end in the libpq that this `pq` module calls."""
    if pq.__impl__ == "python":
        from psycopg.pq import _pq_ctypes

        loaded: Any = _pq_ctypes.pq  # type: ignore[attr-defined]
        return ctypes.PyDLL(loaded._name, handle=loaded._handle)
    # The extension module itself: dlsym searches what it was linked with, and finds what it was bound to.
    return ctypes.PyDLL(sys.modules[pq.PGconn.__module__].__file__)


def _cannot_trace(found: str, needed: str, client: str) -> TapError:
    return TapError(f"{client}: libpq's message trace is not available: found {found}, needed {needed}; {PROXY}")
