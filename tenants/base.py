"""Base class of every table that belongs to a brand."""

from collections.abc import Collection

from django.db import models

from tenants.fields import BrandField


class TenantModel(models.Model):
    """A row of one brand: database key `(brand_id, id)`, row-level security, composite foreign keys.

    The schema editor of `tenants/db/` makes all three; migrations stay as makemigrations writes them.
    """

    brand = BrandField()
    id = models.BigAutoField(primary_key=True)

    class Meta:
        abstract = True

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        # forms exclude the hidden brand and would skip every constraint that names it, which is every one
        super().validate_constraints(exclude=set(exclude or ()) - {"brand"})


class KeyedTenantModel(models.Model):
    """A narrow table of a brand whose key is made of its own columns: declare `pk = CompositePrimaryKey("brand", …)`."""

    brand = BrandField()

    class Meta:
        abstract = True
