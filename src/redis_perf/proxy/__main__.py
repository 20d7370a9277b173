"""The proxy process, started by `Proxy` with the descriptor of its control connection."""

import signal
import sys
from multiprocessing.connection import Connection

from redis_perf.proxy.server import Server

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which ends this in good order
Server(Connection(int(sys.argv[1]))).run()
