"""A yardstick: passes bytes on between clients and one server on the loopback, and does nothing else.

    python benchmarks/forwarder.py PORT

Prints the port it listens on. What a proxy of one Python process costs at least is what this costs: it has no hold,
notes nothing, and takes neither errors nor slow readers into account. Between busy moments it polls as the proxy does.
"""

from __future__ import annotations

import gc
import select
import socket
import sys
from time import monotonic_ns

BUSY_NS = 100_000


def connected(one: socket.socket) -> socket.socket:
    one.setblocking(False)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def passed(one: socket.socket, other: socket.socket) -> bool:
    """False when either has ended."""
    try:
        data = one.recv(1 << 16)
        rest = data[other.send(data) :]
        if rest:  # nothing is kept here: wait
            other.setblocking(True)
            other.sendall(rest)
            other.setblocking(False)
    except OSError:
        return False
    return bool(data)


def main(port: int) -> None:
    gc.disable()
    door = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(door.getsockname()[1], flush=True)
    epoll = select.epoll()
    epoll.register(door.fileno(), select.EPOLLIN)
    ends: dict[int, tuple[socket.socket, socket.socket]] = {}
    last_ns = 0
    while True:
        ready = epoll.poll(0)
        if not ready:
            if monotonic_ns() - last_ns < BUSY_NS:
                continue
            ready = epoll.poll()
        for descriptor, _ in ready:
            if descriptor == door.fileno():
                client, server = connected(door.accept()[0]), connected(socket.create_connection(("127.0.0.1", port)))
                for one, other in ((client, server), (server, client)):
                    ends[one.fileno()] = one, other
                    epoll.register(one.fileno(), select.EPOLLIN)
            elif descriptor in ends:
                one, other = ends[descriptor]
                if not passed(one, other):
                    for each in (one, other):
                        del ends[each.fileno()]
                        epoll.unregister(each.fileno())
                        each.close()
        last_ns = monotonic_ns()


if __name__ == "__main__":
    main(int(sys.argv[1]))
