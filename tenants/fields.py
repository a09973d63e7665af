"""Columns that make a model a brand's: `BrandField`, `BrandForeignKey`, `PartitionKey`. They survive into migrations."""

from typing import Any

from django.db import models
from django.db.models.sql.where import WhereNode

from tenants.scoping import current_brand_id


class BrandField(models.ForeignKey):
    """The brand of a row: not editable, filled from the scope, without an index of its own (every key begins with it).

    No foreign key in the database: the policy lets only the brand in scope be written, brands are never deleted, and a
    check of each row (with a lock on the brand's one row, by everybody) cost bulk writes more than the rows themselves.
    """

    def __init__(self, to: Any = "tenants.Brand", on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs.setdefault("default", current_brand_id)
        kwargs.setdefault("editable", False)
        kwargs.setdefault("db_index", False)
        kwargs.setdefault("db_constraint", False)
        kwargs.setdefault("related_name", "+")
        super().__init__(to, on_delete, **kwargs)


def brand_column(model: Any) -> BrandField | None:
    """The BrandField of a model, or None for global and local tables."""
    for field in model._meta.local_fields:
        if isinstance(field, BrandField):
            return field
    return None


class BrandForeignKey(models.ForeignKey):
    """A reference inside one brand: joins and constraints carry the brand as well.

    No index of its own: name the ones that queries need, beginning with the brand.
    """

    def __init__(self, to: Any, on_delete: Any, **kwargs: Any) -> None:
        kwargs.setdefault("db_index", False)
        super().__init__(to, on_delete, **kwargs)

    def get_extra_restriction(self, alias: str | None, related_alias: str | None) -> WhereNode | None:
        mine, theirs = brand_column(self.model), brand_column(self.related_model)
        if not (alias and related_alias and mine and theirs):
            return None
        exact: Any = mine.get_lookup("exact")
        condition = exact(theirs.get_col(alias, mine), mine.get_col(related_alias))
        return WhereNode([condition])

    def get_extra_descriptor_filter(self, instance: Any) -> dict[str, Any]:
        mine, theirs = brand_column(self.model), brand_column(self.related_model)
        return {theirs.attname: getattr(instance, mine.attname)} if mine and theirs else {}


class PartitionKey(models.DateTimeField):
    """The moment by whose month a table is partitioned; it becomes part of the table's key `(brand_id, at, id)`."""


def partition_column(model: Any) -> PartitionKey | None:
    for field in model._meta.local_fields:
        if isinstance(field, PartitionKey):
            return field
    return None
