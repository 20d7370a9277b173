"""The command `redisperf`."""

import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import redis_perf
from redis_perf import Operation, RoundTrip, ServerUnavailable, Site, TapError, Tapped, Trace, cli, servers, taps
from redis_perf.commands import taps as taps_command
from redis_perf.report.jsonl import dumps


def test_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"redisperf {redis_perf.__version__}\n"


def test_it_runs_as_a_module():
    run = subprocess.run([sys.executable, "-m", "redis_perf", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"redisperf {redis_perf.__version__}\n"


def test_without_a_command_it_says_which_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "usage: redisperf [-h] [--version] VERB ...\nredisperf: error: the following arguments are required: VERB\n"
    )


def test_a_verb_that_does_not_exist_is_answered_with_those_that_do(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["shaw", "trace.jsonl"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "invalid choice: 'shaw'" in said
    assert all(verb in said for verb in cli.VERBS)


def test_help_lists_every_verb_and_loads_none_of_them():
    code = (
        "import sys; from redis_perf import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print(sorted(name for name in sys.modules if name.startswith('redis_perf.commands.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"    {verb} " in run.stdout for verb in cli.VERBS)
    assert run.stdout.splitlines()[-1] == "[]"


def test_the_usage_of_run_says_where_the_command_goes(capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "--bogus"])
    said = capsys.readouterr().err
    assert said.startswith("usage: redisperf run [options] -- COMMAND [arguments]\n")


def test_taps_lists_clients_and_servers(capsys, monkeypatch):
    def unavailable(choice):
        raise ServerUnavailable(f"redis={choice}: none here")

    monkeypatch.setattr(servers, "redis", unavailable)
    stopped = []
    server = SimpleNamespace(version="PostgreSQL 18.4", stop=lambda: stopped.append(True))
    monkeypatch.setattr(servers, "postgres", lambda choice: server)

    @contextmanager
    def tap(recorder):
        recorder.tapped(Tapped("redis-py", "redis", version="8.1.0"))
        yield

    monkeypatch.setattr(taps, "installed", lambda: (SimpleNamespace(name="redis-py", load=lambda: tap),))
    assert cli.main(["taps"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "clients",
        "  redis-py   8.1.0 counted",
        "servers for --redisperf-redis=",
        "  fake       not to be had: redis=fake: none here",
        "  embedded   not to be had: redis=embedded: none here",
        "  system     not to be had: redis=system: none here",
        "servers for --redisperf-postgres=",
        "  embedded   PostgreSQL 18.4",
        "  system     PostgreSQL 18.4",
    ]
    assert stopped == [True, True]


def test_a_client_that_cannot_be_tapped_is_shown_and_is_an_error(capsys, monkeypatch):
    @contextmanager
    def tap(recorder):
        raise TapError("no read_response")
        yield

    monkeypatch.setattr(taps, "installed", lambda: (SimpleNamespace(name="misfit", load=lambda: tap),))
    monkeypatch.setattr(taps_command, "_servers", lambda: ())
    assert cli.main(["taps"]) == 1
    assert capsys.readouterr().out == "clients\n  misfit     cannot be tapped: no read_response\n"


# --- trace files

GET = Operation("GET", "GET user:{}")


def trace_of(times):
    trips = (RoundTrip("redis", 1, (GET,), at, at + 1, 10, 20, Site("app/größe.py", 7, "badge")) for at in range(times))
    return Trace(tuple(trips))


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a trace of so many GETs to `name` in the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(name, times, end=None):
        (tmp_path / name).write_text("".join(dumps(trace_of(times)))[:end])

    return write


def test_show_prints_the_numbers_and_when_asked_the_lines_and_the_shapes(written, capsys):
    written("trace.jsonl", 2)
    assert cli.main(["show", "trace.jsonl", "--sites", "--shapes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trace.jsonl: redis 2 round trips (2 commands), depth 2",
        "                        round trips  operations  commits  depth  opened        sent    received",
        "redis                             2           2        0      2       0    20 bytes    40 bytes",
        "  work                            2           2        0      2            20 bytes    40 bytes",
        "at depth 2 it waits at least 4 ms at 2 ms a trip, 60 ms at 30 ms",
        "",
        "by line of code:",
        "  round trips  operations",
        "            2           2  größe.py:7 in badge",
        "                                2  GET user:{}",
        "",
        "by what was asked:",
        "  round trips  operations",
        "            2           2  redis     GET user:{}",
    ]


def test_show_as_json_has_the_lists_that_were_asked_for(written, capsys):
    written("trace.jsonl", 2)
    assert cli.main(["show", "--json", "trace.jsonl"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["redis"]["round_trips"] == plain["work"]["redis"]["commands"] == 2
    assert cli.main(["show", "--json", "--sites", "--shapes", "trace.jsonl"]) == 0
    full = json.loads(capsys.readouterr().out)
    assert set(full) - set(plain) == {"sites", "shapes"}
    assert full["sites"][0]["file"] == "app/größe.py"


def test_show_reads_standard_input(written, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("".join(dumps(trace_of(1))).encode())))
    assert cli.main(["show", "-"]) == 0
    assert capsys.readouterr().out.startswith("standard input: redis 1 round trip (1 command), depth 1\n")


def test_show_keeps_what_is_whole_of_a_file_that_is_cut_off(written, capsys):
    written("trace.jsonl", 3, end=-60)
    assert cli.main(["show", "trace.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "trace.jsonl: redis 2 round trips (2 commands), depth 2"
    assert lines[-1] == (
        "trace.jsonl: not everything was seen: the trace file is cut off within line 4: what came after is lost"
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "none.jsonl",
            None,
            "no such file, expected a trace; record one with `redisperf run --out FILE -- COMMAND` or "
            "`pytest --redisperf-trace=FILE`",
        ),
        (".", None, "cannot be read, expected a trace file: Is a directory"),
        (
            "empty.jsonl",
            b"",
            "empty, expected a redisperf trace; record one with `redisperf run --out FILE -- COMMAND` or "
            "`pytest --redisperf-trace=FILE`",
        ),
        (
            "image.png",
            b"\x89PNG\r\n\x1a\n",
            "line 1: not a redisperf trace: expected its header, found '\\udc89PNG\\r'; "
            "record one with `redisperf run --out FILE -- COMMAND` or `pytest --redisperf-trace=FILE`",
        ),
        (
            "newer.jsonl",
            b'{"redisperf.format":"redisperf-trace","redisperf.format.version":7}\n',
            "line 1: trace file version 7, expected 1: upgrade pytest-redisperf, or record it again with this one",
        ),
        (
            "broken.jsonl",
            "".join(dumps(Trace())).replace("end", "end\n").encode(),
            """line 2: expected a JSON object, found '{"redisperf.kind":"end'; """
            "the file is damaged: record it again",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["show", "diff"])
def test_a_file_that_cannot_be_read_is_one_line_and_status_2(verb, name, content, problem, written, tmp_path, capsys):
    written("base.jsonl", 1)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert cli.main(["show", name] if verb == "show" else ["diff", "base.jsonl", name]) == 2
    assert capsys.readouterr() == ("", f"redisperf {verb}: {name}: {problem}\n")


def test_diff_shows_what_changed_and_is_no_failure(written, capsys):
    written("base.jsonl", 1)
    written("head.jsonl", 3)
    assert cli.main(["diff", "base.jsonl", "head.jsonl"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "         1 -> 3 (+2)           1 -> 3 (+2)  more    redis     GET user:{}"
    assert printed.err == ""
    assert cli.main(["diff", "base.jsonl", "head.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["redis"]["depth"] == {"base": 1, "head": 3, "change": 2}


def test_diff_fails_on_an_increase_when_asked_to(written, capsys):
    written("base.jsonl", 1)
    written("head.jsonl", 3)
    assert cli.main(["diff", "base.jsonl", "head.jsonl", "--fail-on-increase"]) == 1
    assert capsys.readouterr().err == (
        "redisperf diff: increased: redis round trips 1 -> 3, redis operations 1 -> 3, redis depth 1 -> 3, "
        "overall depth 1 -> 3\n"
    )
    assert cli.main(["diff", "head.jsonl", "base.jsonl", "--fail-on-increase"]) == 0
    assert cli.main(["diff", "base.jsonl", "base.jsonl", "--fail-on-increase"]) == 0
    assert capsys.readouterr().err == ""


def test_diff_does_not_pass_a_head_that_was_not_seen_whole(written, capsys):
    written("base.jsonl", 3)
    written("head.jsonl", 3, end=-60)
    assert cli.main(["diff", "base.jsonl", "head.jsonl"]) == 0
    assert cli.main(["diff", "base.jsonl", "head.jsonl", "--fail-on-increase"]) == 1
    assert capsys.readouterr().err == (
        "redisperf diff: head.jsonl was not seen whole, so it proves no absence of an increase\n"
    )


def test_diff_of_standard_input_with_itself_is_refused(capsys):
    assert cli.main(["diff", "-", "-"]) == 2
    assert capsys.readouterr().err == (
        "redisperf diff: only one of BASE and HEAD can be standard input (-): give the other as a file\n"
    )


@pytest.mark.parametrize("number", ["-1", "many"])
def test_a_number_of_lines_that_is_none_is_refused(number, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["show", "trace.jsonl", f"--top={number}"])
    assert ended.value.code == 2
    assert f"argument --top: expected a whole number from 0, found {number!r}" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_the_output_quietly(written):
    written("trace.jsonl", 2)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "redis_perf", "show", "trace.jsonl"]
    run = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (run.returncode, run.stderr) == (0, "")


def test_characters_the_terminal_does_not_know_are_escaped(written):
    written("trace.jsonl", 1)
    command = [sys.executable, "-m", "redis_perf", "show", "--sites", "trace.jsonl"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "  gr\\xf6\\xdfe.py:7 in badge" in run.stdout
