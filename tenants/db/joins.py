"""How a statement is to be joined where Postgres cannot know it: statistics are old for whoever is new, and a brand that
counts as one row looks cheap to be read from end to end.

Switches hold inside the block; what was set before holds again behind it. After an error the transaction is over, and
the settings with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LARGE = 1_000


@contextmanager
def joined_by_hash(
    cursor: Any,
    n_rows: int | None = None,
    *,
    above: int = LARGE,
    work_mem: str = "",
    merging: bool = True,
    sorting: bool = True,
) -> Iterator[None]:
    """Statements over many rows: no loop from row to row. What should be looked up row by row says so itself: a LATERAL
    subquery with OFFSET 0.

    Args:
        n_rows: of so many rows; up to `above` Postgres chooses. None: of a whole brand.
        work_mem: memory for hashes, e.g. of a million people.
        merging: False: no sorting of whole tables to merge them either.
        sorting: False: groups are made by hash, and each keeps the order in which its rows were read.
    """
    if n_rows is not None and n_rows <= above:
        yield
        return
    ways = ("nestloop", *(() if merging else ("mergejoin",)), *(() if sorting else ("sort",)))
    wanted = {f"enable_{way}": "off" for way in ways}
    with _set(cursor, wanted | ({"work_mem": work_mem} if work_mem else {})):
        yield


@contextmanager
def joined_by_loop(cursor: Any, *, sorting: bool = True) -> Iterator[None]:
    """Statements over some rows that are named by their keys: each is looked up, whatever the table holds.

    Args:
        sorting: False: what is looked up in an order is found by an index that has this order.
    """
    ways = ("hashjoin", "mergejoin", "material", *(() if sorting else ("sort",)))
    with _set(cursor, {f"enable_{way}": "off" for way in ways}):
        yield


@contextmanager
def joined_by_place(cursor: Any) -> Iterator[None]:
    """Statements over rows that are named by their places (`ctid`): each is fetched, whatever the table holds."""
    ways = ("hashjoin", "mergejoin", "material", "seqscan", "indexscan", "indexonlyscan", "bitmapscan")
    with _set(cursor, {f"enable_{way}": "off" for way in ways}):
        yield


@contextmanager
def _set(cursor: Any, values: dict[str, str]) -> Iterator[None]:
    cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in values))
    before = dict(zip(values, cursor.fetchone(), strict=True))
    cursor.execute(_words(values))
    yield
    cursor.execute(_words(before))


def _words(values: dict[str, str]) -> str:
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in values.items())
