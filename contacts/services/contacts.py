"""What people change on contacts themselves: do-not-contact, notes, saved filters."""

from collections.abc import Iterable, Sequence

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from contacts.filters import Filters
from contacts.models import Contact, EventType, SavedView
from contacts.services import stats
from contacts.services.timeline import EventRow, record_event, record_events
from contacts.sorting import Sort
from org import audit
from org.access import Actor
from org.models import Staff
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

MAX_NOTE = 500
MAX_VIEWS = 50


def get_visible(staff: Staff, contact_id: int) -> Contact:
    """A customer in this person's sight.

    Raises:
        NotFoundError: a foreign guide's, another brand's, or nobody: the same answer.
    """
    found = Contact.objects.visible_to(staff).filter(pk=contact_id).first()
    if found is None:
        raise NotFoundError()
    return found


@transaction.atomic
def set_do_not_contact(
    brand: Brand,
    *,
    contacts: Iterable[Contact | int],
    value: bool,
    by: Actor,
    audited: bool = True,
    source: str = "",
) -> int:
    """Put contacts on do-not-contact (不主动触达) or take them off; gives how many were changed. Safe to
    repeat.

    Args:
        audited: False for a part of a job, whose start is in the audit log.
        source: of the timeline entry; otherwise page or api, by who does it.
    """
    ids = sorted({c.pk if isinstance(c, Contact) else int(c) for c in contacts})
    rows = Contact.objects.select_for_update(no_key=True).filter(pk__in=ids).exclude(do_not_contact=value)
    changed = list(rows.order_by("pk").values_list("pk", flat=True))
    Contact.objects.filter(pk__in=changed).update(do_not_contact=value)
    stats.refresh(brand, changed)
    now = clock.now()
    events: list[EventRow] = [
        {
            "contact_id": pk,
            "type": EventType.DO_NOT_CONTACT,
            "at": now,
            "staff_id": by.staff.pk if by.staff else None,
            "source": source or ("page" if by.staff else "api"),
            "data": {"value": value, "by": by.name},
        }
        for pk in changed
    ]
    record_events(brand, events)
    if changed and audited:
        one = Contact.objects.get(pk=changed[0]) if len(changed) == 1 else None
        audit.record(by, "contact.do_not_contact", one, after={"value": value, "n": len(changed)})
    return len(changed)


def add_note(brand: Brand, *, contact: Contact, text: str, by: Actor) -> None:
    """A note of a person on the timeline.

    Raises:
        InvalidError: empty, or longer than MAX_NOTE.
    """
    text = text.replace("\x00", "").strip()
    if not text:
        raise InvalidError(_("The note is empty"))
    if len(text) > MAX_NOTE:
        raise InvalidError(_("At most %(n)s characters") % {"n": MAX_NOTE})
    record_event(
        brand,
        contact_id=contact.pk,
        type=EventType.NOTE,
        at=clock.now(),
        staff_id=by.staff.pk if by.staff else None,
        source="page",
        data={"text": text, "by": by.name},
    )


def saved_views(brand: Brand, staff: Staff) -> Sequence[SavedView]:
    """A person's own views and those shared by others, own ones first."""
    views = SavedView.objects.filter(Q(staff_id=staff.pk) | Q(is_shared=True))
    return sorted(views.order_by("pk")[: 2 * MAX_VIEWS], key=lambda v: v.staff_id != staff.pk)


def save_view(
    brand: Brand, *, staff: Staff, name: str, filters: Filters, is_shared: bool, sort: Sort | None = None
) -> SavedView:
    """Keep a filter, an order or both under a name; one of the person's own of this name is replaced.

    Raises:
        InvalidError: no name, neither filter nor order. ConflictError: too many.
    """
    name = " ".join(name.replace("\x00", "").split())[:40]
    if not name:
        raise InvalidError(_("A name is needed"), fields={"name": _("A name is needed")})
    if not filters and not sort:
        text = _("Choose a filter first: a view of everybody is there already")
        raise InvalidError(text, fields={"name": text})
    if SavedView.objects.filter(staff_id=staff.pk).exclude(name=name).count() >= MAX_VIEWS:
        raise ConflictError(_("There are too many saved views; delete one first"))
    query = filters.as_query() | ({"sort": str(sort)} if sort else {})
    try:
        with transaction.atomic():
            return SavedView.objects.update_or_create(
                staff_id=staff.pk, name=name, defaults={"query": query, "is_shared": is_shared}
            )[0]
    except IntegrityError as error:
        raise ConflictError(_("Somebody was quicker; try again")) from error


@transaction.atomic
def delete_view(brand: Brand, *, staff: Staff, view_id: int) -> None:
    """Delete one of the person's own views."""
    if not SavedView.objects.filter(pk=view_id, staff_id=staff.pk).delete()[0]:
        raise NotFoundError()
