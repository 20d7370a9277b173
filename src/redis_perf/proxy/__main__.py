"""The proxy process, started by `Proxy` with the descriptor of its control connection."""

import gc
import signal
import sys
from multiprocessing.connection import Connection

from redis_perf.proxy.server import Server

RARELY = 50_000

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which ends this in good order
gc.freeze()
gc.set_threshold(RARELY)  # what is noted is no garbage; looking through it again and again would keep replies waiting
Server(Connection(int(sys.argv[1]))).run()
