"""The small `sh` between us and a server: the server's parent, and what it can be told.

It reads commands from a named pipe in the server's directory, which its owner holds open. The end of that pipe, by
`stop()` or by any death of the owner, SIGKILL included, makes it end the server, paused or not, and remove the
directory. As the parent it always signals the right process; in a session of its own it is out of reach of Ctrl-C.

Any process that may enter the directory can tell it something: a fault in the proxy does.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from redis_perf.errors import ServerUnavailable

Word: TypeAlias = Literal["start", "end", "kill", "pause", "resume"]
Answer = TypeVar("Answer")

START_DEADLINE_S = 60.0
POLL_S = 0.002
ANSWER_DEADLINE_S = 30.0
LOG_TAIL_BYTES = 2000

# $1: the run directory; $2: what to do first; $3: the server; $4: `finish` or `slay`, the end of it all; $5: what to
# do then. A background command of a shell ignores SIGINT and SIGQUIT until it sets its own handlers, hence SIGKILL at
# last. One that is to be started again has 20 s to end in good order; 1 s is enough where all its files go. Signals go
# to the server's children too, for those of PostgreSQL are in sessions of their own; it is stopped first so that it
# makes no more. The server alone keeps the pipe `life` open for writing. The last line also takes timers that still
# sleep.
SHELL = r"""
run=$1 prepare=$2 serve=$3 last=$4 clear=$5 server=
start() {
    [ -z "$server" ] || wait "$server"
    exec 1<>"$run/life"
    eval "exec $serve" 3>&1 >>"$run/log" 2>&1 </dev/null &
    server=$!
    exec >/dev/null
}
signal() {
    [ -n "$server" ] || return
    kill -STOP "$server"
    children=
    if [ -d "/proc/$$/task" ]; then
        read -r children <"/proc/$server/task/$server/children"
    else
        children=$(ps -A -o ppid= -o pid= | while read -r parent child; do
            [ "$parent" != "$server" ] || echo "$child"
        done)
    fi
    kill "-$1" $children "$server"
}
slay() {
    signal KILL
    wait "$server"
    server=
}
finish() {
    [ -n "$server" ] || return
    signal CONT
    kill -INT "$server"
    { sleep "${1:-1}"; kill -QUIT "$server"; sleep 5; signal KILL; } &
    timer=$!
    wait "$server"
    kill -KILL "$timer"
    wait "$timer"
    server=
}
if eval "$prepare" >>"$run/log" 2>&1 </dev/null; then
    start
fi
exec >/dev/null
while read -r word answer; do
    case $word in
        start) start ;;
        end) finish 20 ;;
        kill) slay ;;
        pause) signal STOP ;;
        resume) signal CONT ;;
    esac
    echo "$word" 1<>"$run/$answer"
done
$last
eval "$clear" </dev/null
rm -rf -- "$run"
kill -KILL 0
"""


class Guard(NamedTuple):
    """The shell of the server in `directory`, as seen from any process."""

    directory: Path

    @property
    def control(self) -> Path:
        """The named pipe it is told by."""
        return self.directory / "control"

    @property
    def life(self) -> Path:
        """The named pipe that the server and its children hold open."""
        return self.directory / "life"

    def tell(self, word: Word) -> None:
        """Returns when it is done; `start` only begins. Raises ServerUnavailable when the guard has gone."""
        answer = self.directory / f"answer-{os.urandom(4).hex()}"
        try:
            with _hearing(answer) as heard:
                self._say(f"{word} {answer.name}\n")
                if not heard.poll(ANSWER_DEADLINE_S * 1000):
                    raise self.failure(f"was told to {word} and has not within {ANSWER_DEADLINE_S:.0f} s")
        except OSError as error:
            raise ServerUnavailable(f"cannot {word} the server: it was stopped ({error})") from error

    def _say(self, line: str) -> None:
        control = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(control, line.encode())
        finally:
            os.close(control)

    def failure(self, what: str) -> ServerUnavailable:
        """The error to raise: what happened, and the end of the server's log."""
        log = self.directory / "log"
        tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip() if log.exists() else ""
        return ServerUnavailable(f"the server {what}; the end of its log:\n{tail or '(empty)'}")


class Life:
    """Whether the server lives, as an event: the end of a pipe that it and its children alone hold open."""

    def __init__(self, guard: Guard) -> None:
        """Raises OSError when there is no such server."""
        self._guard = guard
        self.descriptor = os.open(guard.life, os.O_RDONLY | os.O_NONBLOCK)
        self._end = select.poll()  # not select(): that knows only the first 1024 file descriptors
        self._end.register(self.descriptor)

    def ended(self, timeout_s: float) -> bool:
        """Whether the server and all its children are gone, waiting so long for it."""
        return bool(self._end.poll(timeout_s * 1000))

    def until(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` returns once it no longer raises OSError. Raises ServerUnavailable when the server ended."""
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            with contextlib.suppress(OSError):
                return ask()
            if self.ended(POLL_S):
                raise self._guard.failure("ended while starting")
            if time.monotonic() > deadline:
                raise self._guard.failure(f"gave no answer within {START_DEADLINE_S:.0f} s")

    def close(self) -> None:
        os.close(self.descriptor)


@contextmanager
def _hearing(answer: Path) -> Iterator[select.poll]:
    """A named pipe for one answer."""
    os.mkfifo(answer, 0o600)
    try:
        pipe = os.open(answer, os.O_RDWR | os.O_NONBLOCK)
        try:
            heard = select.poll()
            heard.register(pipe, select.POLLIN)
            yield heard
        finally:
            os.close(pipe)
    finally:
        answer.unlink(missing_ok=True)
