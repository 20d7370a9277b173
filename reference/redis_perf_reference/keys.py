"""Keys: where one user's working memory lies in Redis. All of them share one Cluster slot."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf_reference.turn import storable


@dataclass(frozen=True, slots=True)
class Keys:
    """`turns` the cached list, `summary` the cached summary, `aside` what a flush could not read, `gone` a mark that
    the user was deleted a moment ago."""

    turns: str
    summary: str
    aside: str
    gone: str


def keys_of(prefix: str, user_id: str) -> Keys:
    """The user id is the hash tag (`working:{ada}:turns`), so that scripts and UNLINK may name several keys.

    Braces in the id are escaped, as they would end the tag. Raises ValueError for an empty id: an empty tag is none.
    """
    if not storable("user_id", user_id):
        raise ValueError("user_id is empty")
    tag = user_id.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    base = f"{prefix}:{{{tag}}}"
    return Keys(f"{base}:turns", f"{base}:summary", f"{base}:aside", f"{base}:gone")
