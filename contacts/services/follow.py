"""好友关系: a customer and a guide found each other, or lost each other.

Facts come twice, late and in any order, from callbacks and from the sync. Each carries its own time;
`Follow.changed_at` is the time of the newest one applied, and an older fact is written to the timeline but
never undoes a newer one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from contacts import hooks
from contacts.models import Contact, Event, EventType, Follow, Identity
from contacts.services import positions
from contacts.services.search import refresh_grams
from contacts.services.staging import numbers
from contacts.services.timeline import believable, claim_key, record_event
from org.models import Corp, Staff
from scrm.errors import ConflictError
from tenants.models import Brand

# The callback's CreateTime and the relation's createtime (sync) of the same adding may differ a little.
SAME = timedelta(seconds=60)
SAME_CALLBACK = timedelta(seconds=5)
TRIES = 20  # for a person whom others make or join at the same moment; each of them means that somebody was quicker

_END_EVENTS = {
    Follow.End.BY_CUSTOMER: EventType.LOST_BY_CUSTOMER,
    Follow.End.BY_STAFF: EventType.LOST_BY_STAFF,
    Follow.End.TRANSFERRED: EventType.TRANSFERRED,
    Follow.End.GONE: EventType.GONE,
}


@dataclass(frozen=True)
class FollowResult:
    """What `record_follow` found and did.

    Attributes:
        is_new_follow: the guide has this customer since this very fact, for the first time (also when the
            sync was quicker than the event itself).
        is_new_contact: the brand did not know this person.
        is_return: the relation had ended and is open again.
        is_late: a newer fact is known already (the customer has gone since): write nothing that greets or
            enrols.
    All four are False when the fact was known already.
    """

    follow: Follow
    contact: Contact
    is_new_follow: bool = False
    is_new_contact: bool = False
    is_return: bool = False
    is_late: bool = False


@transaction.atomic
def record_follow(
    brand: Brand,
    *,
    corp: Corp,
    staff: Staff,
    external_userid: str,
    at: datetime,
    state: str = "",
    add_way: int = 0,
    pending: bool = False,
    source: str,
    name: str = "",
    channel_code_id: int | None = None,
    inherited: bool = False,
) -> FollowResult:
    """A customer has added a guide, or (`pending`) has asked to and waits for the guide.

    Finds the contact by (external_userid, corp id) or creates it; one row of Follow for the pair; one event
    for the fact. Safe to repeat and to run at once in several processes.

    Args:
        at: the fact's own time; later than five minutes from now becomes now.
        state: WeCom's word for our channel string; kept on a repeat that does not know it.
        source: callback, sync, import …
        inherited: handed over by a colleague: no adding of the customer's own, so no event of one.
    """
    told_at, at = at, believable(at)
    contact, found, is_new_contact = _pair_of(brand, corp, staff, external_userid, at, name)
    fact = {"state": state, "add_way": add_way, "channel_code_id": channel_code_id}
    kind = EventType.HALF_ADDED if pending else EventType.ADDED
    word = "half" if pending else "add"
    moment = f"{staff.pk}:{external_userid}:{int(told_at.timestamp())}"
    # the sync may have seen the relation before its own event is dealt with: the event is an arrival all
    # the same
    is_arrival = source == "callback" and not pending and claim_key(brand, "arrival", moment)

    if found is None:
        follow = Follow.objects.create(
            contact=contact, staff=staff, corp=corp, external_userid=external_userid, is_pending=pending,
            added_at=at, changed_at=at, **fact,
        )  # fmt: skip
        result = FollowResult(follow, contact, is_new_follow=True, is_new_contact=is_new_contact)
    else:
        relation = _Relation(found, contact, at, pending, SAME_CALLBACK if source == "callback" else SAME)
        filled = _fill_gaps(found, fact)
        if relation.is_late():
            if relation.is_tombstone():
                found.added_at = at
                filled.append("added_at")
            _save(found, filled)
            result = FollowResult(found, contact, is_late=True)
        elif relation.is_known():
            if at > found.changed_at:
                found.changed_at = at
                filled.append("changed_at")
            _save(found, filled)
            return FollowResult(found, contact, is_new_follow=is_arrival)
        else:
            if found.ended_at and at == found.changed_at:
                word = "again"  # lost and added within a second: a fact of its own
            again = relation.reopen(fact)
            kind = EventType.ADDED_AGAIN if again and not pending else kind
            result = FollowResult(found, contact, is_new_follow=not again, is_return=again)
        follow = found

    figures = recount(brand, [contact.pk], added_at=at)
    contact.n_follows, contact.lost_at, contact.added_at = figures[contact.pk]
    if inherited or (found and word == "add" and _is_told(contact, staff, at)):
        return result
    record_event(
        brand,
        contact_id=contact.pk,
        type=kind,
        at=at,
        staff_id=staff.pk,
        object_id=channel_code_id or follow.channel_code_id,
        source=source,
        key_source="follow",
        source_key=f"{word}:{moment}",
        data={key: value for key, value in (("state", state), ("add_way", add_way)) if value},
    )
    return result


def _pair_of(
    brand: Brand, corp: Corp, staff: Staff, external_userid: str, at: datetime, name: str
) -> tuple[Contact, Follow | None, bool]:
    """The contact behind an external_userid, its row locked, and the relation with a guide; the contact is made (True)
    when there is none.

    Raises:
        ConflictError: the id belongs to a contact that does not exist, also after `TRIES` looks at it.
    """
    key = {"kind": Identity.Kind.EXTERNAL_USERID, "scope": corp.corpid, "value": external_userid}
    for _try in range(TRIES):
        identity = Identity.objects.filter(**key).first()
        if identity is None:
            try:
                with transaction.atomic():
                    contact = Contact.objects.create(
                        position=positions.take(brand), name=name[:100], added_at=at, n_follows=0
                    )
                    # waits for another process that is just making the same one
                    Identity.objects.create(contact=contact, **key)
            except IntegrityError:
                continue
            if name:
                refresh_grams(brand, [contact.pk])
            hooks.identities_noted(brand, [contact.pk])
            return contact, None, True
        # all changes of one contact's relations queue here, so that n_follows and lost_at stay right
        locked = Contact.objects.select_for_update(no_key=True).filter(pk=identity.contact_id).first()
        if locked is None:  # joined with another contact in this moment
            continue
        follow = Follow.objects.filter(contact=locked, staff=staff).first()
        is_its_own = follow is not None and follow.external_userid == external_userid
        if not is_its_own and not Identity.objects.filter(contact=locked, **key).exists():
            continue  # parted from it in this moment
        if name and not locked.name:
            locked.name = name[:100]
            locked.save(update_fields=["name"])
            refresh_grams(brand, [locked.pk])
        return locked, follow, False
    raise nobodys(external_userid)


def _is_told(contact: Contact, staff: Staff, at: datetime) -> bool:
    """Whether the timeline tells this adding already: the sync writes its event without a key."""
    same = Event.objects.filter(contact_id=contact.pk, staff_id=staff.pk, at=at)
    return same.filter(type=EventType.ADDED).exists()


def nobodys(value: str) -> ConflictError:
    """The error of an outside id whose contact is not there, however often one looks."""
    return ConflictError(
        _("The outside id %(value)s belongs to a customer who does not exist; the nightly check releases it")
        % {"value": value},
        code="ownerless",
    )


@dataclass(frozen=True)
class _Relation:
    """A row of Follow and an adding that is told about it."""

    follow: Follow
    contact: Contact
    at: datetime
    pending: bool
    same: timedelta

    def is_late(self) -> bool:
        """A newer fact is known. Within one second a loss that came first stands, any other one is followed
        by the adding."""
        if not self.follow.ended_at:
            return self.at < self.follow.changed_at - self.same
        return self.at < self.follow.changed_at or (self.at == self.follow.changed_at and self.is_tombstone())

    def is_known(self) -> bool:
        if self.follow.ended_at:
            return False
        return self.pending or (
            not self.follow.is_pending and abs(self.at - self.follow.added_at) <= self.same
        )

    def is_tombstone(self) -> bool:
        """The loss was told before the adding."""
        return self.follow.added_at == self.follow.ended_at and not self.was_added()

    def was_added(self) -> bool:
        """Whether the relation has been a confirmed one before."""
        kinds = [EventType.ADDED, EventType.ADDED_AGAIN]
        events = Event.objects.filter(
            contact_id=self.contact.pk, staff_id=self.follow.staff_id, type__in=kinds
        )
        return events.exists()

    def reopen(self, fact: dict) -> bool:
        """Confirm a half add, or open again what had ended (or whose end nobody told us); True for a
        return."""
        follow = self.follow
        confirms = follow.is_pending and not follow.ended_at
        again = self.was_added() if confirms else True
        follow.is_pending, follow.ended_at, follow.end_kind = self.pending, None, ""
        follow.added_at = follow.changed_at = self.at
        if not confirms:
            for key, value in fact.items():
                setattr(follow, key, value)
        _save(follow, ["is_pending", "ended_at", "end_kind", "added_at", "changed_at", *fact])
        return again


def _save(follow: Follow, fields: list[str]) -> None:
    if fields:
        follow.save(update_fields=fields)


def _fill_gaps(follow: Follow, fact: dict) -> list[str]:
    """Take over what an earlier telling of the same relation did not know; gives the fields changed."""
    changed = [key for key, value in fact.items() if value and not getattr(follow, key)]
    for key in changed:
        setattr(follow, key, fact[key])
    return changed


@transaction.atomic
def end_follow(
    brand: Brand,
    *,
    corp: Corp,
    staff: Staff,
    external_userid: str,
    at: datetime,
    kind: str,
    source: str,
    data: dict[str, Any] | None = None,
) -> Follow | None:
    """A guide has lost a customer; either side, a hand-over, or not found any more (`Follow.End`).

    A loss that comes before its adding is remembered (a row that has ended), so that the late adding does
    not bring the relation back; only `gone` of somebody unknown is nothing (None). Safe to repeat.
    """
    told_at, at = at, believable(at)
    key = {"kind": Identity.Kind.EXTERNAL_USERID, "scope": corp.corpid, "value": external_userid}
    if kind == Follow.End.GONE and not Identity.objects.filter(**key).exists():
        return None
    contact, follow, _is_new = _pair_of(brand, corp, staff, external_userid, at, "")
    if follow is None:
        follow = Follow.objects.create(
            contact=contact, staff=staff, corp=corp, external_userid=external_userid,
            added_at=at, changed_at=at, ended_at=at, end_kind=kind,
        )  # fmt: skip
    elif follow.ended_at is None and at >= follow.changed_at:
        follow.ended_at = follow.changed_at = at
        follow.end_kind, follow.is_pending = kind, False
        follow.wecom_tag_ids = []  # WeCom's tags end with the relation; the contact keeps its tags
        _save(follow, ["ended_at", "end_kind", "is_pending", "changed_at", "wecom_tag_ids"])
    elif follow.ended_at and follow.end_kind == Follow.End.GONE != kind and at >= follow.added_at:
        follow.ended_at, follow.end_kind = at, kind  # now we know how and when
        _save(follow, ["ended_at", "end_kind"])
    elif follow.ended_at and at > follow.changed_at:
        follow.changed_at = at
        _save(follow, ["changed_at"])
    recount(brand, [contact.pk], added_at=at)
    record_event(
        brand,
        contact_id=contact.pk,
        type=_END_EVENTS[Follow.End(kind)],
        at=at,
        staff_id=staff.pk,
        object_id=follow.channel_code_id,
        source=source,
        key_source="follow",
        source_key=f"end:{kind}:{staff.pk}:{external_userid}:{int(told_at.timestamp())}",
        data=data,
    )
    return follow


# One statement for both rows of a contact. ContactStat gets what the UPDATE writes; the other columns are those
# before it, because all parts of a statement see the same snapshot.
# Brand in sub-selects: of one that is new Postgres knows nothing, so it plans for any of them.
_RECOUNT = """
    WITH f AS (
        SELECT x.id, count(w.id) FILTER (WHERE w.ended_at IS NULL AND NOT w.is_pending)::int AS n_follows,
               CASE WHEN count(w.id) FILTER (WHERE w.ended_at IS NULL) = 0 THEN max(w.ended_at) END AS lost_at
          FROM unnest(%(ids)s::bigint[]) AS x(id)
          LEFT JOIN contacts_follow w ON w.brand_id = (SELECT %(b)s) AND w.contact_id = x.id GROUP BY x.id
    ), c AS (
        SELECT c.id, c.position, c.gender, c.do_not_contact, f.n_follows, f.lost_at,
               least(c.added_at, %(added_at)s) AS added_at
          FROM contacts_contact c JOIN f ON f.id = c.id WHERE c.brand_id = (SELECT %(b)s)
    ), u AS (
        UPDATE contacts_contact t SET n_follows = c.n_follows, lost_at = c.lost_at, added_at = c.added_at
          FROM c WHERE t.brand_id = (SELECT %(b)s) AND t.id = c.id
           AND (t.n_follows, t.lost_at, t.added_at) IS DISTINCT FROM (c.n_follows, c.lost_at, c.added_at)
    ), stat AS (
    INSERT INTO contacts_contactstat AS s (brand_id, contact_id, position, gender, do_not_contact, n_follows,
                                           lost_at, added_at, spent_fen, n_orders)
    SELECT %(b)s, c.id, c.position, c.gender, c.do_not_contact, c.n_follows, c.lost_at, c.added_at, 0, 0
      FROM c ORDER BY c.id
    ON CONFLICT (brand_id, contact_id) DO UPDATE
       SET n_follows = excluded.n_follows, lost_at = excluded.lost_at, added_at = excluded.added_at
     WHERE (s.n_follows, s.lost_at, s.added_at)
           IS DISTINCT FROM (excluded.n_follows, excluded.lost_at, excluded.added_at)
    )
    SELECT id, n_follows, lost_at, added_at FROM c
"""


def recount(
    brand: Brand, contact_ids: Iterable[int], added_at: datetime | None = None
) -> dict[int, tuple[int, datetime | None, datetime]]:
    """Make `n_follows` and `lost_at` of some contacts agree with their follows, and ContactStat with both, in
    the caller's transaction; set-based. The bitmaps of flags, guides and codes follow before the commit. Gives
    contact id → (n_follows, lost_at, added_at).

    Args:
        added_at: moves `added_at` back to this moment where it is earlier.
    """
    ids = sorted(set(contact_ids))
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT, {"ids": numbers(ids), "b": brand.pk, "added_at": added_at})
        figures = {row[0]: row[1:] for row in cursor.fetchall()}
    hooks.contacts_changed(brand, ids)
    return figures
