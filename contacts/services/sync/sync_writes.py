"""What a merge writes on relations that we have, each one or two statements for all rows; in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection

from contacts import hooks
from contacts.models import Contact, EventType, Follow
from contacts.services import stats
from contacts.services.follow import record_follow, recount
from contacts.services.identity import identity
from contacts.services.identity.identity import resolve
from contacts.services.search import refresh_grams
from contacts.services.sync.sync_new import ASSIGNED
from contacts.services.sync.sync_types import Known, Row
from contacts.services.timeline import EventRow, record_events
from org.models import Corp, Staff
from scrm import clock
from tenants.models import Brand
from wecom.models import OutboundCall

MARGIN = timedelta(seconds=10)  # WeCom may show a call a little after it has answered it

_WRITE_PROFILES = """
    UPDATE contacts_contact c
       SET name = coalesce(nullif(x.name, ''), c.name), avatar = x.avatar, gender = x.gender, kind = x.kind,
           corp_name = x.corp_name, profile_at = %s
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::smallint[], %s::smallint[], %s::text[])
           AS x(id, name, avatar, gender, kind, corp_name)
     WHERE c.brand_id = (SELECT %s) AND c.id = x.id
"""
# who was handed over came by no code to their new guide: the relation that came by it keeps it, and counts once
_WRITE_FOLLOWS = f"""
    UPDATE contacts_follow f
       SET remark = x.remark, description = x.description,
           add_way = coalesce(nullif(x.add_way, 0), f.add_way), state = coalesce(nullif(x.state, ''), f.state),
           channel_code_id = coalesce(f.channel_code_id,
                                      CASE WHEN {ASSIGNED} IN (f.add_way, x.add_way) THEN NULL ELSE x.code_id END)
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::bigint[])
           AS x(id, remark, description, add_way, state, code_id)
     WHERE f.brand_id = (SELECT %s) AND f.id = x.id
"""  # noqa: S608


def write_profiles(brand: Brand, changed: dict[int, Row]) -> None:
    if not changed:
        return
    rows = list(changed.values())
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE_PROFILES,
            [
                clock.now(),
                list(changed),
                [row.name for row in rows],
                [row.avatar for row in rows],
                [row.gender for row in rows],
                [row.kind for row in rows],
                [row.corp_name for row in rows],
                brand.pk,
            ],
        )


def write_follows(brand: Brand, corp: Corp, known: Sequence[tuple[Row, Known]]) -> set[int]:
    """Remarks, descriptions, sources and tags of relations that we have; gives the contacts whose remark changed."""
    if not known:
        return set()
    live = [(row, k) for row, k in known if k.ended_at is None]
    remarks = [(row, k) for row, k in live if row.remark != k.remark]
    tags = [(row, k) for row, k in live if set(row.tag_ids.split()) != set(k.tag_ids)]
    if remarks or tags:
        ours = in_the_outbox(
            {row.external_userid for row, _ in remarks + tags}, min(r.seen_at for r, _ in known)
        )
        remarks = [p for p in remarks if (OutboundCall.Kind.REMARK, p[0].external_userid) not in ours]
        # a call that was made after WeCom answered; those that wait are known to take_over
        tags = [p for p in tags if (OutboundCall.Kind.MARK_TAG, p[0].external_userid) not in ours]
    states = {row.state for row, k in known if row.state not in ("", k.state)}
    codes = hooks.codes_by_state(brand, corp=corp, states=states) if states else {}
    kept = {k.follow_id: k.remark for _, k in known} | {k.follow_id: row.remark for row, k in remarks}
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE_FOLLOWS,
            [
                [k.follow_id for _, k in known],
                [kept[k.follow_id] for _, k in known],
                [row.description for row, _ in known],
                [row.add_way for row, _ in known],
                [row.state for row, _ in known],
                [codes.get(row.state) for row, _ in known],
                brand.pk,
            ],
        )
    record_events(brand, [_remarked(row, k) for row, k in remarks])
    if tags:
        follows = Follow.objects.select_related("staff").in_bulk([k.follow_id for _, k in tags])
        relations = [(follows[k.follow_id], row.tag_ids.split()) for row, k in tags if k.follow_id in follows]
        hooks.take_over_tags(brand, corp=corp, relations=relations)
    return {k.contact_id for _, k in remarks}


def in_the_outbox(external_userids: set[str], since: datetime) -> set[tuple[str, str]]:
    """(kind, external_userid) of remarks that wait, and of all calls that were made since WeCom told us its
    state."""
    calls = OutboundCall.objects.filter(subject__in=external_userids)
    waiting = calls.filter(kind=OutboundCall.Kind.REMARK, state__in=["waiting", "calling"])
    made = calls.filter(state="done", done_at__gte=since - MARGIN)
    return set(waiting.values_list("kind", "subject")) | set(made.values_list("kind", "subject"))


def _remarked(row: Row, known: Known) -> EventRow:
    return {
        "contact_id": known.contact_id,
        "type": EventType.REMARKED,
        "at": row.seen_at,
        "staff_id": row.staff_id,
        "source": "sync",
        "data": {"before": known.remark, "after": row.remark},
    }


def bring_back(
    brand: Brand, corp: Corp, returns: Sequence[tuple[Row, Known]], back: Sequence[tuple[Row, Known]]
) -> None:
    """Relations that live again. Few, so one by one through the one place that knows about time."""
    people = Staff.objects.in_bulk({row.staff_id for row, _ in returns})
    codes = hooks.codes_by_state(brand, corp=corp, states={row.state for row, _ in returns if row.state})
    for row, _known in returns:
        record_follow(
            brand,
            corp=corp,
            staff=people[row.staff_id],
            external_userid=row.external_userid,
            at=row.added_at,
            state=row.state,
            add_way=row.add_way,
            channel_code_id=None if row.add_way == ASSIGNED else codes.get(row.state),
            inherited=row.add_way == ASSIGNED,
            source="sync",
        )
    if not back:
        return
    Follow.objects.filter(pk__in=[k.follow_id for _, k in back], end_kind=Follow.End.GONE).update(
        ended_at=None, end_kind="", changed_at=min(row.seen_at for row, _ in back)
    )
    recount(brand, [k.contact_id for _, k in back])
    events: list[EventRow] = [
        {
            "contact_id": known.contact_id,
            "type": EventType.ADDED_AGAIN,
            "at": row.seen_at,
            "staff_id": row.staff_id,
            "source": "sync",
            "data": {"found_again": True},
        }
        for row, known in back
    ]
    record_events(brand, events)


def join(brand: Brand, contact_id: int, row: Row) -> None:
    """Two contacts of one person become one, which shows what WeCom says now."""
    contact = Contact.objects.filter(pk=contact_id).first()
    if contact is not None:
        kept = resolve(brand, contact=contact, unionid=row.unionid, source="sync")
        write_profiles(brand, {kept.pk: row})
        stats.refresh(brand, [kept.pk])
        refresh_grams(brand, [kept.pk])


def join_member(brand: Brand, contact_id: int, phone: str) -> None:
    """Somebody of an imported list has added a guide."""
    contact = Contact.objects.filter(pk=contact_id).first()
    if contact is not None:
        identity.join_member(brand, contact=contact, phones=[phone], source="sync")
