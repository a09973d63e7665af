"""Whose word a guide's work is: the superior in WeCom, else whoever answers for the guide's store."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from django.db.models import Q

from org.models import Scope, Staff

MOST = 5  # of one store


def managers_of(guides: Sequence[Staff]) -> dict[int, list[Staff]]:
    """Guide's id → active colleagues of the same corp, with their corp; two queries for any number of guides.

    Nobody is their own manager; a guide without a superior and without a store has none.
    """
    leaders: dict[tuple[int | None, str], Staff] = {}
    named = {guide.leader_userid.lower() for guide in guides if guide.leader_userid}
    active = Staff.objects.filter(state=Staff.State.ACTIVE).exclude(corp=None).select_related("corp")
    if named:
        leaders = {(person.corp_id, person.userid): person for person in active.filter(userid__in=named)}
    found: dict[int, list[Staff]] = {}
    for guide in guides:
        leader = leaders.get((guide.corp_id, guide.leader_userid.lower())) if guide.leader_userid else None
        found[guide.pk] = [leader] if leader is not None and leader.pk != guide.pk else []
    of_store = [guide for guide in guides if not found[guide.pk] and guide.store_id]
    if not of_store:
        return found
    by_store: dict[tuple[int | None, int | None], list[Staff]] = defaultdict(list)
    stores = Q(store__in={guide.store_id for guide in of_store})
    for person in active.filter(stores, role__scope=Scope.STORE).order_by("pk"):
        by_store[person.corp_id, person.store_id].append(person)
    for guide in of_store:
        there = by_store[guide.corp_id, guide.store_id]
        found[guide.pk] = [person for person in there if person.pk != guide.pk][:MOST]
    return found


def those_who(right: str, corp_ids: Collection[int | None]) -> dict[int | None, list[Staff]]:
    """Corp → active members who have a right for the whole brand: they stand in for guides whom nobody manages."""
    found: dict[int | None, list[Staff]] = defaultdict(list)
    people = Staff.objects.with_right(right).filter(role__scope=Scope.BRAND)
    for person in people.filter(corp__in={pk for pk in corp_ids if pk}):
        if len(found[person.corp_id]) < MOST:
            found[person.corp_id].append(person)
    return found
