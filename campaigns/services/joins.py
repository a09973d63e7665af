"""How statements over sets are to be joined where Postgres cannot know it: statistics are old for whoever is new, and a
brand that counts as one row looks cheap to be read from end to end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def joined_by_hash(cursor: Any) -> Iterator[None]:
    """Statements over a whole brand: no loop from row to row, and memory for hashes of a million people."""
    cursor.execute("SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '192MB'")
    yield  # after an error the transaction is over, and the settings with it
    cursor.execute("SET LOCAL enable_nestloop TO DEFAULT; SET LOCAL work_mem TO DEFAULT")


@contextmanager
def joined_by_loop(cursor: Any) -> Iterator[None]:
    """Statements over some rows that are named by their ids: each is looked up, whatever the table holds."""
    cursor.execute("; ".join(f"SET LOCAL enable_{way} = off" for way in _WAYS))
    yield
    cursor.execute("; ".join(f"SET LOCAL enable_{way} TO DEFAULT" for way in _WAYS))


_WAYS = ("hashjoin", "mergejoin", "material")
