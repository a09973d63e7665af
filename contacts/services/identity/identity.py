"""身份: which outside ids are one person. Two contacts of one brand that share a unionid become one;
nothing is lost."""

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from contacts import hooks
from contacts.models import Contact, Identity
from contacts.services.follow import TRIES, nobodys
from contacts.services.identity import apart
from contacts.services.identity.merging import MOVES, Move, merge
from org import audit
from org.access import Actor
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand

__all__ = ["MOVES", "Move", "add_identities", "join_member", "merge", "note_identities", "resolve"]


@transaction.atomic
def resolve(brand: Brand, *, contact: Contact, unionid: str, source: str = "") -> Contact:
    """Note the unionid of a contact; if another contact of the brand has it, both become the older one.

    Gives the contact that stays, its row locked. Safe to repeat and to run at once for both contacts. A phone
    number typed by a guide joins nobody but a member who waits (`join_member`). Of whom somebody has said that they are
    two people (apart.py) stay two: then the contact stays without the unionid.

    Raises:
        ConflictError: the unionid belongs to a contact that does not exist, also after `TRIES` looks at it.
    """
    if not unionid:
        return contact
    key = {"kind": Identity.Kind.UNIONID, "scope": "", "value": unionid}
    for _try in range(TRIES):
        # by insert-or-nothing the two contacts of one unionid meet here, whoever comes first
        Identity.objects.bulk_create([Identity(contact=contact, **key)], ignore_conflicts=True)
        other_id = Identity.objects.values_list("contact_id", flat=True).get(**key)
        pair = list(Contact.objects.select_for_update().filter(pk__in={contact.pk, other_id}).order_by("pk"))
        here = {row.pk for row in pair}
        if contact.pk not in here:  # it has just been joined with another one: go on with that
            contact = Contact.objects.get(pk=Identity.objects.get(**key).contact_id)
        elif other_id not in here:
            continue
        elif len(pair) == 1:
            hooks.identities_noted(brand, [pair[0].pk])
            return pair[0]
        elif Identity.objects.get(**key).contact_id == other_id:
            if apart.are_marked(pair[0].pk, pair[1].pk):  # somebody knows better
                return next(row for row in pair if row.pk == contact.pk)
            return merge(brand, keep=pair[0], lose=pair[1], why={"unionid": unionid}, source=source)
    raise nobodys(unionid)


@transaction.atomic
def join_member(brand: Brand, *, contact: Contact, phones: list[str], source: str = "") -> Contact:
    """A member of a list has added a guide: who waits with one of these phone numbers and is nobody else becomes one
    with the contact. Gives the contact that stays.

    Nobody else: no guide has or had them, no unionid and no external_userid is known of them, and the contact has not
    another member number.
    """
    owners = Identity.objects.filter(kind=Identity.Kind.PHONE, scope="", value__in=phones)
    waiting = Contact.objects.filter(
        pk__in=owners.values("contact"), member_at__isnull=False, n_follows=0, lost_at=None
    ).exclude(pk=contact.pk)
    known = [Identity.Kind.UNIONID, Identity.Kind.EXTERNAL_USERID]
    for pk in waiting.order_by("pk").values_list("pk", flat=True)[:5]:
        pair = list(Contact.objects.select_for_update().filter(pk__in={contact.pk, pk}).order_by("pk"))
        if len(pair) < 2 or apart.are_marked(contact.pk, pk):
            continue
        kinds = list(Identity.objects.filter(contact=pk).values_list("kind", flat=True))
        mine = Identity.objects.filter(contact=contact.pk, kind=Identity.Kind.MEMBER_NO)
        if set(kinds) & set(known) or (Identity.Kind.MEMBER_NO in kinds and mine.exists()):
            continue
        contact = merge(brand, keep=pair[0], lose=pair[1], why={"phone": True}, source=source)
        hooks.phones_noted(brand, [contact.pk])
    return contact


@transaction.atomic
def add_identities(
    brand: Brand, *, contact_id: int, given: Sequence[tuple[str, str, str]], by: Actor, source: str
) -> Contact:
    """Further outside ids that another system knows of a contact: all of them or none; safe to repeat. Who waits as a member
    with one of the phone numbers and is nobody else becomes one with the contact (`join_member`). Gives the contact that
    stays.

    Args:
        given: (kind, scope, value), as they are kept (`identities.normal`).

    Raises:
        NotFoundError: no such contact.
        ConflictError: `taken`; one of them is another contact's, whose number is `contact_id`.
    """
    found = Contact.objects.filter(pk=contact_id).first()
    if found is None:
        raise NotFoundError()
    phones = sorted({value for kind, _scope, value in given if kind == Identity.Kind.PHONE})
    if phones:  # before the row is held: two rows are taken in their order
        found = join_member(brand, contact=found, phones=phones, source=source)
    contact = Contact.objects.select_for_update().filter(pk=found.pk).first()
    if contact is None:  # joined with another one a moment ago
        raise NotFoundError()
    there = set(Identity.objects.filter(contact=contact).values_list("kind", "scope", "value"))
    new = sorted(set(given) - there)
    rows = [Identity(contact=contact, kind=kind, scope=scope, value=value) for kind, scope, value in new]
    Identity.objects.bulk_create(rows, ignore_conflicts=True)
    for n, (kind, scope, value) in enumerate(given):
        owner = Identity.objects.filter(kind=kind, scope=scope, value=value).values_list("contact", flat=True)
        if (other := owner.first()) != contact.pk:
            words = _("This belongs to another customer")
            fields = {f"identities.{n}.value": words}
            raise ConflictError(words, code="taken", contact_id=other, fields=fields)
    if new:
        hooks.identities_noted(brand, [contact.pk])
        if phones:
            hooks.phones_noted(brand, [contact.pk])
        audit.record(by, "contact.edit", contact, after={"kinds": sorted({kind for kind, _s, _v in new})})
    return contact


def note_identities(
    brand: Brand, contact: Contact, kind: Identity.Kind, values: list[str], scope: str = ""
) -> None:
    """Keep further outside ids of a contact; one that belongs to somebody else already stays there."""
    rows = [Identity(contact=contact, kind=kind, scope=scope, value=value[:64]) for value in values if value]
    if rows:
        Identity.objects.bulk_create(rows, ignore_conflicts=True)
        hooks.identities_noted(brand, [contact.pk])
        if kind == Identity.Kind.PHONE:
            hooks.phones_noted(brand, [contact.pk])
