"""Numbers go to guides: given out, taken back, moved on when nobody has asked in time or a guide has left."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from guides.models import Lead, LeadList
from guides.services.leads import duties, matching
from guides.services.leads.lists import get_list
from guides.spread import Shares, Wanted, spread
from org import audit
from org.access import SYSTEM, Actor
from org.models import Staff, StaffQuerySet
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tenants.models import Brand
from wecom.services.notices import Notice, notify_many, told_since

MOST = 50_000  # numbers of one act
SLICE = 5_000
ROUNDS = 3  # a number that so many guides have not asked waits for a person to decide
REMIND_EVERY = timedelta(hours=1)
State = Lead.State
# a number that waits again belongs to the store or region of the guide who had it, if it has none: who runs it sees it
_ITS_PLACE = {
    name: Coalesce(name, Subquery(Staff.objects.filter(pk=OuterRef("staff")).values(name)))
    for name in ("store", "region")
}


@dataclass(frozen=True)
class Choice:
    """How a person wants numbers to be given out.

    Attributes:
        guide_ids: among whom.
        by_store: a number of a store goes to guides of that store only.
        most: so many for each at the most.
    """

    guide_ids: Sequence[int]
    by_store: bool = False
    most: int | None = None


def guides_of(staff: Staff | None) -> StaffQuerySet:
    """Guides whom a person may give numbers to; None: an API key, all of the brand."""
    return Staff.objects.guides() if staff is None else Staff.objects.visible_to(staff).guides()


def plan(brand: Brand, found: LeadList, choice: Choice, *, staff: Staff | None, lock: bool = False) -> Shares:
    """What `give_out` would do: guide → ids. Numbers and guides out of sight of `staff` are passed over.

    Raises:
        InvalidError: nobody is chosen.
    """
    rows = guides_of(staff)
    guides = dict(rows.filter(pk__in=list(choice.guide_ids)).values_list("pk", "store_id"))
    if not guides:
        raise InvalidError(_("Choose at least one guide"), fields={"guides": _("Choose at least one guide")})
    if choice.most is not None and choice.most < 1:
        raise InvalidError(_("At least 1"), fields={"most": _("At least 1")})
    waiting = Lead.objects.visible_to(staff).filter(list=found, state=State.WAITING).order_by("pk")
    waiting = waiting.select_for_update(no_key=True) if lock else waiting
    wanted = [Wanted(*row) for row in waiting.values_list("pk", "staff_id", "store_id")[:MOST]]
    named = {row.guide for row in wanted if row.guide}
    meant = set(rows.filter(pk__in=named).values_list("pk", flat=True)) - set(guides)
    return spread(
        wanted, guides, by_store=choice.by_store, most=choice.most, has=_loads([*guides, *meant]), meant=meant
    )


@transaction.atomic
def give_out(brand: Brand, *, by: Actor, staff: Staff | None, list_id: int, choice: Choice) -> Shares:
    """Give what waits to guides; their tasks begin, and they are told. A double click gives nothing twice.

    Raises:
        ConflictError: the list is closed.
        InvalidError: nobody is chosen.
    """
    found = get_list(list_id, lock=True)
    if found.closed_at is not None:
        raise ConflictError(_("This list is closed"))
    matching.refresh(brand, found.pk)  # whoever has become a customer meanwhile is not asked
    shares = plan(brand, found, choice, staff=staff, lock=True)
    if shares.n:
        _give(brand, found, shares.of, (State.WAITING,), by=by)
        audit.record(
            by, "lead_list.give", found,
            after={"n": shares.n, "guides": len(shares.of), "left": len(shares.left), "by_store": choice.by_store},
        )  # fmt: skip
    return shares


def _give(
    brand: Brand, found: LeadList, of: Mapping[int, Sequence[int]], was: Sequence[str], *, by: Actor = SYSTEM
) -> None:
    """Guide → ids of numbers, in the caller's transaction, which holds the list and has locked the numbers; `was`: states
    in which it found them."""
    pairs = [(lead_id, staff_id) for staff_id, ids in of.items() for lead_id in ids]
    now = clock.now()
    with connection.cursor() as cursor:
        for start in range(0, len(pairs), SLICE):
            part = pairs[start : start + SLICE]
            cursor.execute(
                "UPDATE guides_lead l SET staff_id = x.staff_id, state = 'given', given_at = %s, asked_at = NULL,"
                " n_given = n_given + 1 FROM unnest(%s::bigint[], %s::bigint[]) AS x(id, staff_id)"
                " WHERE l.brand_id = %s AND l.id = x.id AND l.state = ANY(%s)",
                [now, [p[0] for p in part], [p[1] for p in part], brand.pk, [str(state) for state in was]],
            )
    found.guide_ids = sorted({*found.guide_ids, *of})
    found.save(update_fields=["guide_ids"])
    duties.keep(brand, found, sorted(of), by=by, is_more=True)


def _loads(staff_ids: Collection[int]) -> dict[int, int]:
    """Guide → numbers still to be asked, of all lists."""
    rows = Lead.objects.filter(staff__in=list(staff_ids), state=State.GIVEN)
    return dict(rows.values_list("staff").annotate(Count("pk")))


# ---- taken back, moved


@transaction.atomic
def take_back(
    brand: Brand,
    *,
    by: Actor,
    staff: Staff | None,
    list_id: int,
    ids: Collection[int] | None = None,
    guide_id: int | None = None,
) -> int:
    """Numbers that nobody has asked yet wait again: some, those of one guide, or all of the list. Gives how many."""
    found = get_list(list_id, lock=True)
    rows = Lead.objects.visible_to(staff).filter(list=found, state=State.GIVEN)
    rows = _chosen(rows, ids, guide_id)
    pairs = {(found.pk, pk) for pk in rows.values_list("staff_id", flat=True).distinct() if pk}
    taken = Lead.objects.filter(pk__in=rows.values("pk"), state=State.GIVEN)
    n = taken.update(state=State.WAITING, **_ITS_PLACE, staff=None, given_at=None)
    if n:
        audit.record(by, "lead_list.take", found, after={"n": n, "guide_id": guide_id})
        duties.settle(brand, pairs, by=by)
    return n


@transaction.atomic
def move(
    brand: Brand, *, by: Actor, staff: Staff | None, list_id: int, to_id: int, ids: Collection[int] | None = None,
    guide_id: int | None = None,
) -> int:  # fmt: skip
    """Numbers that are not decided go to another guide; gives how many.

    Raises:
        InvalidError: no guide in sight.
    """
    found = get_list(list_id, lock=True)
    guide = guides_of(staff).filter(pk=to_id).first()
    if guide is None:
        raise InvalidError(_("Choose who is to do it"))
    matching.refresh(brand, found.pk)  # whoever has become a customer meanwhile is not asked
    rows = Lead.objects.visible_to(staff).filter(list=found, state__in=Lead.OPEN)
    rows = _chosen(rows, ids, guide_id).exclude(staff=guide, state__in=[State.GIVEN, State.ASKED])
    rows = rows.order_by("pk").select_for_update(no_key=True, of=("self",)).only("pk", "staff")[:MOST]
    before = [(lead.pk, lead.staff_id) for lead in rows]
    if before:
        _give(brand, found, {guide.pk: [pk for pk, _guide in before]}, Lead.OPEN, by=by)
        duties.settle(brand, {(found.pk, pk) for _id, pk in before if pk and pk != guide.pk}, by=by)
        audit.record(by, "lead_list.move", found, after={"n": len(before), "to": guide.name})
    return len(before)


@transaction.atomic
def take_out(brand: Brand, *, by: Actor, staff: Staff | None, list_id: int, ids: Collection[int]) -> int:
    """Numbers that are not to be asked at all; gives how many."""
    found = get_list(list_id, lock=True)
    rows = Lead.objects.visible_to(staff).filter(list=found, state__in=Lead.OPEN, pk__in=list(ids))
    pairs = {(found.pk, pk) for pk in rows.values_list("staff_id", flat=True) if pk}
    taken = Lead.objects.filter(pk__in=rows.values("pk"), state__in=Lead.OPEN)
    n = taken.update(state=State.CLOSED, ended_at=clock.now())
    if n:
        audit.record(by, "lead_list.take_out", found, after={"n": n})
        duties.settle(brand, pairs, by=by)
    return n


def _chosen(rows: Any, ids: Collection[int] | None, guide_id: int | None) -> Any:
    if ids is not None:
        rows = rows.filter(pk__in=list(ids))
    return rows.filter(staff=guide_id) if guide_id is not None else rows


# ---- reminders


@transaction.atomic
def remind(brand: Brand, *, by: Actor, staff: Staff | None, list_id: int) -> int:
    """Tell the guides who have numbers of the list to ask; gives how many are told. Once an hour at most."""
    found = get_list(list_id)
    rows = Lead.objects.visible_to(staff).filter(list=found, state=State.GIVEN)
    n_open = dict(rows.values_list("staff").annotate(Count("pk")))
    guides = Staff.objects.select_related("corp").filter(pk__in=n_open).order_by("pk")
    hour = (
        int(clock.now().timestamp()) // 3600
    )  # one notice in each; whoever had one late in the last one waits
    before = [Notice(guide, f"leads:{found.pk}:{hour - 1}", "") for guide in guides]
    told = told_since(before, clock.now() - REMIND_EVERY)
    with override(settings.LANGUAGE_CODE):
        notices = [
            Notice(
                guide,
                f"leads:{found.pk}:{hour}",
                ngettext("%(n)s number waits to be added", "%(n)s numbers wait to be added", n_open[guide.pk])
                % {"n": n_open[guide.pk]}
                + f"\n{found.name}",
                "/g/leads/",
            )
            for guide in guides
            if guide.pk not in told
        ]
    n = notify_many(brand, notices)
    if n:
        audit.record(by, "lead_list.remind", found, after={"n": n})
    return n


# ---- by itself


def move_on(brand: Brand) -> int:
    """Numbers of guides who have left, and those not asked within their list's days, go to other guides of the list; where
    there is none, or several have not asked, they wait for a person. Gives how many. A transaction for each list."""
    late = Lead.objects.filter(
        state=State.GIVEN, list__again_days__isnull=False, given_at__lte=clock.now() - timedelta(days=1)
    )
    left = Lead.objects.filter(state__in=[State.GIVEN, State.ASKED]).exclude(staff__state=Staff.State.ACTIVE)
    with transaction.atomic():
        found = {pk for rows in (late, left) for pk in rows.values_list("list_id", flat=True).distinct()}
    n = 0
    for list_id in sorted(found):
        while (moved := _move_on(brand, list_id)) >= MOST:  # what has moved is not late any more
            n += moved
        n += moved
    return n


@transaction.atomic
def _move_on(brand: Brand, list_id: int) -> int:
    """Up to MOST numbers of leavers and MOST late ones of a list; gives how many."""
    found = get_list(list_id, lock=True)
    was = (State.GIVEN, State.ASKED)
    rows = Lead.objects.filter(list=found, state__in=was).exclude(staff__state=Staff.State.ACTIVE)
    moved = _locked(rows)
    if found.again_days is not None:
        before = clock.now() - timedelta(days=found.again_days)
        moved |= _locked(Lead.objects.filter(list=found, state=State.GIVEN, given_at__lte=before))
    if not moved:
        return 0
    able = dict(Staff.objects.guides().filter(pk__in=found.guide_ids).values_list("pk", "store_id"))
    has = _loads(list(able))
    heap = [(has.get(pk, 0), pk) for pk in able]  # whoever has the least comes first
    heapq.heapify(heap)
    waits: list[int] = []
    of: dict[int, list[int]] = {}
    for lead_id, staff_id, n_given in sorted(moved):
        own = heapq.heappop(heap) if heap and heap[0][1] == staff_id else None  # not back to the same
        if heap and n_given < ROUNDS:
            n, guide = heap[0]
            heapq.heapreplace(heap, (n + 1, guide))
            of.setdefault(guide, []).append(lead_id)
        else:
            waits.append(lead_id)
        if own is not None:
            heapq.heappush(heap, own)
    Lead.objects.filter(pk__in=waits, state__in=was).update(
        state=State.WAITING, **_ITS_PLACE, staff=None, given_at=None, asked_at=None
    )
    if of:
        _give(brand, found, of, was)
    duties.settle(brand, {(found.pk, staff_id) for _id, staff_id, _n in moved if staff_id})
    audit.record(
        SYSTEM, "lead_list.move_on", found, after={"n": sum(map(len, of.values())), "waiting": len(waits)}
    )
    return len(moved)


def _locked(rows: Any) -> set[tuple[int, int, int]]:
    """(number, guide, how often given); what a guide marks at this moment is waited for and, if it counts no more, left."""
    rows = (
        rows.order_by("pk").select_for_update(no_key=True, of=("self",)).only("pk", "staff", "n_given")[:MOST]
    )
    return {(lead.pk, lead.staff_id, lead.n_given) for lead in rows}
