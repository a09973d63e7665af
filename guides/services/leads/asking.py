"""What a guide does with a number: the request is sent, nobody is found, the customer does not want; who it is."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from contacts.models import Contact, Follow, Identity
from contacts.services.identity.identity import join_member, note_identities
from guides.models import Lead
from guides.services.leads import duties, lists
from org import audit
from org.access import Actor
from org.models import Staff
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand

State = Lead.State
ACTS: dict[str, str] = {  # word of an address → state
    "asked": State.ASKED,
    "not_found": State.NOT_FOUND,
    "refused": State.REFUSED,
    "back": State.GIVEN,
}
MINE = (State.GIVEN, State.ASKED, State.NOT_FOUND, State.REFUSED)
CHOICE = 20  # newest customers offered


def get_own(staff: Staff, lead_id: int, *, lock: bool = False) -> Lead:
    """A number that this guide has. Raises NotFoundError: everybody else's, too."""
    rows = Lead.objects.select_related("list")
    if lock:
        rows = rows.select_for_update(no_key=True, of=("self",))
    found = rows.filter(pk=lead_id, staff=staff, state__in=[*MINE, State.ADDED]).first()
    if found is None:
        raise NotFoundError()
    return found


def _plain(said: str) -> str:
    return said.replace("\x00", "").strip()[:300]


def _refuse_added(lead: Lead) -> None:
    if lead.state == State.ADDED:
        raise ConflictError(_("This customer has been added meanwhile"))


@transaction.atomic
def mark(brand: Brand, *, staff: Staff, by: Actor, lead_id: int, act: str, said: str | None = None) -> Lead:
    """One tap of the guide. `back` undoes: who had been asked before the last tap counts as asked again. The same again
    changes nothing.

    Args:
        act: key of ACTS.
        said: the guide's note; None leaves it.

    Raises:
        ConflictError: added meanwhile, the list is closed, or the number is asked by somebody else again.
    """
    state = ACTS[act]
    seen = get_own(staff, lead_id)
    if state in Lead.OPEN and seen.state not in Lead.OPEN:
        lists.get_list(seen.list_id, lock=True)  # one that is closed at this moment gets nothing back
    lead = get_own(staff, lead_id, lock=True)
    if act == "back" and lead.state not in Lead.OPEN and lead.asked_at is not None:
        state = State.ASKED
    _refuse_added(lead)
    if lead.list.closed_at is not None:
        raise ConflictError(_("This list is closed"))
    before, now = lead.state, clock.now()
    if said is not None:
        lead.said = _plain(said)
    if state != before:
        if state in Lead.OPEN and before not in Lead.OPEN and _is_open_elsewhere(lead):
            raise ConflictError(_("This number is in another open list now"))
        lead.state = state
        if state == State.GIVEN:
            lead.asked_at = None
        elif act == "asked":
            lead.asked_at = now
        lead.ended_at = None if state in Lead.OPEN else now
    try:
        with transaction.atomic():
            lead.save(update_fields=["state", "said", "asked_at", "ended_at"])
    except IntegrityError:  # another list has got it at this moment
        raise ConflictError(_("This number is in another open list now")) from None
    if state != before:
        audit.record(by, f"lead.{act}", lead, before={"state": before}, after={"state": str(state)})
        if state == State.GIVEN:
            duties.keep(brand, lead.list, [staff.pk], by=by)
        else:
            duties.settle(brand, {(lead.list_id, staff.pk)}, by=by)
    return lead


def _is_open_elsewhere(lead: Lead) -> bool:
    return Lead.objects.filter(phone=lead.phone, state__in=Lead.OPEN).exclude(pk=lead.pk).exists()


@transaction.atomic
def note(brand: Brand, *, staff: Staff, lead_id: int, said: str) -> Lead:
    """The guide's own words about a number."""
    lead = get_own(staff, lead_id, lock=True)
    lead.said = _plain(said)
    lead.save(update_fields=["said"])
    return lead


def candidates(lead: Lead, staff: Staff) -> list[Follow]:
    """The guide's newest customers since the number was theirs, of whom no phone is known: one of them may be it.

    Raises:
        ConflictError: it is known who it is.
    """
    _refuse_added(lead)
    known = Identity.objects.filter(kind=Identity.Kind.PHONE, contact=OuterRef("contact"))
    rows = Follow.objects.filter(staff=staff, ended_at=None, is_pending=False, added_at__gte=lead.given_at)
    rows = rows.filter(~Exists(known)).select_related("contact")
    return list(rows.order_by("-added_at", "-pk")[:CHOICE])


@transaction.atomic
def name_contact(brand: Brand, *, staff: Staff, by: Actor, lead_id: int, contact_id: int) -> Lead:
    """The guide says who it is: the number is noted on that customer, and with it the entry counts as added.

    Raises:
        NotFoundError: not a customer of this guide.
        ConflictError: the number belongs to another customer, or it is known already who it is.
    """
    _refuse_added(get_own(staff, lead_id))
    follow = Follow.objects.filter(staff=staff, contact=contact_id, ended_at=None, is_pending=False).first()
    contact: Any = follow and Contact.objects.select_for_update(no_key=True).filter(pk=contact_id).first()
    if contact is None:
        raise NotFoundError()
    # after the customer, as an arrival does: two that lock in the opposite order would stop each other
    lead = get_own(staff, lead_id, lock=True)
    _refuse_added(lead)
    note_identities(brand, contact, Identity.Kind.PHONE, [lead.phone])
    join_member(brand, contact=contact, phones=[lead.phone], source="page")
    lead.refresh_from_db()
    if lead.state != State.ADDED:
        raise ConflictError(_("This number belongs to another customer"))
    audit.record(by, "lead.name", lead, after={"contact_id": lead.contact_id})
    return lead
