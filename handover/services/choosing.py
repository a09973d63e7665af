"""Whom and what a run is about: the choice of the form, the customers and groups behind it, and what WeCom
would refuse."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from contacts.filters import parse
from contacts.identities import normal
from contacts.models import EventType, Follow, Identity
from contacts.services import listing
from groups.models import GroupChat
from handover.models import HandoverItem, Unassigned
from handover.services import reasons
from org.models import Corp, Staff
from scrm import clock
from scrm.errors import InvalidError
from scrm.ids import read_id
from tagging.services.segments import audience
from tenants.models import Brand

CUSTOMERS = ("all", "segment", "filter", "list", "none")
GROUPS = ("all", "list", "none")
MAX_LISTED = 5_000
WINDOW, TIMES = timedelta(days=90), 2  # WeCom's rule for customers and groups of members on the job


@dataclass(frozen=True)
class Choice:
    """What is handed over; kept with the run as JSON.

    Attributes:
        filters: parameters of contacts/filters.py, where `customers` is `filter`.
        segment_id: where it is `segment`.
        listed: outside ids (external_userid, phone, member number …) or ids of contacts, where it is `list`.
        chat_ids: our ids of groups, where `groups` is `list`.
    """

    customers: str = "all"
    groups: str = "none"
    filters: dict[str, Any] = field(default_factory=dict)
    segment_id: int | None = None
    listed: tuple[str, ...] = ()
    chat_ids: tuple[int, ...] = ()

    def check(self) -> None:
        """Raises InvalidError with `fields`: what nobody understands never means everybody."""
        if self.customers not in CUSTOMERS or self.groups not in GROUPS:
            raise InvalidError(
                _("Choose what to hand over"), fields={"customers": _("Choose what to hand over")}
            )
        if self.customers == "none" and self.groups == "none":
            raise InvalidError(
                _("Choose customers or groups"), fields={"customers": _("Choose customers or groups")}
            )
        if self.customers == "filter" and not parse(self.filters):
            raise InvalidError(_("Set at least one filter"), fields={"filters": _("Set at least one filter")})
        if self.customers == "segment" and not self.segment_id:
            raise InvalidError(_("Choose a segment"), fields={"segment": _("Choose a segment")})
        if self.customers == "list" and not 0 < len(self.listed) <= MAX_LISTED:
            text = _("One id per line, at most %(n)s") % {"n": MAX_LISTED}
            raise InvalidError(text, fields={"listed": text})
        if self.groups == "list" and not self.chat_ids:
            raise InvalidError(
                _("Choose at least one group"), fields={"chats": _("Choose at least one group")}
            )

    def as_json(self) -> dict[str, Any]:
        return {
            "customers": self.customers,
            "groups": self.groups,
            "filters": self.filters,
            "segment_id": self.segment_id,
            "listed": list(self.listed),
            "chat_ids": list(self.chat_ids),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Choice":
        return cls(
            data["customers"],
            data["groups"],
            data["filters"],
            data["segment_id"],
            tuple(data["listed"]),
            tuple(data["chat_ids"]),
        )


@dataclass(frozen=True)
class Candidate:
    """A customer or group of the choice.

    Attributes:
        errcode: what WeCom would answer, 0 where nothing is in the way.
        known_to: a receiver who has the customer already.
    """

    external_userid: str = ""
    contact_id: int | None = None
    chat_id: int | None = None
    errcode: int = 0
    known_to: int | None = None


# moves of a customer between members on the job: by us or in the console, the timeline has them all
_FORESEEN = """
    SELECT x.n,
           EXISTS (SELECT 1 FROM handover_handoveritem i
                    WHERE i.brand_id = %(brand)s AND i.giver_id = %(giver)s AND i.kind = 1
                      AND i.external_userid = x.external AND i.state IN (0, 1, 2)),
           CASE WHEN %(resigned)s OR x.contact_id IS NULL THEN 0 ELSE
             (SELECT count(*) FROM contacts_event e
               WHERE e.brand_id = %(brand)s AND e.contact_id = x.contact_id AND e.type = %(moved)s
                 AND e.at > %(since)s AND NOT e.data ? 'resigned') END,
           (SELECT min(f.staff_id) FROM contacts_follow f
             WHERE f.brand_id = %(brand)s AND f.contact_id = x.contact_id AND f.staff_id = ANY(%(receivers)s)
               AND f.ended_at IS NULL AND NOT f.is_pending)
      FROM unnest(%(contacts)s::bigint[], %(externals)s::text[]) WITH ORDINALITY AS x(contact_id, external, n)
     ORDER BY x.n
