"""Whose send tasks and touches a person sees: those of guides and customers within the data scope of their
role."""

from typing import TypeVar

from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from contacts.models import Contact
from org.models import Scope, Staff

Rows = TypeVar("Rows", bound=Model)


def of_contacts(rows: "QuerySet[Rows]", staff: Staff) -> "QuerySet[Rows]":
    """Rows with a `contact_id` whose contact the person may see."""
    if staff.role and staff.role.scope == Scope.BRAND:
        return rows
    return rows.filter(Exists(Contact.objects.visible_to(staff).filter(pk=OuterRef("contact_id"))))


def of_guides(rows: "QuerySet[Rows]", staff: Staff) -> "QuerySet[Rows]":
    """Rows with a `staff` (send tasks, tasks) of guides of the person's region or store, or the person's own."""
    scope = staff.role.scope if staff.role else Scope.OWN
    if scope == Scope.BRAND:
        return rows
    if scope == Scope.REGION and staff.region_id:
        return rows.filter(Q(staff__region=staff.region_id) | Q(staff__store__region=staff.region_id))
    if scope == Scope.STORE and staff.store_id:
        return rows.filter(staff__store=staff.store_id)
    return rows.filter(staff=staff.pk)
