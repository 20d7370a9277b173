"""An engine for containers, and images for it made of the servers' own files, as tests/docker has them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from redis_perf import ServerUnavailable
from redis_perf.servers import engine

OFFICIAL = {"redis": ("redis", "latest"), "postgres": ("postgres", "18")}
"""What tools ask for by themselves: in this engine these names are ours."""
HELPERS = Path(__file__).parents[2] / "tests/docker/conftest.py"


@contextmanager
def containers(place: Path) -> Iterator[tuple[dict[str, str], str]]:
    """Images by store, in an engine of our own with its files in `place`, and its storage; or none, and why."""
    spec = spec_from_file_location("docker_conftest", HELPERS)
    assert spec is not None
    assert spec.loader is not None
    helpers: Any = module_from_spec(spec)
    spec.loader.exec_module(helpers)
    # The official image's temporary server is reached over its unix socket only, and stays up for less long.
    helpers.ENTRYPOINT = helpers.ENTRYPOINT.replace('"$@" &', '"$@" -c listen_addresses= &').replace("S:-0.5", "S:-0.1")
    tempfile.tempdir = str(place)
    why = ""
    for storage in ("overlay2", "vfs"):
        helpers.DAEMON = helpers.DAEMON.replace("overlay2", "vfs").replace("vfs", storage)
        with ExitStack() as running:
            try:
                running.enter_context(helpers.started_engine())
                client = engine.engine("postgres")
                running.callback(client.client.close)
                images = {
                    "redis": running.enter_context(helpers.made_redis_image(client)),
                    "postgres": running.enter_context(helpers.made_postgres_image(client, "psql")),
                }
            except ServerUnavailable as unavailable:
                why = str(unavailable).partition(";")[0]
                continue
            for store, (repository, tag) in OFFICIAL.items():
                client.client.images.get(images[store]).tag(repository, tag)
            yield images, storage
            return
    yield {}, why
