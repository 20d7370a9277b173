"""`python -m redis_perf` is `redisperf`."""

from redis_perf.cli import main

raise SystemExit(main())
