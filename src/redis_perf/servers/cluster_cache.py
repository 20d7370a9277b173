"""PostgreSQL clusters made in advance: a run gets a new one in the time of a rename instead of initdb's 0.6 s.

    $XDG_CACHE_HOME/redisperf/clusters/KEY/lock             held while the template is being made
                                           template/data    what initdb made: copied, never run
                                           template/sizes   those of all its files, which tell a complete copy
    SPARES/KEY/spare-*                                      copies of it, ready to be taken

SPARES is `/dev/shm/redisperf-clusters-UID` where runs live in memory, else below the cache itself. A spare is taken by
renaming it, which no two can do, and dies with its run; the copy that replaces it is made when the run has got going,
or as it ends. So every run begins on files no server has ever run on: nothing is to be cleaned, recovered or locked.

The key tells builds and options apart. Everything here may be deleted at any time; running servers do not need it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

Origin: TypeAlias = Literal["spare", "copy", "initdb"]

FORMAT = "2"
MOST_SPARES = 8
SURPLUS_AFTER_S = 24 * 3600.0
FORGOTTEN_AFTER_S = 30 * 24 * 3600.0
ABANDONED_AFTER_S = 600.0
LOCK_DEADLINE_S = 90.0
LOCK_POLL_S = 0.02
ROOM_BYTES = 256 << 20  # one cluster takes 31 MB
# Until the end of the pipe that is its input, a second at most; at once where there is no such program. The copy would
# take a processor from what the first test waits for.
LATER = "timeout 1 cat >/dev/null"
IDENTITY_BYTES = 1 << 16  # the build id of an ELF or Mach-O program is in its head


class CacheUnusable(Exception):
    """There is no cache here, and why."""


class Cluster(NamedTuple):
    """How a run gets its cluster."""

    origin: Origin
    prepare: str
    """Shell text that puts it where it was asked for."""


class ClusterCache:
    """The clusters of one build with one set of options."""

    def __init__(self, home: Path, spares: Path, most_spares: int) -> None:
        """Two directories that are there and ours."""
        self._home = home
        self._spares = spares
        self._most_spares = most_spares
        self._template = home / "template"
        self._copying: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, postgres: Path, options: str, run_directory: Path, memory: Path) -> ClusterCache:
        """For this program and initdb's options. Raises CacheUnusable."""
        name = _key(postgres, options)
        home = _private(_private(_root(), "clusters"), name)
        in_memory = run_directory.parent == memory
        spares = _private(_private(memory, spares_name()), name) if in_memory else _private(home, "spares")
        if shutil.disk_usage(home).free < ROOM_BYTES:
            raise CacheUnusable(f"{home} has less than {ROOM_BYTES >> 20} MB free")
        # From another file system a spare would have to be copied like the template, and removed besides.
        near = spares.stat().st_dev == run_directory.parent.stat().st_dev
        return cls(home, spares, MOST_SPARES if near else 0)

    @contextmanager
    def cluster(self, data: Path, initdb: str) -> Iterator[Cluster]:
        """A cluster for `data`, which `initdb` (shell text) would make. The block ends well once a server answers."""
        spare = self._take()
        if spare is not None:
            yield Cluster("spare", shlex.join(["mv", str(spare), str(data)]))
        elif self._complete():
            yield self._copy(data)
        else:
            with self._locked():
                if self._complete():  # another run has made it while we waited
                    yield self._copy(data)
                else:
                    with self._making() as making:
                        yield Cluster("initdb", f"{initdb} && {_keeping(data, making)}")
        self._refill()

    def distrust(self) -> None:
        """Forget everything made in advance: a server did not start on it."""
        for path in (self._template, *self._made("spare-")):
            _remove(path)

    def hasten(self) -> None:
        """Make now what was to be made later."""
        if self._copying is not None and self._copying.stdin is not None:
            self._copying.stdin.close()

    def settle(self) -> None:
        """Return when all is made."""
        self.hasten()
        if self._copying is not None:
            self._copying.wait()

    def _take(self) -> Path | None:
        for spare in self._made("spare-") if self._most_spares else ():
            mine = spare.with_name(f"taken-{os.urandom(4).hex()}")
            with contextlib.suppress(OSError):  # somebody else was faster
                spare.rename(mine)
                if self._matches(mine):
                    return mine
                _remove(mine)
        return None

    def _complete(self) -> bool:
        if self._matches(self._template / "data"):
            return True
        if self._template.exists():
            _remove(self._template)
        return False

    def _matches(self, data: Path) -> bool:
        try:
            return _sizes(data) == (self._template / "sizes").read_text()
        except OSError:
            return False

    def _copy(self, data: Path) -> Cluster:
        return Cluster("copy", shlex.join(["cp", "-R", str(self._template / "data"), str(data)]))

    @contextmanager
    def _making(self) -> Iterator[Path]:
        """Becomes the template if it is there in the end. Without room for it it is not; the next run tries again."""
        making = self._home / f"making-{os.urandom(4).hex()}"
        try:
            yield making
            with contextlib.suppress(OSError):
                (making / "sizes").write_text(_sizes(making / "data"))
                making.rename(self._template)
        finally:
            _remove(making)

    def _refill(self) -> None:
        """Copy one more spare and remove what is old, later, at the lowest priority, without waiting."""
        with contextlib.suppress(OSError):  # what cannot be kept in advance is no reason to fail a run
            os.utime(self._home / "lock")
            aside = [path for path in map(_aside, self._old()) if path is not None]
            commands = [LATER, shlex.join(["rm", "-rf", "--", *map(str, aside)])]
            if len(self._made("spare-")) < self._most_spares and shutil.disk_usage(self._spares).free >= ROOM_BYTES:
                name = os.urandom(4).hex()
                making, spare = self._spares / f"making-{name}", self._spares / f"spare-{name}"
                copy = shlex.join(["cp", "-R", str(self._template / "data"), str(making)])
                commands.append(f"{copy} && {shlex.join(['mv', str(making), str(spare)])} || rm -rf {making}")
            self._copying = subprocess.Popen(
                ["nice", "-n", "19", "sh", "-c", "\n".join(commands)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )

    def _old(self) -> list[Path]:
        """Spares nobody has needed for a day, what a killed run has left half made, builds not used for a month."""
        now = time.time()
        ages = {"spare-": SURPLUS_AFTER_S, "taken-": ABANDONED_AFTER_S, "making-": ABANDONED_AFTER_S}
        keys = self._home.parent
        places = {keys, self._home, self._spares, *keys.glob("*/spares"), *self._spares.parent.iterdir()}
        old = [
            path
            for place in places
            for prefix, age_s in ages.items()
            for path in place.glob(f"{prefix}*")
            if now - _changed_s(path, now) > age_s
        ]
        locks = keys.glob("*/lock")
        return old + [lock.parent for lock in locks if now - _changed_s(lock, now) > FORGOTTEN_AFTER_S]

    def _made(self, prefix: str) -> list[Path]:
        """Newest first, so that surplus ones grow old."""
        now = time.time()
        return sorted(self._spares.glob(f"{prefix}*"), key=lambda path: _changed_s(path, now), reverse=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone in making the template; not for ever: whoever holds the lock might hang."""
        with (self._home / "lock").open("a") as lock:
            deadline = time.monotonic() + LOCK_DEADLINE_S
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(LOCK_POLL_S)
            yield


def spares_name() -> str:
    return f"redisperf-clusters-{os.geteuid()}"


def _root() -> Path:
    """The cache directory of this project. Raises CacheUnusable."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        parent = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
        there = next(path for path in (parent, *parent.parents) if path.exists())
        if os.geteuid() == 0 and there.stat().st_uid != 0:  # sudo: the user could never write there again
            raise CacheUnusable(f"{there} belongs to somebody else than root")
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise CacheUnusable(str(error)) from error
    return _private(parent, "redisperf")


def _private(parent: Path, name: str) -> Path:
    """A directory of ours that nobody else may write to, made if it is not there. Raises CacheUnusable."""
    directory = parent / name
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise CacheUnusable(str(error)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise CacheUnusable(f"{directory} is not a directory that only we may write to")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise CacheUnusable(f"{directory} is not writable")
    return directory


def _key(postgres: Path, options: str) -> str:
    """The program by its contents, for every virtual environment has a copy of the same."""
    try:
        with postgres.open("rb") as program:
            head, size = program.read(IDENTITY_BYTES), os.fstat(program.fileno()).st_size
    except OSError as error:
        raise CacheUnusable(str(error)) from error
    return hashlib.sha256(b"\0".join([FORMAT.encode(), options.encode(), str(size).encode(), head])).hexdigest()[:16]


def _sizes(directory: Path) -> str:
    """A line for each file below, in order.

    By GNU find where there is one: a thread that asks for 976 sizes itself gives up the interpreter's lock 976 times,
    and while another one imports modules it gets it back 5 ms later each time.
    """
    program = ["find", str(directory), "-type", "f", "-printf", r"%P %s\n"]
    found = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    lines = found.stdout.splitlines(keepends=True) if found.returncode == 0 else _asked_for(directory)
    return "".join(sorted(lines))


def _asked_for(directory: Path) -> list[str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return [f"{path.relative_to(directory)} {path.stat().st_size}\n" for path in files]


def _keeping(data: Path, making: Path) -> str:
    """Shell text: a copy for the cache. That it cannot be made is no reason not to run."""
    copy = shlex.join(["cp", "-R", str(data), str(making / "data")])
    quoted = shlex.quote(str(making))
    return f"{{ mkdir -m 700 {quoted} && {copy} || rm -rf {quoted}; }}"


def _changed_s(path: Path, default: float) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return default


def _aside(path: Path) -> Path | None:
    """Its new name, which nobody takes it by; None when somebody else has taken or removed it."""
    aside = path.with_name(f"making-{os.urandom(4).hex()}")
    try:
        path.rename(aside)
    except OSError:
        return None
    return aside


def _remove(path: Path) -> None:
    aside = _aside(path)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
