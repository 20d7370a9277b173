"""The wire proxy: counts round trips of any client in any language, and adds a network's latency on the way.

It is a process of its own, so it works while this one computes, and ends with it however that ends.
"""

from redis_perf.proxy.client import DEFAULT_HOLD_NS, Proxy
from redis_perf.proxy.fault_points import FaultPoint, fault_points

__all__ = ["DEFAULT_HOLD_NS", "FaultPoint", "Proxy", "fault_points"]
