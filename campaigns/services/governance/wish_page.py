"""The page on which customers say themselves what they want to hear: no messages of a kind, or none at all.

Who they are WeCom alone says, as of every tracked link (content/services/browsers.py); nobody can answer for somebody else.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from campaigns.models import Refusal
from campaigns.services.governance import gate, policy
from contacts.models import Contact
from contacts.services.contacts import set_do_not_contact
from content.models import TrackedLink
from content.services import links
from org.access import Actor
from tenants.models import Brand

PAGE = "wishes"  # key of content.hooks.PAGES
SOURCE = "customer"


@dataclass(frozen=True)
class Wishes:
    """What a customer does not want: messages of some kinds (Touch.Kind), or nothing at all."""

    refused: frozenset[int]
    nothing: bool


def link_of() -> TrackedLink | None:
    """The link of the page of the brand in scope; None: nobody has made it yet."""
    return TrackedLink.objects.filter(page=PAGE, archived_at=None).order_by("pk").first()


@transaction.atomic
def make(brand: Brand, *, by: Actor) -> TrackedLink:
    """The page's link, made when there is none. Safe to repeat."""
    gate.enter_gate(brand)  # two clicks make one
    if (found := link_of()) is not None:
        return found
    with override(settings.LANGUAGE_CODE):  # customers see it
        name = _("What I would like to hear")
    return links.create_link(brand, name=name, page=PAGE, by=by)


def wishes_of(contact_id: int) -> Wishes | None:
    """None: there is no such customer (any more)."""
    contact = Contact.objects.filter(pk=contact_id).first()
    if contact is None:
        return None
    kinds = Refusal.objects.filter(contact=contact).values_list("kind", flat=True)
    return Wishes(frozenset(kinds) & frozenset(map(int, policy.REFUSABLE)), contact.do_not_contact)


@transaction.atomic
def save(brand: Brand, *, contact_id: int, wanted: Collection[int], nothing: bool, shown: Wishes) -> None:
    """What the customer has said; what is planned for them already is left out when it is handed over. Safe to repeat.

    Args:
        wanted: the kinds that they would like to get; the others are refused.
        shown: what they saw. Quiet that somebody has asked for since is not taken back by a form that did not show it.

    Raises:
        NotFoundError: no such customer.
    """
    with override(settings.LANGUAGE_CODE):
        who = Actor(_("The customer"))
    for kind in policy.REFUSABLE:
        refused = int(kind) not in wanted
        if refused or int(kind) in shown.refused:
            policy.set_refusal(
                brand, contact_id=contact_id, kind=kind, refused=refused, by=who, source=SOURCE
            )
    if nothing or shown.nothing:
        set_do_not_contact(brand, contacts=[contact_id], value=nothing, by=who, source=SOURCE)
