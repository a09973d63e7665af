"""名片: a guide's card and what all cards of the brand have in common."""

import re
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import override

from content.services import links, sensitive
from guides.models import Card, CardStyle
from livecodes.models import ChannelCode, CodeGuide
from org import audit
from org.access import SYSTEM, Actor
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand

MOST = 2_000  # cards made at once
FIELDS = ["title", "words", "code_id"]
STYLE = ["words", "invitation", "color"]
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def card_of(staff: Staff) -> Card | None:
    return Card.objects.select_related("link").filter(staff=staff.pk).first()


@transaction.atomic
def make_card(brand: Brand, *, staff: Staff, by: Actor = SYSTEM) -> Card:
    """The guide's card; made when there is none, with its tracked link. Safe to repeat."""
    Staff.objects.select_for_update(no_key=True).get(pk=staff.pk)  # two clicks make one
    found = card_of(staff)
    if found is not None:
        return found
    link = links.create_link(brand, name=_title(staff)[:60], page="card", by=by)
    return Card.objects.create(staff=staff, link=link, changed_by=by.name)


@transaction.atomic
def make_cards(brand: Brand, *, staff: Staff, by: Actor) -> int:
    """A card for each guide in sight who has none, as a set; gives how many. Safe to repeat."""
    rows = Staff.objects.visible_to(staff).guides().exclude(pk__in=Card.objects.values("staff"))
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:MOST])
    held = list(Staff.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))
    has = set(Card.objects.filter(staff__in=ids).values_list("staff_id", flat=True))  # made meanwhile
    missing = [guide for guide in held if guide.pk not in has]
    made = links.create_links(brand, names=[_title(guide) for guide in missing], page="card", by=by)
    Card.objects.bulk_create(
        Card(staff=guide, link=link, changed_by=by.name) for guide, link in zip(missing, made, strict=True)
    )
    return len(missing)


def _title(staff: Staff) -> str:
    """Kept, and seen by customers: in the brand's language, whoever makes it."""
    with override(settings.LANGUAGE_CODE):
        return _("Card of %(name)s") % {"name": staff.name}


def own_or_blank(staff: Staff) -> Card:
    """The guide's card, or one as it would be made: it is not kept, and has no link."""
    return card_of(staff) or Card(staff=staff)


@transaction.atomic
def edit_card(brand: Brand, *, staff: Staff, by: Actor, title: str, words: str, code_id: int | None) -> Card:
    """
    Raises:
        InvalidError: too long, a refused word, or a code that the guide does not stand behind.
    """
    card = make_card(brand, staff=staff, by=by)
    title, words = " ".join(title.replace("\x00", "").split()), words.replace("\x00", "").strip()
    problems = {}
    if len(title) > 40:
        problems["title"] = _("At most %(n)s characters") % {"n": 40}
    if len(words) > 300:
        problems["words"] = _("At most %(n)s characters") % {"n": 300}
    if code_id is not None and code_id not in {code.pk for code in codes_of([staff.pk]).get(staff.pk, [])}:
        problems["code"] = _("Choose one of the list")
    if problems:
        raise InvalidError(next(iter(problems.values())), fields=problems)
    sensitive.check(brand, f"{title}\n{words}")
    before = audit.snapshot(card, FIELDS)
    card.title, card.words, card.code_id = title, words, code_id
    card.changed_by, card.changed_at = by.name, clock.now()
    card.save(update_fields=[*FIELDS, "changed_by", "changed_at"])
    audit.record(by, "card.edit", card, name=staff.name, before=before, after=audit.snapshot(card, FIELDS))
    return card


def style_of() -> CardStyle:
    """Of the brand in scope."""
    return CardStyle.objects.first() or CardStyle()


@transaction.atomic
def save_style(brand: Brand, *, by: Actor, words: str, invitation: str, color: str) -> CardStyle:
    """Raises InvalidError."""
    words, invitation = (text.replace("\x00", "").strip() for text in (words, invitation))
    problems = {}
    if len(words) > 300:
        problems["words"] = _("At most %(n)s characters") % {"n": 300}
    if len(invitation) > 60:
        problems["invitation"] = _("At most %(n)s characters") % {"n": 60}
    if not _COLOR.fullmatch(color):
        problems["color"] = _("A colour such as #2f57d9")
    if problems:
        raise InvalidError(next(iter(problems.values())), fields=problems)
    sensitive.check(brand, f"{words}\n{invitation}")
    before = audit.snapshot(style_of(), STYLE)
    given = {"words": words, "invitation": invitation, "color": color}
    style, _is_new = CardStyle.objects.update_or_create(brand=brand, defaults=given)
    audit.record(by, "card_style.edit", style, name=brand.name, before=before, after=given)
    return style


# ---- the code by which customers add the guide


def codes_of(staff_ids: Collection[int]) -> dict[int, list[ChannelCode]]:
    """Guide → live codes with a picture that they stand behind; those of nobody else first. Two queries."""
    rows = CodeGuide.objects.filter(
        staff__in=list(staff_ids), code__deleted_at=None, code__sync_state=ChannelCode.Sync.OK
    )
    pairs = list(rows.exclude(code__qr_url="").select_related("code").order_by("-code_id"))
    shared = CodeGuide.objects.filter(code__in={pair.code_id for pair in pairs}).values_list("code")
    n = dict(shared.annotate(n=Count("pk")))
    found: dict[int, list[ChannelCode]] = {}
    for pair in sorted(pairs, key=lambda pair: n[pair.code_id]):
        found.setdefault(pair.staff_id, []).append(pair.code)
    return found


def code_of(card: Card) -> ChannelCode | None:
    """The chosen code while it lives, else the guide's first one."""
    codes = codes_of([card.staff_id]).get(card.staff_id, [])
    return next((code for code in codes if code.pk == card.code_id), codes[0] if codes else None)


# ---- as customers see it


def shown(brand: Brand, card: Card, staff: Staff) -> dict[str, Any]:
    """Everything that the page shows; the staff's store has to be loaded."""
    style, code = style_of(), code_of(card)
    return {
        "name": staff.name,
        "avatar": staff.avatar,
        "title": card.title or staff.position,
        "store": staff.store.name if staff.store else "",
        "words": card.words or style.words,
        "invitation": style.invitation or _("Scan the code to add me in WeChat"),
        "color": style.color,
        "code": code.qr_url if code and code.kind == ChannelCode.Kind.CODE else "",
        "door": code.qr_url if code and code.kind == ChannelCode.Kind.LINK else "",
        "brand": brand.name,
    }


def attachment(brand: Brand, card: Card, staff: Staff) -> dict[str, Any]:
    """The card as a link card of a message."""
    page = shown(brand, card, staff)
    return {
        "type": "link",
        "title": _title(staff),
        "url": links.address_of(card.link),
        "desc": " · ".join(filter(None, (page["title"], page["store"], page["words"])))[:170],
        "picurl": staff.avatar or f"{settings.PUBLIC_URL}{settings.STATIC_URL}icon.svg",
    }


def by_link(link_id: int) -> tuple[Card, Staff] | None:
    """Whose card a link leads to; None: nobody's, or of somebody who has left."""
    card = Card.objects.select_related("link", "staff__store").filter(link=link_id).first()
    if card is None or card.staff.state != Staff.State.ACTIVE:
        return None
    return card, card.staff


def visible_guide(staff: Staff, guide_id: int) -> Staff:
    """Raises NotFoundError: out of sight, or another brand's."""
    guide = Staff.objects.visible_to(staff).select_related("store").filter(pk=guide_id).first()
    if guide is None:
        raise NotFoundError()
    return guide
