"""The connection: at the start of each transaction it tells Postgres the brand, as a statement of its own.

`SET LOCAL` and nothing else: `SET` leaks to the next client behind a pooler, `set_config()` does not reach Citus workers.
"""

import select
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from django.db.utils import Error

from tenants import scoping
from tenants.db.features import DatabaseFeatures
from tenants.db.operations import DatabaseOperations
from tenants.db.schema import DatabaseSchemaEditor
from tenants.db.under_way import UnderWay


class DatabaseWrapper(base.DatabaseWrapper):
    features_class = DatabaseFeatures
    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last: list[tuple[frozenset[str], Callable[[int, list], None], int, Any]] = []
        self._written: list[tuple[frozenset[str], list]] = []  # what was written inside savepoints
        self._prepared: dict[str, str] = {}  # statement → its name on the server
        self._under_way: UnderWay | None = None

    def is_usable(self) -> bool:
        """Whether Postgres is still there. A live server says nothing unasked: only when something lies in the
        socket (its goodbye, mostly) is it worth asking, so a request or task costs no round trip for this."""
        if self.connection is None or self.connection.closed:
            return False
        unasked = select.poll()
        unasked.register(self.connection.fileno(), select.POLLIN)
        return super().is_usable() if unasked.poll(0) else True

    def apply_brand(self, setting: str) -> None:
        """Set `app.brand_id` for the open transaction; `setting` is digits or empty."""
        with self.cursor() as cursor:
            cursor.execute(f"SET LOCAL app.brand_id = '{setting}'")

    def set_autocommit(self, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        # the outermost atomic() calls this with False: a transaction begins
        try:
            super().set_autocommit(autocommit, *args, **kwargs)
            if not autocommit and (setting := scoping.setting()):
                self.apply_brand(setting)
        except Error:
            # Postgres is gone. Left like this, outside of a block and not in autocommit, the next atomic() would take
            # itself for an inner one, fail at its savepoint, and leave the connection inside a block for good.
            if not self.in_atomic_block:
                self.close()
            raise

    # ---- a statement under way

    def begin(self, sql: str, params: Sequence[Any]) -> UnderWay | None:
        """Begin a statement of the open transaction (tenants/db/under_way.py); None where somebody watches statements, who
        has to see this one as well."""
        if not self.in_atomic_block or self.execute_wrappers or self.queries_logged:
            return None
        self.settle()
        self.validate_thread_sharing()
        self._under_way = UnderWay(self, sql, params)
        self._under_way.start()
        return self._under_way

    def settle(self) -> None:
        """Wait for what is under way.

        Raises:
            Error: it has failed.
        """
        if error := self._awaited():
            with self.wrap_database_errors:
                raise error

    def _awaited(self) -> BaseException | None:
        if self._under_way is None:
            return None
        self._under_way.join()
        error, self._under_way = self._under_way.error, None
        return error

    def _cursor(self, name: str | None = None) -> Any:
        self.settle()
        return super()._cursor(name)  # type: ignore[misc]

    def validate_no_broken_transaction(self) -> None:
        # each statement of a cursor comes by here, also of one that was open before
        if self._under_way is not None:
            self.settle()
        super().validate_no_broken_transaction()

    # ---- small statements that come again and again

    def connect(self) -> None:
        self._prepared = {}
        super().connect()

    def prepared(
        self, sql: str, kinds: Mapping[str, str], values: Mapping[str, Any]
    ) -> tuple[str, Mapping[str, Any]]:
        """A statement that Postgres reads and plans once for this connection, as text and parameters to execute.

        For statements over single rows found by their keys: a plan that stands must be right for any values.

        Args:
            sql: with named parameters `%(name)s`, each of `kinds`.
            kinds: parameter → its type in Postgres.
        """
        if not settings.DATABASE_PREPARE:
            return sql, values
        name = self._prepared.get(sql)
        if name is None:
            self.ensure_connection()
            self.settle()
            name = f"scrm_{len(self._prepared) + 1}"
            text = sql % {kind: f"${n}" for n, kind in enumerate(kinds, start=1)}
            with self.wrap_database_errors, self.connection.cursor() as cursor:
                cursor.execute(f"PREPARE {name} ({', '.join(kinds.values())}) AS {text}")
            self._prepared[sql] = name
        return f"EXECUTE {name} ({', '.join(f'%({kind})s' for kind in kinds)})", values

    def at_once(self, sql: str, values: Mapping[str, Any]) -> Any:
        """Execute one statement as a transaction of its own, in the brand in scope, and give its first row: the brand and
        the statement travel together, Postgres commits when both are done. Outside of transactions."""
        if self.in_atomic_block:
            raise RuntimeError("there is a transaction already")
        text = f"SET LOCAL app.brand_id = '{scoping.current_brand_id()}'; {sql}"
        if self.execute_wrappers or self.queries_logged:
            with self.cursor() as cursor:
                cursor.execute(text, values)
                return cursor.fetchone()
        # without what Django puts around a cursor: a fifth of the time that Python needs for it
        self.close_if_health_check_failed()
        self.ensure_connection()
        self.validate_thread_sharing()
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            cursor.execute(text, values)
            return cursor.fetchone()

    # ---- what is written last, just before the commit

    def before_commit(self, write: Callable[[int, list], None], item: Any) -> None:
        """Have `write(brand_id, items)` called once, with all items of the brand in scope, just before the commit.

        For rows that many transactions share (bitmaps): they are locked for the moment of the commit only, in one
        order, by one statement. What is noted inside a savepoint goes with it. `write` uses plain SQL.
        """
        self._last.append((frozenset(self.savepoint_ids), write, scoping.current_brand_id(), item))

    def write_last(self) -> None:
        """Write what is noted now: before the commit, or because this transaction wants to read it."""
        todo, self._last = self._last, []
        if self.savepoint_ids:
            self._written.append((frozenset(self.savepoint_ids), todo))
        together: dict[tuple[Any, int], list] = {}
        for _sids, write, brand_id, item in todo:
            together.setdefault((write, brand_id), []).append(item)
        for (write, brand_id), items in together.items():
            elsewhere = scoping.setting() != str(brand_id)  # the scope has been left before the transaction
            if elsewhere:
                self.apply_brand(str(brand_id))
            write(brand_id, items)
            if elsewhere:
                self.apply_brand(scoping.setting())

    def commit(self) -> None:
        try:
            self.settle()
            self.write_last()
        except BaseException:
            self.rollback()
            raise
        self._written = []
        super().commit()

    def rollback(self) -> None:
        self._awaited()  # whatever came of it is taken back
        self._last, self._written = [], []
        super().rollback()

    def savepoint_rollback(self, sid: str) -> None:
        self._awaited()
        super().savepoint_rollback(sid)
        # what was written since the savepoint is gone with it: what had been noted before it has to be written again
        lost = [noted for sids, todo in self._written if sid in sids for noted in todo]
        self._written = [(sids, todo) for sids, todo in self._written if sid not in sids]
        self._last = [noted for noted in (*lost, *self._last) if sid not in noted[0]]

    def close(self) -> None:
        self._awaited()
        self._last, self._written = [], []
        super().close()
