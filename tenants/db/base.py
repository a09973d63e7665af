"""The connection: at the start of each transaction it tells Postgres the brand, as a statement of its own.

`SET LOCAL` and nothing else: `SET` leaks to the next client behind a pooler, `set_config()` does not reach Citus workers.
"""

import select
from typing import Any

from django.db.backends.postgresql import base

from tenants import scoping
from tenants.db.features import DatabaseFeatures
from tenants.db.operations import DatabaseOperations
from tenants.db.schema import DatabaseSchemaEditor


class DatabaseWrapper(base.DatabaseWrapper):
    features_class = DatabaseFeatures
    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor

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
        super().set_autocommit(autocommit, *args, **kwargs)
        if not autocommit and (setting := scoping.setting()):
            self.apply_brand(setting)
