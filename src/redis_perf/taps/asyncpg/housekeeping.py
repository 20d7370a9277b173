"""What asyncpg asks on its own account, told by the very texts it holds: nobody else sends those.

Types of a schema it has not met, in the queries of its module `introspection`; before and after one of them the
server's JIT is switched, in statements that only its code holds. And the reset of a connection that goes back to its
pool, which the connection itself knows.
"""

from __future__ import annotations

from typing import Any


def look_ups(client: Any) -> set[str]:
    """The texts of its look-ups of types."""
    module = client.introspection
    texts = {text for name, text in vars(module).items() if name.isupper() and isinstance(text, str)}
    switches = client.Connection._introspect_types.__code__.co_consts
    return texts | {text for text in switches if isinstance(text, str) and "'jit'" in text}
