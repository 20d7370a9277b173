"""`redisperf run` and `redisperf proxy` as somebody at a terminal meets them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from redis_perf.report.jsonl import loads

NODE = """
const net = require('net'), url = new URL(process.env.REDIS_URL);
const get = '*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n';
let replies = 0;
const client = net.connect(+url.port, url.hostname, () => client.write(get + get + get));
client.on('data', data => {
  replies += data.toString().split('\\r\\n').length - 1;
  if (replies === 3) client.write(get);
  if (replies === 4) client.end();
});
"""


def redisperf(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "redis_perf", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def run(redis_url: str, command: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    return redisperf("run", "--redis", redis_url, "--postgres", "none", *options, "--", *command)


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


GETS = """
import os, socket
peer = socket.create_connection((os.environ["REDIS_HOST"], int(os.environ["REDIS_PORT"])))
for _ in range(3):
    peer.sendall(b"*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n")
    assert peer.recv(100) == b"$-1\\r\\n"
print("done")
"""


def test_a_command_is_counted_and_its_output_is_its_own(redis_url: str, tmp_path: Path) -> None:
    ran = run(redis_url, python(GETS), "--out", str(tmp_path / "trace.jsonl"))
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    assert "redis 3 round trips (3 commands), depth 3" in ran.stderr
    with (tmp_path / "trace.jsonl").open() as lines:
        trace = loads(lines)
    assert (trace.redis.round_trips, trace.redis.connections, trace.problems) == (3, 1, ())


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_node_program_is_counted(redis_url: str, tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    ran = run(redis_url, ["node", "-e", NODE], "--latency", "3ms", "--out", str(out))
    assert ran.returncode == 0, ran.stderr
    trace = loads(out.read_text().splitlines(keepends=True))
    assert (trace.redis.round_trips, trace.redis.commands, trace.redis.shapes) == (2, 4, ["GET a"] * 4)


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="needs redis-cli")
def test_redis_cli_is_counted(redis_url: str) -> None:
    ran = run(redis_url, ["sh", "-c", "redis-cli -u $REDIS_URL incr visits"], "--budget", "redis=1")
    assert (ran.returncode, ran.stdout) == (0, "1\n"), ran.stderr


def test_servers_of_its_own_are_started_and_named_in_the_environment() -> None:
    script = """
import os, socket
import psycopg
assert os.environ["REDIS_URL"].startswith("redis://127.0.0.1:")
with psycopg.connect() as by_parts, psycopg.connect(os.environ["DATABASE_URL"]) as by_url:
    for connection in (by_parts, by_url):
        print(connection.execute("select 1").fetchone())
