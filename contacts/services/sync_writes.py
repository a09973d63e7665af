"""The writes of a merge (services/sync_rows.py), each one or two statements for all rows; in the caller's
transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection

from contacts import hooks
from contacts.models import Contact, EventType, Follow, Identity
from contacts.services import positions, stats
from contacts.services.follow import record_follow, recount
from contacts.services.identity import resolve
from contacts.services.search import refresh_grams
from contacts.services.sync_types import Conflict, Known, Plan, Row, person_of
from contacts.services.timeline import EventRow, record_events
from org.models import Corp, Staff
from scrm import clock
from tenants.models import Brand
from wecom.models import OutboundCall

MARGIN = timedelta(seconds=10)  # WeCom may show a call a little after it has answered it

_MAKE_CONTACTS = """
    INSERT INTO contacts_contact
           (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact, n_follows, added_at,
            profile_at)
    SELECT %s, x.position, x.name, x.avatar, x.gender, x.kind, x.corp_name, false, x.n, x.added_at, %s
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::smallint[], %s::smallint[], %s::text[], %s::int[],
                  %s::timestamptz[]) AS x(position, name, avatar, gender, kind, corp_name, n, added_at)
    RETURNING position, id
"""
_WRITE_PROFILES = """
    UPDATE contacts_contact c
       SET name = coalesce(nullif(x.name, ''), c.name), avatar = x.avatar, gender = x.gender, kind = x.kind,
           corp_name = x.corp_name, profile_at = %s
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::smallint[], %s::smallint[], %s::text[])
           AS x(id, name, avatar, gender, kind, corp_name)
     WHERE c.brand_id = %s AND c.id = x.id
"""
_MOVE_BACK = """
    UPDATE contacts_contact c SET added_at = x.added_at
      FROM (SELECT id, min(at) AS added_at FROM unnest(%s::bigint[], %s::timestamptz[]) AS u(id, at)
             GROUP BY id) x
     WHERE c.brand_id = %s AND c.id = x.id AND c.added_at > x.added_at
"""
_MAKE_FOLLOWS = """
    INSERT INTO contacts_follow
           (brand_id, contact_id, staff_id, corp_id, external_userid, state, channel_code_id, add_way, remark,
            description, wecom_tag_ids, is_pending, added_at, end_kind, changed_at, synced_in)
    SELECT %s, x.contact_id, x.staff_id, %s, x.external_userid, x.state, x.code_id, x.add_way, x.remark,
           x.description, string_to_array(x.tag_ids, ' ')::varchar[], false, x.added_at, '', x.added_at, %s
      FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::smallint[],
                  %s::text[], %s::text[], %s::text[], %s::timestamptz[])
           AS x(contact_id, staff_id, external_userid, state, code_id, add_way, remark, description, tag_ids,
                added_at)
    ON CONFLICT DO NOTHING RETURNING staff_id, external_userid
"""
_WRITE_FOLLOWS = """
    UPDATE contacts_follow f
       SET remark = x.remark, description = x.description, synced_in = %s,
           add_way = CASE WHEN f.add_way = 0 THEN x.add_way ELSE f.add_way END,
           state = CASE WHEN f.state = '' THEN x.state ELSE f.state END
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::smallint[], %s::text[])
           AS x(id, remark, description, add_way, state)
     WHERE f.brand_id = %s AND f.id = x.id
"""


def make_contacts(brand: Brand, strangers: Sequence[Row]) -> dict[str, int]:
    """New contacts, one for each person; gives person → contact id."""
    people: dict[str, list[Row]] = {}
    for row in strangers:
        people.setdefault(person_of(row), []).append(row)
    if not people:
        return {}
    first = positions.take(brand, len(people))
    numbers = {first + n: person for n, person in enumerate(people)}
    heads = [rows[0] for rows in people.values()]
    with connection.cursor() as cursor:
        cursor.execute(
            _MAKE_CONTACTS,
            [
                brand.pk,
                clock.now(),
                list(numbers),
                [row.name for row in heads],
                [row.avatar for row in heads],
                [row.gender for row in heads],
                [row.kind for row in heads],
                [row.corp_name for row in heads],
                [len({row.staff_id for row in rows}) for rows in people.values()],
                [min(row.added_at for row in rows) for rows in people.values()],
            ],
        )
        return {numbers[position]: pk for position, pk in cursor.fetchall()}


def note_identities(
    brand: Brand, corp: Corp, plan: Plan, pairs: Sequence[tuple[Row, int]]
) -> list[tuple[int, Row]]:
    """Keep outside ids. Gives (contact id, row) where the row's unionid belongs to another contact.

    Raises:
        Conflict: an id that was free a moment ago is not any more.
    """
    own = Identity.Kind.EXTERNAL_USERID.value
    to_join: dict[tuple[int, str], Row] = {}
    wanted: dict[tuple[str, str, str], int] = {}
    must: set[tuple[str, str, str]] = set()
    for row, contact_id in pairs:
        key = (own, corp.corpid, row.external_userid)
        wanted[key] = contact_id
        if contact_id not in plan.profiles:  # a contact that was made a moment ago
            must.add(key)
    for row, contact_id in [*pairs, *((row, known.contact_id) for row, known in plan.known)]:
        if row.unionid:
            owner = plan.unionids.get(row.unionid)
            if owner is None:
                wanted.setdefault((Identity.Kind.UNIONID.value, "", row.unionid), contact_id)
            elif owner != contact_id:
                to_join[contact_id, row.unionid] = row
        for phone in row.phones:
            wanted.setdefault((Identity.Kind.PHONE.value, "", phone), contact_id)
    if not wanted:
        return [(contact_id, row) for (contact_id, _), row in to_join.items()]
    keys = sorted(wanted)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)"
            " SELECT %s, x.contact_id, x.kind, x.scope, x.value, %s"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[])"
            "  AS x(contact_id, kind, scope, value)"
            " ON CONFLICT DO NOTHING RETURNING kind, scope, value",
            [brand.pk, clock.now(), [wanted[k] for k in keys], *map(list, zip(*keys, strict=True))],
        )
        noted = set(cursor.fetchall())
    unions = {key for key in wanted if key[0] == Identity.Kind.UNIONID}
    if (must | unions) - noted:
        raise Conflict
    hooks.identities_noted(brand, sorted({wanted[key] for key in noted}))
    return [(contact_id, row) for (contact_id, _), row in to_join.items()]


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


def move_back_added(brand: Brand, pairs: Sequence[tuple[Row, int]]) -> None:
    """A relation that is older than what we knew of its contact makes the contact older."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE_BACK,
            [[contact_id for _, contact_id in pairs], [row.added_at for row, _ in pairs], brand.pk],
        )


