"""What could make the longest chain of round trips shorter, and whether it is as long as it seems; as text."""

from __future__ import annotations

from collections.abc import Iterator

from redis_perf.analysis.depth import Chain
from redis_perf.analysis.spending import spending
from redis_perf.report.lines import label

ASIDES_SHOWN = 2


def chain_lines(chain: Chain) -> Iterator[str]:
    """Advice first, then the doubt."""
    for aside in chain.asides[:ASIDES_SHOWN]:
        first, second = (label(spending((trip,))[0]) for trip in (aside.first, aside.second))
        yield f"{first}, then {second}: if neither needs the other's reply, asked at once they are one step (saves 1)"
    if not chain.exact:
        yield (
            "several threads or tasks took part, which seldom overlap on a loopback: this depth is the most it can be "
            "(--redisperf-tap=proxy shows what it is on a network)"
        )