"""
    ran = redisperf("run", "--", *python(script))
    assert (ran.returncode, ran.stdout) == (0, "(1,)\n(1,)\n"), ran.stderr
    assert "postgres 6 round trips" in ran.stderr


def test_other_names_and_other_servers(redis_url: str) -> None:
    script = "import os; print(os.environ['STREAMS_URL'], os.environ['CACHE'], os.environ['WHERE'])"
    ran = run(
        redis_url, python(script), "--server", f"streams={redis_url}", "--env", "CACHE={redis}", "--env",
        "WHERE={streams.host}:{streams.port}",
    )  # fmt: skip
    streams, cache, where = ran.stdout.split()
    assert streams == f"redis://{where}/0" != cache


@pytest.mark.parametrize(
    ("budget", "status"), [("redis=3", 0), ("redis=2", 100), ("depth=2", 100), ("postgres=1", 100)]
)
def test_a_budget_decides_on_the_exit_status(redis_url: str, budget: str, status: int) -> None:
    ran = run(redis_url, python(GETS), "--budget", budget)
    assert ran.returncode == status
    assert ("budget" in ran.stderr) == bool(status)


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["sh", "-c", "exit 7"], 7, "nothing seen"),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM, "nothing seen"),
        (["no-such-command-at-all"], 127, "no-such-command-at-all: no such command"),
        (["/"], 126, "/: cannot be executed: Permission denied"),
    ],
)
def test_the_commands_status_is_passed_on(redis_url: str, command: list[str], status: int, said: str) -> None:
    ran = run(redis_url, command)
    assert ran.returncode == status
    assert said in ran.stderr


def test_a_command_that_never_ran_is_one_line_and_what_was_recorded_before_stays(
    redis_url: str, tmp_path: Path
) -> None:
    before = tmp_path / "trace.jsonl"
    before.write_text("what a run before this one has recorded")
    ran = run(redis_url, ["no-such-command-at-all"], "--out", str(before))
    assert ran.stderr == (
        "redisperf run: no-such-command-at-all: no such command: expected the name of a program on PATH, or its path\n"
    )
    assert before.read_text() == "what a run before this one has recorded"


def test_a_trace_can_go_to_what_is_no_file(redis_url: str) -> None:
    ran = run(redis_url, python(GETS), "--quiet", "--out", "/dev/stdout")
    assert '"redisperf.format":"redisperf-trace"' in ran.stdout
    assert Path("/dev/stdout").is_symlink()


def test_a_template_names_parts_of_urls_and_nothing_else(redis_url: str) -> None:
    ran = run(redis_url, ["true"], "--env", "A={redis.upper}")
    assert ran.returncode == 2
    assert ran.stderr == (
        "redisperf run: --env A={redis.upper}: no such value ('redis.upper'); there are {redis}, each with .host .port "
        ".user .password .database .sslmode .ca .channel_binding\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--redis", "none", "--postgres", "none", "--", "true"], "no server given: expected --redis URL"),
        (["run", "--redis", "mysql://x", "--", "true"], "redis=mysql://x: no such choice"),
        (["run", "--redis", "redis://127.0.0.1:1", "--postgres", "none"], "no command: expected redisperf run"),
        (["run", "--latency", "fast", "--", "true"], "'fast' is not a time"),
        (["run", "--budget", "redis", "--", "true"], "'redis': expected NAME=N"),
        (
            ["run", "--budget", "cache=1", "--", "true"],
            "--budget cache: no such server; there are depth, postgres, redis",
        ),
        (["run", "--out", "/no/such/directory/x", "--", "true"], "cannot be written: No such file or directory"),
        (["run", "--server", "redis://x", "--", "true"], "'redis://x': expected NAME=URL"),
        (["run", "--server", "redis=redis://x", "--", "true"], "expected another name; --redis URL is for the one"),
        (["run", "--redis", "fake", "--", "true"], "redis=fake has no URL"),
        (["run", "--bogus", "--", "true"], "redisperf run: error: unrecognized arguments: --bogus"),
        (["show", "a.jsonl", "b.jsonl"], "redisperf show: error: unrecognized arguments: b.jsonl"),
        (["run", "--redis", "redis://h", "--postgres", "none", "--env", "A={nobody}", "--", "true"], "no such value"),
        (["proxy"], "no server given"),
        (["proxy", "--redis", "redis://h", "--out", "/no/such/directory/x"], "cannot be written: No such file or dire"),
        (["proxy", "--redis", "redis://h", "--listen", "redis"], "expected NAME=HOST:PORT"),
        (["proxy", "--redis", "redis://h", "--listen", "cache=:6390"], "no server of that name"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_two(arguments: list[str], said: str) -> None:
    ran = redisperf(*arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_forwarded_and_the_summary_still_printed(redis_url: str, number: signal.Signals) -> None:
    script = f"""
import signal, sys
signal.signal({int(number)}, lambda *_: sys.exit(5))
print("ready", flush=True)
signal.pause()
"""
    command = [sys.executable, "-m", "redis_perf", "run", "--redis", redis_url, "--postgres", "none", "--"]
    running = subprocess.Popen([*command, *python(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 5
    assert said.startswith("redisperf: nothing seen")


def test_a_command_ends_with_a_redisperf_that_was_killed(redis_url: str) -> None:
    script = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    command = [sys.executable, "-m", "redis_perf", "run", "--redis", redis_url, "--postgres", "none", "--"]
    running = subprocess.Popen([*command, *python(script)], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    running.stdout.readline()
    running.kill()
    assert running.stdout.read() == ""  # ends when the command, which holds it too, has ended
    running.wait()
    running.stdout.close()


def test_the_proxy_alone_prints_its_urls_and_at_the_end_what_it_saw(redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    out = tmp_path / "trace.jsonl"
    command = ["proxy", "--redis", redis_url, "--listen", f"redis=127.0.0.1:{port}", "--out", str(out)]
    running = subprocess.Popen([sys.executable, "-m", "redis_perf", *command], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == f"redis  redis://127.0.0.1:{port}/0\n"
    environment = {**os.environ, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port)}
    subprocess.run(python(GETS), env=environment, check=True, capture_output=True)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert said.startswith("redisperf: redis 3 round trips (3 commands), depth 3")
    assert loads(out.read_text().splitlines(keepends=True)).redis.round_trips == 3


def test_the_proxy_alone_waits_for_a_server_that_is_not_there_yet() -> None:
    command = [sys.executable, "-m", "redis_perf", "proxy", "--redis", "redis://127.0.0.1:1/0"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    port = urlsplit(running.stdout.readline().split()[1]).port
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port or 0), timeout=60) as client:
            client.sendall(b"PING\r\n")
            assert client.recv(1000) == b"-ERR redisperf proxy: 127.0.0.1:1 cannot be reached: Connection refused\r\n"
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "127.0.0.1:1 cannot be reached: Connection refused; connections to it were refused" in said
