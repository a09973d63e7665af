"""One row of any model for a contact, by what its fields ask for; what it refers to is made with it."""

import itertools
from typing import Any

from django.apps import apps
from django.db import models

from contacts.models import Contact
from scrm import clock
from tenants.fields import BrandField, PartitionKey
from tenants.models import Brand
from tests.factories import make_contact

_numbers = itertools.count(1)


def make_row(brand: Brand, model: str, **given: Any) -> Any:
    """Fields that are given, have a default, or may be empty stay as they are; the others are filled."""
    kind = apps.get_model(model)
    if kind is Contact:
        return make_contact(brand, **given)
    values = {}
    for field in kind._meta.local_concrete_fields:
        if isinstance(field, (BrandField, models.AutoField)) or not field.column:
            continue
        if field.name in given or field.attname in given:
            continue
        if (field.has_default() or field.null) and not isinstance(field, PartitionKey):
            continue
        values[field.name] = _value(brand, field)
    return kind.objects.create(**values, **given)


def _value(brand: Brand, field: Any) -> Any:
    n = next(_numbers)
    if isinstance(field, models.ForeignKey):
        return make_row(brand, field.related_model._meta.label)
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, models.DateTimeField):
        return clock.now()
    if isinstance(field, models.DateField):
        return clock.today(brand.timezone)
    if isinstance(field, models.JSONField):
        return {}
    if isinstance(field, models.BooleanField):
        return False
    if isinstance(field, (models.IntegerField, models.FloatField)):
        return n
    if field.get_internal_type() == "ArrayField":
        return []
    if isinstance(field, (models.CharField, models.TextField)):
        return "" if field.blank else f"x{n}"[-(field.max_length or 9) :]
    raise TypeError(f"{field} of {field.model}")
