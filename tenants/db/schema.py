"""Schema editor: composite keys by brand, row-level security, partitions by month, from ordinary migrations."""

from typing import Any

from django.db.backends.ddl_references import Columns
from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgresSchemaEditor

from tenants.db import policies
from tenants.fields import BrandForeignKey, brand_column, partition_column


class DatabaseSchemaEditor(PostgresSchemaEditor):
    sql_create_column_inline_fk = None  # type: ignore[assignment]  # foreign keys are added by _create_fk_sql, with the brand

    def table_sql(self, model: Any) -> tuple[str, Any]:
        sql, params = super().table_sql(model)
        if brand_column(model) is None:
            return sql, params
        partitioned = partition_column(model)
        if model._meta.pk.column is not None:  # not a CompositePrimaryKey, which Django writes itself
            key = ["brand_id", *([str(partitioned.column)] if partitioned else []), "id"]
            columns = ", ".join(self.quote_name(c) for c in key)
            sql = sql.replace(" PRIMARY KEY", "", 1)
            sql = f"{sql[: sql.rindex(')')]}, PRIMARY KEY ({columns}))"
        if partitioned:
            sql += f" PARTITION BY RANGE ({self.quote_name(str(partitioned.column))})"
        return sql, params

    def create_model(self, model: Any) -> None:
        super().create_model(model)
        if brand_column(model) is None:
            return
        table = model._meta.db_table
        for statement in policies.protect(table):
            self.execute(statement)
        if partition_column(model):
            # rows outside the months made ahead (old history) land here
            for statement in policies.partition(table, f"{table}_default", "DEFAULT"):
                self.execute(statement)

    def _create_fk_sql(self, model: Any, field: Any, suffix: str) -> Any:
        statement = super()._create_fk_sql(model, field, suffix)  # type: ignore[misc]
        if isinstance(field, BrandForeignKey):
            target = field.target_field.model._meta.db_table
            mine, theirs = ["brand_id", str(field.column)], ["brand_id", str(field.target_field.column)]
            statement.parts["column"] = Columns(model._meta.db_table, mine, self.quote_name)
            statement.parts["to_column"] = Columns(target, theirs, self.quote_name)
            # immediate: Citus reports a violation of a deferred one at COMMIT as an internal error
            statement.parts["deferrable"] = " DEFERRABLE INITIALLY IMMEDIATE"
        return statement

    def _constraint_names(self, model: Any, column_names: Any = None, *args: Any, **kwargs: Any) -> list[str]:
        parent: Any = super()
        names = parent._constraint_names(model, column_names, *args, **kwargs)
        if (
            column_names
            and len(column_names) == 1
            and kwargs.get("foreign_key")
            and brand_column(model) is not None
        ):
            both = ["brand_id", *column_names]
            names += parent._constraint_names(model, both, *args, **kwargs)
        return names
