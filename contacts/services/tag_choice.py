"""The choice of a customer's tags by a person: what is offered, and what they have ticked."""

from collections.abc import Iterable
from typing import Any

from contacts import hooks
from contacts.models import Contact
from org.access import Actor
from scrm.ids import need_id
from tenants.models import Brand


def offered(contact: Contact) -> dict[str, Any]:
    """`groups` with their tags, and the ids in `has`. An archived tag is offered where it is carried: who leaves the
    choice as it is takes nothing off."""
    has = carried_ids(contact)
    return {"groups": hooks.tag_choices(keep=has), "has": has}


def carried_ids(contact: Contact) -> set[int]:
    return {tag["id"] for tag in hooks.tags_of([contact.pk]).get(contact.pk, [])}


def set_ticked(brand: Brand, *, contact: Contact, ticked: Iterable[str], by: Actor) -> None:
    """The ticked tags are carried, and no others.

    Args:
        ticked: ids as a form sends them.

    Raises:
        InvalidError: not ids, or no such tag.
    """
    wanted = {need_id(text) for text in ticked}
    has = carried_ids(contact)
    change(brand, contact=contact, tag_ids=wanted - has, by=by)
    change(brand, contact=contact, tag_ids=has - wanted, by=by, remove=True)


def change(
    brand: Brand, *, contact: Contact, tag_ids: Iterable[int], by: Actor, remove: bool = False
) -> None:
    """Tags put on or taken off; none: nothing is done. Raises InvalidError: no such tag."""
    ids = sorted(tag_ids)
    if ids:
        hooks.change_tags(brand, contact_ids=[contact.pk], tag_ids=ids, by=by, remove=remove)
