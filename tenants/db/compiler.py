"""SQL compilers that add `brand_id = <current>` to the first table of each statement and subquery.

Joins get theirs from `BrandForeignKey`. Without a scope nothing is compiled; outside a transaction nothing is executed,
because Postgres would not know the brand and row-level security would silently answer with zero rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.apps import apps
from django.db.models.sql import compiler
from django.db.models.sql.where import AND, WhereNode

from tenants.fields import brand_column
from tenants.scoping import NoBrandError, brand_filter


@cache
def _models_by_table() -> dict[str, Any]:
    return {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}


def _model_of(query: Any, table: str) -> Any:
    meta = query.get_meta()
    # migrations compile queries for historical models, which the registry does not hold
    return query.model if meta.db_table == table else _models_by_table().get(table)


def _condition(query: Any, using: str) -> Any:
    """The lookup `alias.brand_id = current` for the first alias in use, or None for a table without brand."""
    if query.combinator:
        return None  # a union has no table of its own; its parts are compiled one by one
    alias = next((a for a in query.alias_map if query.alias_refcount[a]), None) or query.get_initial_alias()
    column = brand_column(_model_of(query, query.alias_map[alias].table_name) or query.model)
    if column is None:
        return None
    brand_id = brand_filter(using)
    exact: Any = column.get_lookup("exact")
    return None if brand_id is None else exact(column.get_col(alias), brand_id)


def _restricted(where: WhereNode, condition: Any) -> WhereNode:
    return where if condition is None else WhereNode([condition, where], connector=AND)


@contextmanager
def _with_brand(query: Any, using: str) -> Iterator[None]:
    original = query.where
    query.where = _restricted(original, _condition(query, using))
    try:
        yield
    finally:
        query.where = original


class _InTransaction:
    """Refuses to run a statement on tenant rows outside a transaction."""

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        query, connection = self.query, self.connection  # type: ignore[attr-defined]
        if (
            query.model is not None
            and not connection.in_atomic_block
            and brand_column(query.model) is not None
        ):
            raise NoBrandError(
                f"{query.model.__name__}: tenant rows are reached inside transaction.atomic() only"
            )
        return super().execute_sql(*args, **kwargs)  # type: ignore[misc]


class SQLCompiler(_InTransaction, compiler.SQLCompiler):
    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        with _with_brand(self.query, self.using or self.connection.alias):
            return super().as_sql(*args, **kwargs)


class SQLInsertCompiler(_InTransaction, compiler.SQLInsertCompiler):
    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        if brand_column(self.query.model) is not None:
            brand_filter(self.connection.alias)  # raises without a scope
        return super().as_sql(*args, **kwargs)


class SQLDeleteCompiler(_InTransaction, compiler.SQLDeleteCompiler):
    def _as_sql(self, query: Any) -> Any:
        with _with_brand(query, self.connection.alias):
            return super()._as_sql(query)  # type: ignore[misc]


class SQLUpdateCompiler(_InTransaction, compiler.SQLUpdateCompiler):
    def pre_sql_setup(self) -> None:  # type: ignore[override]
        # afterwards: super() may have rewritten the condition to `pk IN (subquery)`
        super().pre_sql_setup()
        self.query.where = _restricted(self.query.where, _condition(self.query, self.connection.alias))


class SQLAggregateCompiler(_InTransaction, compiler.SQLAggregateCompiler):
    pass
