"""The witnesses themselves, on traffic whose turns are known."""

from __future__ import annotations

import importlib.util
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

WITNESSES = Path(__file__).parent / "witnesses"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"redis_perf_witness_{name}", WITNESSES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


strace, slope = loaded("strace"), loaded("slope")

CONNECT = '7 connect(5, {sa_family=AF_INET, sin_port=htons(6379), sin_addr=inet_addr("127.0.0.1")}, 16) = 0'
SEND = '7 sendto(5, "PING", 4, 0, NULL, 0) = 4'
RECEIVE = '7 recvfrom(5, "PONG", 65536, 0, NULL, NULL) = 4'
BEGINS, ENDS = '7 write(3, "case one begins", 15) = 15', '7 write(3, "case one ends", 13) = 13'


def round_trips(*lines: str) -> int:
    spent = strace.read([BEGINS, *lines, ENDS], [6379, "/run/redis.sock"])
    return int(spent["one"].round_trips)


def test_a_tcp_connect_is_a_round_trip_and_a_unix_one_is_not() -> None:
    assert round_trips(CONNECT) == 1
    assert round_trips('7 connect(5, {sa_family=AF_UNIX, sun_path="/run/redis.sock"}, 110) = 0') == 0


def test_a_connect_in_progress_counts_and_a_refused_one_does_not() -> None:
    assert round_trips(CONNECT.replace("= 0", "= -1 EINPROGRESS (Operation now in progress)")) == 1
    assert round_trips(CONNECT.replace("= 0", "= -1 ECONNREFUSED (Connection refused)")) == 0


def test_several_sends_before_one_receive_are_one_round_trip() -> None:
    assert round_trips(CONNECT, SEND, SEND, RECEIVE, RECEIVE) == 2


def test_peeking_and_finding_nothing_is_not_receiving() -> None:
    peek = '7 recvfrom(5, "P", 1, MSG_PEEK, NULL, NULL) = 1'
    nothing = "7 recvfrom(5, 0x7f, 65536, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)"
    assert round_trips(CONNECT, SEND, peek, nothing, SEND, RECEIVE) == 2


def test_a_call_that_another_thread_interrupted_is_put_together() -> None:
    unfinished = "7 recvfrom(5,  <unfinished ...>"
    resumed = '7 <... recvfrom resumed>"PONG", 65536, 0, NULL, NULL) = 4'
    assert round_trips(CONNECT, SEND, unfinished, "8 close(9) = 0", resumed) == 2


def test_a_descriptor_that_was_closed_is_another_files() -> None:
    assert round_trips(CONNECT, SEND, "7 close(5) = 0", SEND, RECEIVE) == 1


def test_other_sockets_and_what_lies_outside_the_case_do_not_count() -> None:
    elsewhere = CONNECT.replace("6379", "80")
    assert round_trips(elsewhere, SEND, RECEIVE) == 0
    assert strace.read([CONNECT, SEND, RECEIVE, BEGINS, ENDS, SEND, RECEIVE], [6379])["one"].round_trips == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["sent", "released"]))))
def test_turns_of_several_connections_are_the_sum_of_their_turns(moves: list[tuple[int, str]]) -> None:
    def alone(connection: int) -> int:
        kinds = [kind for number, kind in moves if number == connection]
        return sum(pair == ("sent", "released") for pair in itertools.pairwise(kinds))

    assert slope.turns((0, *move) for move in moves) == (sum(map(alone, range(3))), 0)


@given(st.integers(0, 40), st.floats(0, 1e9), st.integers(1, 20), st.integers(21, 200))
def test_the_slope_is_the_number_of_waits_whatever_is_computed(
    waits: int, computed: float, low: int, high: int
) -> None:
    short, long = (int(computed + waits * latency * 1e6) for latency in (low, high))
    assert slope.agrees(slope.slope([short], [long], (low, high)), waits)
    assert not slope.agrees(slope.slope([short], [long], (low, high)), waits + 2)


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says what it hears."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def answer() -> None:
            peer, _ = door.accept()
            with peer:
                while heard := peer.recv(4096):
                    peer.sendall(heard)

        thread = threading.Thread(target=answer)
        thread.start()
        yield door.getsockname()[1]
        thread.join()


def test_the_delay_pipe_sees_each_wait_and_no_arrival(echo: int) -> None:
    command = [sys.executable, str(WITNESSES / "delay_pipe.py"), "20", f"0={echo}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pipe:
        assert pipe.stdout is not None
        (port,) = json.loads(pipe.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(3):
                client.sendall(b"one")
                client.sendall(b"two")
                heard = b""
                while heard != b"onetwo":
                    heard += client.recv(4096)
        pipe.send_signal(signal.SIGTERM)
        seen = json.loads(pipe.communicate()[0])
    assert slope.turns(seen) == (3, 1)


AGAIN = """
import run

class Measured(run.Measuring):
    def __init__(self, *numbers):
        super().__init__(None, True)
        self.numbers, self.asked = iter(numbers), []

    def cases(self, chosen, side_by_side=8):
        self.asked.append([(case["name"], case["latencies_ms"], case["hold_ms"]) for case in chosen])
        return [case | next(self.numbers) for case in chosen]

def case(name, witness, twin=""):
    return {"name": name, "witness": witness, "twin": twin, "skipped": "", "latencies_ms": (20, 160), "hold_ms": 3}

right = {"disagreements": [], "disagreements_of_the_proxy": []}
wrong, wrong_proxy = right | {"disagreements": ["3, 4"]}, right | {"disagreements_of_the_proxy": ["3, 4"]}
"""


@pytest.mark.parametrize(
    ("witnesses", "first", "anew", "asked"),
    [
        (["slope", "slope"], ["right", "wrong"], ["right"], ["1"]),
        (["slope", "slope"], ["right", "wrong"], ["wrong"], ["1"]),
        (["system calls"], ["wrong_proxy"], ["right"], ["0"]),
        (["system calls"], ["wrong"], [], []),
    ],
    ids=["a busy machine", "a wrong count", "at the proxy", "system calls have no time"],
)
def test_what_a_busy_machine_may_have_added_is_measured_again_and_what_is_wrong_stays_wrong(
    witnesses: list[str], first: list[str], anew: list[str], asked: list[str]
) -> None:
    code = f"""{AGAIN}
chosen = [case(str(number), witness) for number, witness in enumerate({witnesses})]
measured = Measured({", ".join([*first, *anew])})
cases = measured.again(measured.cases(chosen), chosen)
assert measured.asked[1:] == [[(name, [40, 320], 30)] for name in {asked}], measured.asked
wanted = [{", ".join(first)}]
for name, number in zip({asked}, [{", ".join(anew)}]):
    wanted[int(name)] = number
assert [(case["name"], case["disagreements"], case["disagreements_of_the_proxy"]) for case in cases] == [
    (str(number), *one.values()) for number, one in enumerate(wanted)
], cases
"""
    subprocess.run([sys.executable, "-c", code], cwd=WITNESSES, check=True)
