"""A pipe between client and server that holds back everything the server says for a while. Knows no protocol.

    python delay_pipe.py LATENCY_MS LISTEN=TARGET ...      (a number is a port of 127.0.0.1, else a Unix socket's path)

A listening port 0 means a free one. Once ready it prints the ends it listens at, one JSON list; on SIGTERM it prints
what it saw, one JSON list of `[at_ns, connection, kind]` with kind "opened" (by TCP, which is a round trip of its
own that cannot be held back), "sent" (by the client) or "released" (to the client), and ends.

What is released is noted before it is passed on and what is sent after it was taken, so a send that depends on an
answer always stands after it. The other way round an idle moment of this process may put a send too late, never
too early: counted turns can only be too many, and the least of several runs is the truth.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from queue import SimpleQueue

CHUNK_BYTES = 1 << 18
SPIN_NS = 200_000

Seen = tuple[int, int, str]
seen: list[Seen] = []


def connect(end: str) -> socket.socket:
    if not end.isdecimal():
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(end)
        return peer
    return no_delay(socket.create_connection(("127.0.0.1", int(end))))


def listen(end: str) -> socket.socket:
    if not end.isdecimal():
        door = socket.socket(socket.AF_UNIX)
        door.bind(end)
        door.listen(128)
        return door
    return socket.create_server(("127.0.0.1", int(end)), backlog=128)


def no_delay(peer: socket.socket) -> socket.socket:
    if peer.family == socket.AF_INET:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def send(client: socket.socket, server: socket.socket, connection: int) -> None:
    """What the client says goes on at once."""
    try:
        while data := client.recv(CHUNK_BYTES):
            seen.append((time.monotonic_ns(), connection, "sent"))
            server.sendall(data)
    except OSError:
        pass
    finally:
        hang_up(server)


def take(server: socket.socket, held: SimpleQueue[tuple[int, bytes]], latency_ns: int) -> None:
    """What the server says is taken at once, so that it is never kept from saying more."""
    data = b"more"
    while data:
        try:
            data = server.recv(CHUNK_BYTES)
        except OSError:
            data = b""
        held.put((time.monotonic_ns() + latency_ns, data))


def release(client: socket.socket, held: SimpleQueue[tuple[int, bytes]], connection: int) -> None:
    """What the server said is passed on when its time has come; nothing (its end) too."""
    try:
        while True:
            due_ns, data = held.get()
            wait_until(due_ns)
            if not data:
                return
            seen.append((time.monotonic_ns(), connection, "released"))
            client.sendall(data)
    except OSError:
        pass
    finally:
        hang_up(client)


def wait_until(due_ns: int) -> None:
    if (left_ns := due_ns - time.monotonic_ns() - SPIN_NS) > 0:
        time.sleep(left_ns / 1e9)
    while time.monotonic_ns() < due_ns:
        pass


def hang_up(peer: socket.socket) -> None:
    with suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)


def serve(door: socket.socket, target: str, latency_ns: int, numbers: Iterable[int]) -> None:
    for connection in numbers:
        client = no_delay(door.accept()[0])
        if door.family == socket.AF_INET:
            seen.append((time.monotonic_ns(), connection, "opened"))
        server = connect(target)
        held: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
        for work in (
            threading.Thread(target=send, args=(client, server, connection), daemon=True),
            threading.Thread(target=take, args=(server, held, latency_ns), daemon=True),
            threading.Thread(target=release, args=(client, held, connection), daemon=True),
        ):
            work.start()


def main() -> None:
    latency_ns = int(float(sys.argv[1]) * 1e6)
    ends = [route.split("=", 1) for route in sys.argv[2:]]
    doors = [listen(end) for end, _ in ends]
    for index, (door, (_, target)) in enumerate(zip(doors, ends, strict=True)):
        numbers = range(index, 1 << 31, len(doors))
        threading.Thread(target=serve, args=(door, target, latency_ns, numbers), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    names = [door.getsockname() for door in doors]
    print(json.dumps([name if isinstance(name, str) else name[1] for name in names]), flush=True)
    signal.sigwait({signal.SIGTERM})
    print(json.dumps(seen), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
