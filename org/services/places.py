"""Stores and regions."""

from typing import TypeVar

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Region, Store
from scrm.errors import ConflictError
from tenants.models import Brand

Place = TypeVar("Place", Store, Region)
_FIELDS = {Store: ["name", "code", "region"], Region: ["name"]}


def save_store(
    brand: Brand,
    *,
    by: Actor,
    name: str,
    code: str = "",
    region: Region | None = None,
    store: Store | None = None,
) -> Store:
    """Make a store, or change the one given. Raises ConflictError for a taken name."""
    values = {"name": name.strip(), "code": code.strip(), "region": region}
    return _save(by, store or Store(), values)


def save_region(brand: Brand, *, by: Actor, name: str, region: Region | None = None) -> Region:
    """Make a region, or rename the one given. Raises ConflictError for a taken name."""
    return _save(by, region or Region(), {"name": name.strip()})


def _save(by: Actor, place: Place, values: dict) -> Place:
    word = place._meta.model_name
    before = audit.snapshot(place, _FIELDS[type(place)]) if place.pk else {}
    for name, value in values.items():
        setattr(place, name, value)
    try:
        with transaction.atomic():
            place.save()
            after = audit.snapshot(place, _FIELDS[type(place)])
            if before != after:
                audit.record(
                    by, f"{word}.{'edit' if before else 'create'}", place, before=before, after=after
                )
    except IntegrityError as error:
        text = _("This name is taken")
        raise ConflictError(text, fields={"name": text}) from error
    return place


def delete_place(brand: Brand, *, by: Actor, place: Store | Region) -> None:
    """Raises ConflictError while something refers to it."""
    before = audit.snapshot(place, _FIELDS[type(place)])
    try:
        with transaction.atomic():
            audit.record(by, f"{place._meta.model_name}.delete", place, before=before)
            place.delete()
    except ProtectedError as error:
        raise ConflictError(_("Still in use: move its people, stores and codes elsewhere first")) from error