"""


def customers(
    brand: Brand, *, corp: Corp, giver: Staff, choice: Choice, receivers: Sequence[int] = ()
) -> list[Candidate]:
    """The customers of a choice, in the order of their adding; in the caller's transaction."""
    is_resigned = giver.state == Staff.State.LEFT
    pairs = _of_leaver(brand, corp, giver, choice) if is_resigned else _of_guide(brand, giver, choice)
    if not pairs:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _FORESEEN,
            {
                "brand": brand.pk,
                "giver": giver.pk,
                "resigned": is_resigned,
                "moved": EventType.TRANSFERRED.value,
                "since": clock.now() - WINDOW,
                "receivers": list(receivers),
                "contacts": [contact_id for contact_id, _ in pairs],
                "externals": [external for _, external in pairs],
            },
        )
        rows = cursor.fetchall()
    found = []
    for (contact_id, external), (_n, is_live, n_moves, known_to) in zip(pairs, rows, strict=True):
        errcode = reasons.PENDING if is_live else reasons.TOO_OFTEN if n_moves >= TIMES else 0
        found.append(Candidate(external, contact_id, None, errcode, known_to))
    return found


def groups(brand: Brand, *, corp: Corp, giver: Staff, choice: Choice) -> list[Candidate]:
    """The groups of a choice; in the caller's transaction."""
    rows = owned_groups(corp, giver)
    if choice.groups == "none":
        return []
    if choice.groups == "list":
        rows = rows.filter(pk__in=choice.chat_ids)
    chat_ids = list(rows.order_by("pk").values_list("pk", flat=True))
    items = HandoverItem.objects.filter(chat__in=chat_ids, kind=HandoverItem.Kind.GROUP)
    live = set(items.filter(giver=giver, state__in=HandoverItem.LIVE).values_list("chat_id", flat=True))
    moved: dict[int, int] = {}
    if giver.state != Staff.State.LEFT:
        done = items.filter(
            state=HandoverItem.State.DONE, run__is_resigned=False, done_at__gt=clock.now() - WINDOW
        )
        for chat_id in done.values_list("chat_id", flat=True):
            moved[chat_id or 0] = moved.get(chat_id or 0, 0) + 1
    return [
        Candidate(
            chat_id=chat_id,
            errcode=reasons.GROUP_PENDING
            if chat_id in live
            else reasons.GROUP_TOO_OFTEN
            if moved.get(chat_id, 0) >= TIMES
            else 0,
        )
        for chat_id in chat_ids
    ]


def owned_groups(corp: Corp, giver: Staff) -> QuerySet[GroupChat]:
    return GroupChat.objects.live().filter(corp=corp, owner=giver)


def _of_guide(brand: Brand, giver: Staff, choice: Choice) -> list[tuple[int | None, str]]:
    """(contact id, external_userid) of those whom the guide has now."""
    if choice.customers == "none":
        return []
    follows = Follow.objects.filter(staff=giver, ended_at=None, is_pending=False)
    if choice.customers != "all":
        wanted = follows.order_by().values_list("contact_id", flat=True)
        follows = follows.filter(contact__in=_chosen(brand, choice, list(wanted)))
    return list(follows.order_by("pk").values_list("contact_id", "external_userid"))


def _of_leaver(brand: Brand, corp: Corp, giver: Staff, choice: Choice) -> list[tuple[int | None, str]]:
    """The same of those whom WeCom lists as waiting; some may be nobody's contact."""
    if choice.customers == "none":
        return []
    rows = Unassigned.objects.filter(staff=giver).order_by("pk").values_list("external_userid", flat=True)
    externals = list(rows)
    key = {"kind": Identity.Kind.EXTERNAL_USERID, "scope": corp.corpid}
    known = dict(Identity.objects.filter(**key, value__in=externals).values_list("value", "contact_id"))
    if choice.customers != "all":
        chosen = _chosen(brand, choice, list(known.values()))
        listed = set(choice.listed)
        externals = [e for e in externals if known.get(e) in chosen or (e not in known and e in listed)]
    return [(known.get(external), external) for external in externals]


def _chosen(brand: Brand, choice: Choice, contact_ids: list[int]) -> set[int]:
    """Those of some contacts whom the choice means."""
    if choice.customers == "filter":
        matching = listing.matching(brand, staff=None, filters=parse(choice.filters))
        return set(matching.filter(pk__in=contact_ids).values_list("pk", flat=True))
    if choice.customers == "segment":
        condition = audience.read(brand, {"kind": "segment", "mode": "any", "ids": [choice.segment_id]})
        return audience.Audience(brand, condition).has(contact_ids)
    if choice.customers == "list":
        return set(listed_contacts(choice.listed)) & set(contact_ids)
    raise ValueError(f"unknown choice {choice.customers}")


def listed_contacts(listed: Sequence[str]) -> list[int]:
    """Contacts of a list of outside ids, or of our own ids written as #12."""
    own = {pk for one in listed if one.startswith("#") and (pk := read_id(one[1:]))}
    # a phone number may be written with +86 or dashes
    phones = {normal(Identity.Kind.PHONE, one) for one in listed if one.strip("+-0123456789") == ""} - {""}
    same = Q(value__in=list(listed)) | Q(kind=Identity.Kind.PHONE, value__in=list(phones))
    found = set(Identity.objects.filter(same).values_list("contact_id", flat=True))
    return sorted(found | own)


def read_list(text: str) -> tuple[str, ...]:
    """Ids from a text field: one per line, commas and blanks allowed, doubles once."""
    words = text.replace(",", " ").replace("，", " ").replace(";", " ").split()
    return tuple(dict.fromkeys(word[:64] for word in words))
