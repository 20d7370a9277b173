"""Write docs/caching-measured.md from fresh runs of the benchmarks: `python docs/generate_caching.py`.

It wants the peers that benchmarks/caching.py names installed, and a quiet machine.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """# What the caches take

Written by `python docs/generate_caching.py`; no figure here was typed by hand. Read round trips as they are and times
as ratios: absolute times are those of one virtual machine with two cores and of loopback, where a round trip takes no
time to travel. On a network each costs what the network takes, and the first number of a cell decides."""
SECTIONS = {
    "caching.py": """## Beside others

Round trips of one call when all is warm, counted on the wire, and its time as a multiple of a raw redis-py GET of the
same 2 kB that took turns with it in the same process; medians. Hits in the process (L1) are given in nanoseconds.
*Ours* is `CacheAside` where something is loaded, `set` or deleted alone, `RedisCache` for hits and many keys at once,
and `TwoTierCache` for L1 and where other processes are told.

- cashews, dogpile.cache and django-redis write pickles, which whoever can write to Redis can make run anything. Ours
  and aiocache's values are JSON, redis-py's by hand.
- redisvl keeps an embedding of 384 numbers instead of the 2 kB in every row; requests-cache whole responses, and
  its miss asks a web server on this machine, which is nearly all of its time.
- aiocache's `clear` asks for all KEYS, and nobody else is served meanwhile. It is compared with ours at one step for
  the whole server, which is no better to others.
- *Embeddings* are ours by `EmbeddingCache`, whose encoder takes no time; redisvl's are a look and a store by hand.
  A *commit* of 50 files in five directories is ours by `BitbucketCache`, checks and the API's (empty) call included;
  cashews forgets a tag, django-redis a prefix. Who makes keys by hand and remembers the directories may do it with one
  `delete_many` of either.
- redis-py's client-side caching takes no Valkey by itself; `benchmarks/caches/redis_py.py` says how it is talked into
  it.

A name in the last lines is a row in which we are not ahead; asyncio caches are compared with ours for asyncio, the
others with the blocking one. What ours does more: a set that others are told of checks the stamps by which tags and
patterns are invalidated, keeps a copy in this process and hears its own message; reading many at once checks those
stamps in a script, where MGET and a pickle or JSON need none; deleting a pattern looks at what each key holds, as a
load under way is not counted.""",
    "redis_away.py": """## While Redis is away

Two clients of ours, read in turn for two seconds. *Refused*: the server is killed. *Hung*: it is stopped by a signal,
so it accepts connections and answers nothing. A client finds out by one failure, which takes one timeout (100 ms if
not said otherwise) where Redis hangs; it then answers from the loader (`CacheAside`) or as a miss (`TwoTierCache`)
without asking, and looks for Redis in the background. The others are given as they come, without any option of
theirs: two reads one after the other.""",
    "waiters.py": """## Waiting for another process's load

Who finds that another process loads says so in the same look, and then reads, once for all who wait in its process,
with a command that blocks until the loader tells the value: two round trips, on a connection of its own meanwhile, of
which there are at most 64 (whoever comes when all are blocked looks every 100 ms). The loader tells with its fill, if
somebody waits. A read that was told nothing for a second looks again, as does one when the loader's lease is over. So
one who waits while Redis begins to hang notices after a second and a timeout at the latest. `TwoTierCache` needs no
read that blocks: it hears of the end on its subscription, and looks again.""",
}


def printed(script: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main() -> None:
    sections = [f"{text}\n\n`python benchmarks/{script}`:\n\n{printed(script)}" for script, text in SECTIONS.items()]
    (ROOT / "docs" / "caching-measured.md").write_text("\n\n".join([HEAD, *sections]) + "\n")


if __name__ == "__main__":
    main()
