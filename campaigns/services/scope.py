"""Whose send tasks and touches a person sees: those of guides and customers within the data scope of their
role."""

from typing import TypeVar

from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from contacts.models import Contact
from org.models import Scope, Staff

Rows = TypeVar("Rows", bound=Model)


def of_contacts(rows: "QuerySet[Rows]", staff: Staff) -> "QuerySet[Rows]":
    """Rows with a `contact_id` whose contact the person may see."""
    if staff.sees_brand:
        return rows
    return rows.filter(Exists(Contact.objects.visible_to(staff).filter(pk=OuterRef("contact_id"))))


def of_guides(rows: "QuerySet[Rows]", staff: Staff) -> "QuerySet[Rows]":
    """Rows with a `staff` (send tasks, tasks) of guides of the person's region or store, or the person's own."""
    if staff.sees_brand:
        return rows
    if staff.scope == Scope.REGION and staff.region_id:
        return rows.filter(Q(staff__region=staff.region_id) | Q(staff__store__region=staff.region_id))
    if staff.scope == Scope.STORE and staff.store_id:
        return rows.filter(staff__store=staff.store_id)
    return rows.filter(staff=staff.pk)


def guide_choices(staff: Staff) -> list[tuple[int, str]]:
    """Guides among whom a list may be narrowed: (id, name)."""
    return list(Staff.objects.visible_to(staff).guides().order_by("name").values_list("pk", "name")[:500])
