"""The wire proxy: counts round trips of any client in any language, and adds a network's latency on the way.

It is a process of its own, so it works while this one computes, and ends with it however that ends.
"""

from redis_perf.proxy.client import DEFAULT_HOLD_NS, Proxy

__all__ = ["DEFAULT_HOLD_NS", "Proxy"]
