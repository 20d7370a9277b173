"""Servers where there is little to work with: small memory, a full disk, an ordinary user, a home only root may enter,
a container's seccomp profile.

The surroundings are real: mounts in a mount namespace of their own, processes of another user, a kernel's filter.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from redis_perf import servers
from redis_perf.servers import embedded, unprivileged
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.watched import run_directory

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces are Linux's"),
    pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="mounting and changing users need root"),
]

DEADLINE_S = 20.0
BOTH = """
import os
from redis_perf import servers
redis, postgres = servers.redis("embedded"), servers.postgres("embedded")
with postgres.database():
    print(os.path.dirname(postgres.unix_directory), postgres.origin)
redis.stop()
postgres.stop()
"""
POSTGRES_ALONE = """
from redis_perf import ServerUnavailable, servers
try:
    servers.postgres("embedded")
except ServerUnavailable as error:
    print(error)
"""
WHAT_IS_LEFT = """
import os
segments = open("/proc/sysvipc/shm").read().splitlines()[1:]
print("left:", os.listdir(os.environ["TMPDIR"]), segments)
"""
# What Docker's default profile answers to a container without CAP_SYS_ADMIN that asks for a namespace: EPERM, and
# ENOSYS by clone3, whose flags a filter cannot read. (github.com/moby/profiles, seccomp/default.json)
AS_IN_DOCKER = """
import ctypes, errno, os, platform, struct, sys
UNSHARE, CLONE, CLONE3 = {"x86_64": (272, 56, 435), "aarch64": (97, 220, 435)}[platform.machine()]
ALLOW, FAIL, NAMESPACES = 0x7FFF0000, 0x50000, 0x7E020000
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
program = b"".join(struct.pack("HBBI", *line) for line in (
    (LOAD, 0, 0, 0),  # the call's number
    (EQUAL, 5, 0, UNSHARE),
    (EQUAL, 5, 0, CLONE3),
    (EQUAL, 0, 2, CLONE),
    (LOAD, 0, 0, 16),  # its first argument
    (ANY_BIT, 1, 0, NAMESPACES),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, FAIL | errno.EPERM),
    (RETURN, 0, 0, FAIL | errno.ENOSYS),
))
instructions = ctypes.create_string_buffer(program, len(program))
filter = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(instructions)))
if ctypes.CDLL(None, use_errno=True).prctl(22, 2, filter, 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    raise OSError(ctypes.get_errno(), "prctl")
os.execvp(sys.argv[1], sys.argv[1:])
"""
IN_A_CONTAINER = """
import os, pathlib, signal, subprocess, sys
denied = [subprocess.run(["unshare", kind, "true"], stderr=-1).stderr for kind in ("--user", "--mount")]
from redis_perf import servers
redis, postgres = servers.redis("embedded"), servers.postgres("embedded")
with postgres.database():
    data = pathlib.Path(postgres.unix_directory, "data")
    postmaster = (data / "postmaster.pid").read_text().split()[0]
    print(data.owner(), postmaster, *(b"not permitted" in said for said in denied))
if sys.argv[1] == "killed":
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
redis.stop()
postgres.stop()
"""
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def place(postgres_server: servers.PostgresServer, valkey_server: servers.RedisServer) -> Iterator[Path]:
    """A directory that anybody may enter; what it has in it is looked at, and removed."""
    place = run_directory()
    place.mkdir()
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def printed(code: str, *, before: tuple[str, ...] = (), **environment: str) -> str:
    command = [*before, sys.executable, "-c", code]
    inherited = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    ended = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def with_memory_at(place: str, megabytes: int) -> tuple[str, ...]:
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs {place} && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", mount, "sh")


@pytest.mark.usefixtures("place")
def test_64_mb_of_shared_memory_as_containers_have_it_are_left_alone(tmp_path: Path) -> None:
    before = with_memory_at("/dev/shm", 64)
    first, second = (printed(BOTH, before=before, XDG_CACHE_HOME=str(tmp_path)) for _ in range(2))
    assert first == "/tmp initdb"
    assert second in ("/tmp spare", "/tmp copy")  # a spare where the cache is on the same file system


def test_a_full_disk_is_one_error_with_the_words_of_the_program_it_stopped(place: Path) -> None:
    before = ("unshare", "--ipc", *with_memory_at(str(place), 8))  # where there is no shared memory but its own
    said = printed(POSTGRES_ALONE + WHAT_IS_LEFT, before=before, TMPDIR=str(place), XDG_CACHE_HOME="/proc/no")
    assert said.startswith("the server ended while starting; the end of its log:\n")
    assert "No space left on device" in said
    assert said.endswith("left: [] []")


def test_an_ordinary_user_has_servers_and_a_cache_of_their_own(place: Path) -> None:
    if subprocess.run([*AS_NOBODY, sys.executable, "-c", "import redis_perf"], check=False).returncode:
        pytest.skip("`nobody` may not read this Python")
    home = place / "home"
    home.mkdir(mode=0o700)
    shutil.chown(home, 65534, 65534)
    for origin in ("initdb", "spare"):
        assert (
            printed(BOTH, before=AS_NOBODY, HOME=str(home), XDG_CACHE_HOME="", TMPDIR=str(home)) == f"{home} {origin}"
        )
    assert home.stat().st_mode & 0o777 == 0o700
    assert {path.owner() for path in home.rglob("*")} == {"nobody"}


def test_root_without_user_namespaces_has_a_postgres_from_a_home_that_only_root_may_enter(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = unprivileged._works
    monkeypatch.setattr(unprivileged, "_works", lambda *command: command[0] != "unshare" and works(*command))
    installation = embedded.postgres_binary().parent.parent
    home = place / "home"
    home.mkdir(mode=0o700)
    libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
    copied = home / "packages" / installation.parent.name / installation.name
    shutil.copytree(installation, copied)
    if libraries.exists():
        shutil.copytree(libraries, home / "packages" / libraries.name)
    server = LocalPostgres("embedded", copied)
    try:
        with server.database():
            assert (Path(server.unix_directory) / "data").owner() == "nobody"
    finally:
        server.stop()
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="its system calls have other numbers")
@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_root_in_a_container_without_namespaces_has_servers_that_leave_nothing(place: Path, end: str) -> None:
    mark = os.urandom(8).hex()
    ended = subprocess.run(
        [sys.executable, "-c", AS_IN_DOCKER, sys.executable, "-c", IN_A_CONTAINER, end],
        env={**os.environ, "TMPDIR": str(place), "REDISPERF_TEST_RUN": mark},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (-9 if end == "killed" else 0, "")
    owner, postmaster, *denied = ended.stdout.split()
    assert (owner, denied) == ("nobody", ["True", "True"])
    deadline = time.monotonic() + DEADLINE_S
    while (left := [*place.iterdir(), *living(mark), *segments(postmaster)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


def segments(postmaster: str) -> list[str]:
    """The System V shared memory it made."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[4] == postmaster]


def living(mark: str) -> list[str]:
    """The processes that were started with this mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # ended meanwhile
            if os.fsencode(mark) in path.read_bytes():
                found.append((path.parent / "cmdline").read_text())
    return found
