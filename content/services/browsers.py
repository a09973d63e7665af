"""The browser that opens a link: where the key leads, its cookie, the contact whom WeCom names."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from django.core import signing
from django.db import transaction

from contacts.models import Contact, Follow, Identity
from content.models import TrackedLink
from org.models import Corp
from tenants.models import Brand, BrandLookup
from tenants.scoping import tenant_scope


@dataclass(frozen=True)
class Place:
    """A link that somebody opens, found by its key alone."""

    brand: Brand
    link: TrackedLink


@dataclass(frozen=True)
class Visitor:
    """What the cookie of a browser says; `contact_id` once WeCom has named them."""

    id: str
    contact_id: int | None = None


def find_place(key: str) -> Place | None:
    """Link and brand of a key; None for an unknown one and for a brand that is closed. Opens its own scope."""
    lookup = (
        BrandLookup.objects.filter(kind=BrandLookup.Kind.SHORT_LINK, key=key, brand__state=Brand.State.ACTIVE)
        .select_related("brand")
        .first()
    )
    if lookup is None:
        return None
    with tenant_scope(lookup.brand), transaction.atomic():
        link = TrackedLink.objects.select_related("content").filter(pk=lookup.target_id or 0).first()
    return Place(lookup.brand, link) if link else None


def cookie_name(brand: Brand) -> str:
    return f"scrm_v{brand.pk}"


def read_cookie(brand: Brand, cookies: Mapping[str, str]) -> Visitor | None:
    try:
        given = signing.loads(cookies.get(cookie_name(brand), ""), salt=f"visitor:{brand.pk}")
        return Visitor(str(given["v"])[:22], int(given["c"]) if given.get("c") else None)
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None


@transaction.atomic
def is_known(visitor: Visitor | None) -> bool:
    """Whether the browser belongs to a contact, who may have been joined with another one since. In a scope."""
    return bool(visitor and visitor.contact_id and Contact.objects.filter(pk=visitor.contact_id).exists())


def write_cookie(brand: Brand, visitor: Visitor) -> str:
    return signing.dumps({"v": visitor.id, "c": visitor.contact_id}, salt=f"visitor:{brand.pk}")


def new_visitor() -> Visitor:
    return Visitor(secrets.token_urlsafe(16)[:22])


def contact_of(brand: Brand, corp: Corp, external_userid: str, openid: str = "") -> int | None:
    """Whom WeCom named, in the caller's transaction."""
    if external_userid:
        follow = Follow.objects.filter(corp=corp, external_userid=external_userid).first()
        if follow:
            return follow.contact_id
    kinds = [(Identity.Kind.EXTERNAL_USERID, external_userid), (Identity.Kind.OPENID, openid)]
    for kind, value in kinds:
        found = Identity.objects.filter(kind=kind, scope=corp.corpid, value=value).first() if value else None
        if found:
            return found.contact_id
    return None
