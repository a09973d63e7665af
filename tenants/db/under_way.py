"""A statement that Postgres works on while Python goes on with what comes next.

libpq waits for the answer in a thread of its own, without Python's lock. Whatever uses the connection next waits for that
thread first and gets its error (tenants/db/base.py), so that statements keep their order and nothing comes between.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection

WORTH = 500  # rows; fewer are written sooner than a thread is begun


def begin(sql: str, params: Sequence[Any], n_rows: int) -> Callable[[], list[Any]]:
    """Execute a statement of the open transaction; what is given waits for it and gives its rows, if it has any.

    Args:
        n_rows: how many rows it is about; a small one is executed at once.
    """
    if n_rows >= WORTH and (begun := connection.begin(sql, params)):  # type: ignore[attr-defined]
        return begun.rows
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows = cursor.fetchall() if cursor.description else []
    return lambda: rows


class UnderWay(threading.Thread):
    """One statement on one connection of psycopg."""

    def __init__(self, wrapper: Any, sql: str, params: Sequence[Any]) -> None:
        super().__init__(name="statement", daemon=True)
        self.error: BaseException | None = None
        self._wrapper, self._connection, self._sql, self._params = wrapper, wrapper.connection, sql, params
        self._rows: list[Any] = []

    def run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._sql, self._params)
                if cursor.description:
                    self._rows = cursor.fetchall()
        except BaseException as error:  # noqa: BLE001  # raised again where the connection is used next
            self.error = error

    def rows(self) -> list[Any]:
        """Wait for it."""
        self.join()
        self._wrapper.settle()
        if self.error:
            raise self.error
        return self._rows
