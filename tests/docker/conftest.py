"""A container engine and images for it, where no image can be pulled.

The engine that answers here is used; else, as root with `dockerd` installed, one is started for this run, which leaves
the firewall and the forwarding of this machine alone. The images are made of the servers' own files. Without an engine
these tests are skipped and say why; with REDISPERF_REQUIRE_DOCKER=1 that is an error.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from redis_perf import ServerUnavailable
from redis_perf.servers import container, embedded, engine

START_DEADLINE_S = 60.0
DAEMON = (
    "dockerd --storage-driver=vfs --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false "
    "--host=unix://{0}/sock --data-root={0}/data --exec-root={0}/exec --pidfile={0}/pid"
)
BRIDGE = Path("/sys/class/net/docker0")
POSTGRES_UID = 999
# The phases of the official image: make the cluster, a temporary server for the set-up, stop it, the one that stays.
# Worse than there, the temporary one is reached over TCP, and it stays up for a while, or as long as a test says.
ENTRYPOINT = """#!/bin/sh
set -e
[ "${1#-}" = "$1" ] || set -- postgres "$@"
set -- "$@" -D "$PGDATA" -c 'listen_addresses=*' -c unix_socket_directories=/tmp
ready() {  # before, it ignores the signal that ends it, as what a shell has in the background does
    while read -r line; do last=$line; done <"$PGDATA/postmaster.pid"
    [ "$last" = ready ]
}
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    last=
    printf %s "$POSTGRES_PASSWORD" >/tmp/password
    initdb -D "$PGDATA" -U postgres --pwfile=/tmp/password --auth=scram-sha-256 $POSTGRES_INITDB_ARGS
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo 'temporary server'
    "$@" &
    until ready; do sleep 0.05; done
    sleep "${TEMPORARY_S:-0.5}"
    kill -INT $!
    wait $! || true
    echo 'temporary server stopped'
fi
exec "$@"
"""


@pytest.fixture(autouse=True)
def alone(nobody_else_listens: None) -> None:
    """These tests put nothing under a meter."""


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Any]:
    """testcontainers' client of an engine that answers."""
    with ExitStack() as running:
        try:
            if container_engine_is_missing():
                running.enter_context(started_engine())
            client = engine.engine("redis")
        except ServerUnavailable as unavailable:
            if os.environ.get("REDISPERF_REQUIRE_DOCKER") == "1":
                raise
            pytest.skip(str(unavailable))
        running.callback(client.client.close)
        yield client


def container_engine_is_missing() -> bool:
    try:
        engine.engine("redis").client.close()
    except ServerUnavailable as unavailable:
        return "no container engine answers" in str(unavailable)
    return False


@contextmanager
def started_engine() -> Iterator[None]:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        raise ServerUnavailable("no container engine answers, and the workers of xdist would each start one: run -n0")
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise ServerUnavailable("no container engine answers, and starting one needs root and dockerd (docker.io)")
    place = Path(tempfile.mkdtemp(prefix="redisperf-engine-"))
    before = os.environ.get("DOCKER_HOST")
    had_bridge = BRIDGE.exists()
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(DAEMON.format(place).split(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    os.environ["DOCKER_HOST"] = f"unix://{place}/sock"
    try:
        until_it_answers(daemon, place / "log")
        yield
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        shutil.rmtree(place)
        if BRIDGE.exists() and not had_bridge and shutil.which("ip"):  # the engine leaves it behind
            subprocess.run(["ip", "link", "delete", BRIDGE.name], check=True)


def until_it_answers(daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while container_engine_is_missing():
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise ServerUnavailable(f"dockerd does not answer; the end of its log:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def redis_image(docker_engine: Any) -> Iterator[str]:
    with made_redis_image(docker_engine) as name:
        yield name


@pytest.fixture(scope="session")
def postgres_image(docker_engine: Any) -> Iterator[str]:
    with made_postgres_image(docker_engine) as name:
        yield name


@contextmanager
def made_redis_image(docker_engine: Any) -> Iterator[str]:
    binary = embedded.redis_binary()
    files = {str(path): path for path in libraries(binary)}
    with imported(
        docker_engine, {"/bin/redis-server": binary, **files}, ['ENTRYPOINT ["redis-server", "--protected-mode", "no"]']
    ) as name:
        yield name


@contextmanager
def made_postgres_image(docker_engine: Any, *more_programs: str) -> Iterator[str]:
    installation = embedded.postgres_binary().parent.parent
    programs = [installation / "bin" / name for name in ("postgres", "initdb", *more_programs)]
    tools = [Path(shutil.which(name) or pytest.fail(f"no {name} here")) for name in ("sh", "sleep")]
    files = {f"/bin/{path.name}": path for path in tools}
    kept = [
        *programs,
        *(installation / "share").rglob("*"),
        *(installation / "lib").glob("postgresql/*.so"),
        *(installation / "lib").glob("*.so*"),
        *installation.parent.with_name(f"{installation.parent.name}.libs").glob("*"),
    ]
    files |= {str(path): path for path in kept if path.is_file()}
    files |= {str(path): path for binary in (*programs, *tools) for path in libraries(binary)}
    changes = [
        'ENTRYPOINT ["/entrypoint"]',
        'CMD ["postgres"]',
        f"ENV PATH={installation}/bin:/bin",
        "ENV PGDATA=/pgdata/18",
        "USER postgres",
        'VOLUME ["/pgdata"]',
    ]
    with imported(docker_engine, files, changes) as name:
        yield name


def libraries(binary: Path) -> list[Path]:
    """The shared libraries it is linked to, and the loader."""
    found = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    return [Path(os.path.normpath(word)) for word in re.findall(r"/\S+", found)]


@contextmanager
def imported(engine: Any, files: dict[str, Path], changes: Iterable[str]) -> Iterator[str]:
    """An image of these files, removed in the end."""
    name = f"redisperf-test-{secrets.token_hex(4)}:9"
    contents = {
        "/entrypoint": ENTRYPOINT.encode(),
        "/etc/passwd": f"root:x:0:0::/:/bin/sh\npostgres:x:{POSTGRES_UID}:{POSTGRES_UID}::/:/bin/sh\n".encode(),
        **{inside: path.read_bytes() for inside, path in files.items()},
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as root:
        for directory in sorted({str(parent) for inside in contents for parent in Path(inside).parents} - {"/tmp"}):
            add_directory(root, directory)
        add_directory(root, "/tmp", mode=0o1777)
        add_directory(root, "/pgdata", owner=POSTGRES_UID)
        for inside, content in contents.items():
            entry = tarfile.TarInfo(inside)
            entry.size, entry.mode = len(content), 0o755
            root.addfile(entry, io.BytesIO(content))
    repository, tag = name.split(":")
    api = engine.client.api
    api.import_image_from_data(archive.getvalue(), repository=repository, tag=tag, changes=list(changes))
    yield name
    api.remove_image(name, force=True)


def add_directory(root: tarfile.TarFile, directory: str, *, mode: int = 0o755, owner: int = 0) -> None:
    """Without an entry of its own a directory would be root's alone."""
    entry = tarfile.TarInfo(directory)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    root.addfile(entry)


@pytest.fixture
def ours(docker_engine: Any, redis_image: str, postgres_image: str) -> Callable[[], list[str]]:
    """The names of the containers there are that were started from our images: others may use this engine too."""

    def names() -> list[str]:
        found = docker_engine.client.api.containers(all=True, filters={"label": container.LABEL})
        return [one["Names"][0].lstrip("/") for one in found if one["Image"] in (redis_image, postgres_image)]

    return names
