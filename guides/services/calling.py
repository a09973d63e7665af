"""Phone numbers of customers for the guide who has to call them: an open task to call is a reason to see one whole."""

from collections.abc import Collection
from dataclasses import dataclass

from campaigns.models import StaffTask
from contacts.identities import mask_phone
from contacts.models import Contact, Identity
from org.models import Staff


@dataclass(frozen=True)
class Phone:
    """`number` is empty where it is shown masked: it cannot be dialled."""

    shown: str
    number: str


def of_tasks(tasks: Collection[StaffTask]) -> dict[int, list[str]]:
    """Contact → phone numbers, of those whom the open ones of these tasks say to call; one query.

    Args:
        tasks: of the guide who reads.
    """
    wanted = {
        task.contact_id
        for task in tasks
        if task.kind == StaffTask.Kind.CALL and task.state == StaffTask.State.OPEN and task.contact_id
    }
    found: dict[int, list[str]] = {}
    rows = Identity.objects.filter(kind=Identity.Kind.PHONE, contact_id__in=wanted).order_by("pk")
    for contact_id, number in rows.values_list("contact_id", "value"):
        found.setdefault(contact_id, []).append(number)
    return found


def of_customer(contact: Contact, *, staff: Staff, may_phones: bool) -> list[Phone]:
    """A customer's phone numbers as this person may read them: whole with the right, or while they have to call; at
    most two queries."""
    rows = Identity.objects.filter(kind=Identity.Kind.PHONE, contact=contact).order_by("pk")
    has_to = StaffTask.objects.filter(
        contact=contact, staff=staff, kind=StaffTask.Kind.CALL, state=StaffTask.State.OPEN
    )
    whole = may_phones or has_to.exists()
    return [
        Phone(number if whole else mask_phone(number), number if whole else "")
        for number in rows.values_list("value", flat=True)
    ]
