"""What may befall a round trip: one small frozen value per fault. No I/O.

A fault says *when* (`on`) and *what*: instead of a request, or of its reply. Doing nothing is a fault too. The proxy
counts and carries them out; the same fault at the same place does the same each time.
"""

from redis_perf.proxy.faults.error_reply import ErrorReply
from redis_perf.proxy.faults.fault import Fault
from redis_perf.proxy.faults.half_reply import HalfReply
from redis_perf.proxy.faults.nothing import Nothing
from redis_perf.proxy.faults.refuse import Refuse
from redis_perf.proxy.faults.reset import Reset
from redis_perf.proxy.faults.restart import Restart
from redis_perf.proxy.faults.slow_drip import SlowDrip
from redis_perf.proxy.faults.stall import Stall
from redis_perf.proxy.faults.when import When, command, every_round_trip, nth_connection, nth_round_trip, statement

__all__ = [
    "ErrorReply",
    "Fault",
    "HalfReply",
    "Nothing",
    "Refuse",
    "Reset",
    "Restart",
    "SlowDrip",
    "Stall",
    "When",
    "command",
    "every_round_trip",
    "nth_connection",
    "nth_round_trip",
    "statement",
]
