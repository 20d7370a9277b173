"""Round trips from a client's own system calls, as strace wrote them down. Knows no protocol.

On one connection a run of sends followed by a receive is one round trip; a TCP connect is one; peeking is not
receiving. For a client that blocks in `recv` this is the truth: it cannot have known an answer it had not received.
Cases are told apart by what the process writes to a file of its own: `case <name> begins`, `case <name> ends`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

SENDS = frozenset({"sendto", "sendmsg", "sendmmsg", "write", "writev"})
RECEIVES = frozenset({"recvfrom", "recvmsg", "recvmmsg", "read", "readv"})
TRACED = ("connect", "close", *sorted(SENDS), *sorted(RECEIVES))

_STARTED = re.compile(r"^(\d+)\s+(\w+)\((\d+)(.*)$")
_RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$")
_MARK = re.compile(r'"case (\w+) (begins|ends)"')
_TCP_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_UNIX_PATH = re.compile(r'sun_path="([^"]*)"')


class Call(NamedTuple):
    """One finished system call."""

    name: str
    descriptor: int
    arguments: str
    result: str


@dataclass
class Spent:
    """What one case did, as its system calls tell it."""

    round_trips: int = 0
    connects: int = 0
    sends: int = 0
    _sending: set[int] = field(default_factory=set)


def refusal() -> str | None:
    """Why processes cannot be traced here, or None if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-e", "trace=close", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"strace is not allowed here: {tried.stderr.strip().splitlines()[-1]}"


def command(output: str) -> list[str]:
    """The words to put before a command so that its system calls are written to `output`."""
    return ["strace", "-f", "--seccomp-bpf", "-s", "96", "-e", f"trace={','.join(TRACED)}", "-o", output]


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """The finished calls in order; one that another thread interrupted is put together again."""
    begun: dict[str, tuple[int, str]] = {}
    for line in lines:
        if started := _STARTED.match(line):
            thread, name, descriptor, rest = started.groups()
            if rest.endswith("<unfinished ...>"):
                begun[thread] = int(descriptor), rest
                continue
            arguments, _, result = rest.rpartition(" = ")
            yield Call(name, int(descriptor), arguments, result)
        elif (resumed := _RESUMED.match(line)) and resumed[1] in begun:
            number, before = begun.pop(resumed[1])
            arguments, _, result = resumed[3].rpartition(" = ")
            yield Call(resumed[2], number, before + arguments, result)


def read(lines: Iterable[str], servers: Iterable[int | str]) -> dict[str, Spent]:
    """What each case spent on connections to these servers (TCP ports and paths of Unix sockets)."""
    known = {str(server) for server in servers}
    cases: dict[str, Spent] = {}
    now = Spent()
    ours: set[int] = set()
    for call in calls(lines):
        if call.name == "connect":
            _connected(call, known, ours, now)
        elif call.name == "close":
            ours.discard(call.descriptor)
            now._sending.discard(call.descriptor)
        elif call.descriptor in ours:
            _moved(call, now)
        elif call.name == "write" and (mark := _MARK.search(call.arguments)):
            now = Spent()
            if mark[2] == "begins":
                cases[mark[1]] = now
    return cases


def _connected(call: Call, known: set[str], ours: set[int], now: Spent) -> None:
    ours.discard(call.descriptor)
    now._sending.discard(call.descriptor)
    port, path = _TCP_PORT.search(call.arguments), _UNIX_PATH.search(call.arguments)
    server = port or path
    if server and server[1] in known and (call.result.startswith("0") or "EINPROGRESS" in call.result):
        ours.add(call.descriptor)
        now.connects += bool(port)
        now.round_trips += bool(port)


def _moved(call: Call, now: Spent) -> None:
    size = call.result.split(" ", 1)[0]
    if not size.isdecimal() or size == "0" or "MSG_PEEK" in call.arguments:
        return
    if call.name in SENDS:
        now.sends += 1
        now._sending.add(call.descriptor)
    elif call.descriptor in now._sending:
        now._sending.discard(call.descriptor)
        now.round_trips += 1