def make_follows(brand: Brand, corp: Corp, pairs: Sequence[tuple[Row, int]], job_id: int) -> list[Row]:
    """New relations with their event and tags; gives those that were made."""
    if not pairs:
        return []
    codes = hooks.codes_by_state(brand, corp=corp, states={row.state for row, _ in pairs if row.state})
    rows = [row for row, _ in pairs]
    with connection.cursor() as cursor:
        cursor.execute(
            _MAKE_FOLLOWS,
            [
                brand.pk,
                corp.pk,
                job_id,
                [contact_id for _, contact_id in pairs],
                [row.staff_id for row in rows],
                [row.external_userid for row in rows],
                [row.state for row in rows],
                [codes.get(row.state) for row in rows],
                [row.add_way for row in rows],
                [row.remark for row in rows],
                [row.description for row in rows],
                [" ".join(row.tag_ids) for row in rows],
                [row.added_at for row in rows],
            ],
        )
        made = set(cursor.fetchall())
    new = [(row, contact_id) for row, contact_id in pairs if (row.staff_id, row.external_userid) in made]
    record_events(brand, [_added(row, contact_id, codes.get(row.state)) for row, contact_id in new])
    hooks.first_tags(
        brand,
        corp=corp,
        rows=[(contact_id, row.staff_id, row.tag_ids) for row, contact_id in new if row.tag_ids],
    )
    return [row for row, _ in new]


def _added(row: Row, contact_id: int, code_id: int | None) -> EventRow:
    """The event of a new relation; its key is that of services/follow.py, so the callback's does not double
    it."""
    return {
        "contact_id": contact_id,
        "type": EventType.ADDED,
        "at": row.added_at,
        "staff_id": row.staff_id,
        "object_id": code_id,
        "source": "sync",
        "key_source": "follow",
        "source_key": f"add:{row.staff_id}:{row.external_userid}:{int(row.added_at.timestamp())}",
        "data": {name: value for name, value in (("state", row.state), ("add_way", row.add_way)) if value},
    }


def write_follows(brand: Brand, corp: Corp, known: Sequence[tuple[Row, Known]], job_id: int) -> set[int]:
    """Remarks, tags and `synced_in` of relations that we have; gives the contacts whose remark changed."""
    if not known:
        return set()
    live = [(row, k) for row, k in known if k.ended_at is None]
    remarks = [(row, k) for row, k in live if row.remark != k.remark]
    tags = [(row, k) for row, k in live if set(row.tag_ids) != set(k.tag_ids)]
    if remarks or tags:
        ours = _in_the_outbox(
            {row.external_userid for row, _ in remarks + tags}, min(r.seen_at for r, _ in known)
        )
        remarks = [p for p in remarks if (OutboundCall.Kind.REMARK, p[0].external_userid) not in ours]
        # a call that was made after WeCom answered; those that wait are known to take_over
        tags = [p for p in tags if (OutboundCall.Kind.MARK_TAG, p[0].external_userid) not in ours]
    kept = {k.follow_id: k.remark for _, k in known} | {k.follow_id: row.remark for row, k in remarks}
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE_FOLLOWS,
            [
                job_id,
                [k.follow_id for _, k in known],
                [kept[k.follow_id] for _, k in known],
                [row.description for row, _ in known],
                [row.add_way for row, _ in known],
                [row.state for row, _ in known],
                brand.pk,
            ],
        )
    record_events(brand, [_remarked(row, k) for row, k in remarks])
    if tags:
        follows = Follow.objects.select_related("staff").in_bulk([k.follow_id for _, k in tags])
        relations = [(follows[k.follow_id], row.tag_ids) for row, k in tags if k.follow_id in follows]
        hooks.take_over_tags(brand, corp=corp, relations=relations)
    return {k.contact_id for _, k in remarks}


def _in_the_outbox(external_userids: set[str], since: datetime) -> set[tuple[str, str]]:
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
            channel_code_id=codes.get(row.state),
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
