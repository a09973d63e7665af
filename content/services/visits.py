"""Openings of tracked links: recorded once, read for how long, passed on by whom; who opens is browsers.py.

A visit belongs to a browser (a random cookie) and, where WeCom has named them, to a contact. Events: 70 opened (at
once), 71 read (when the browser has been silent for a minute), 72 shared (of the one who passed it on).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from contacts.models import Contact, EventType
from contacts.services import timeline
from content import tokens
from content.models import LinkPerson, TrackedLink, Via, Visit
from content.services.browsers import Place, Visitor
from org.models import Staff
from scrm import clock
from tenants.models import Brand

SAME_VISIT = timedelta(
    minutes=30
)  # the same browser and link again within this is the same visit, unless it came anew
QUIET = timedelta(seconds=60)  # a browser that has told nothing for so long has ended reading
LONGEST_S = 3600
READ_S = 3  # less is not reading
SLICE = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# ---- opened


@transaction.atomic
def record_open(
    place: Place, visitor: Visitor, token: tokens.Told | None, now: datetime | None = None
) -> Visit:
    """Note an opening, in the scope of the place's brand; gives the visit, which an opening of the same browser within
    half an hour goes on with."""
    brand, link, now = place.brand, place.link, now or clock.now()
    contact_id = visitor.contact_id
    if contact_id and not Contact.objects.filter(pk=contact_id).exists():
        contact_id = None  # joined with another one since: WeCom names them anew
    source, given, giver = None, tokens.Sent(), None
    if isinstance(token, tokens.Shared):
        source = visit_of(link, token)
    elif isinstance(token, tokens.Passed):
        given, giver = _of_poster(token, contact_id)
    elif token:
        given = token
    own = source and (source.visitor == visitor.id or (contact_id and source.contact_id == contact_id))
    if source and own:
        # their own address bar again: a reload, or a bookmark of their own
        if now - source.at < SAME_VISIT:
            return source
        given = tokens.Sent(source.staff_id or 0, source.send_task_id or 0, source.touch_id or 0, source.via)
        source = None
    elif source:
        given = tokens.Sent(source.staff_id or 0, via=Via.SHARED)
    staff_id = given.staff_id if given.staff_id and Staff.objects.filter(pk=given.staff_id).exists() else None
    from_contact_id = source.contact_id if source else giver
    if again := _same(link.pk, visitor.id, contact_id, given, source, giver, now):
        return again
    is_new = not contact_id and not Visit.objects.filter(link_id=link.pk, visitor=visitor.id).exists()
    visit = Visit.objects.create(
        at=now,
        link_id=link.pk,
        visitor=visitor.id,
        contact_id=contact_id,
        staff_id=staff_id,
        send_task_id=given.send_task_id or None,
        touch_id=given.touch_id or None,
        via=given.via if given.via in Via.values else Via.PLAIN,
        from_visit_id=source.pk if source else None,
        from_contact_id=from_contact_id,
    )
    if contact_id:
        is_new = _note_person(link, visit, now)
        _tell_opened(brand, link, visit)
    if from_contact_id:
        _note_share(brand, link, from_contact_id, visit)
    # the hot rows last: they are held for as short as possible
    _count(brand, visit, n_opens=1, n_new=int(is_new))
    TrackedLink.objects.filter(pk=link.pk).update(
        n_opens=F("n_opens") + 1, n_known=F("n_known") + int(bool(contact_id) and is_new), opened_at=now
    )
    return visit


def _of_poster(token: tokens.Passed, contact_id: int | None) -> tuple[tokens.Sent, int | None]:
    """What a customer's own poster says of an opening, and who passed it on; nobody, where they try it themselves."""
    known = 0 < token.contact_id < 2**63 and Contact.objects.filter(pk=token.contact_id).exists()
    if not known or token.contact_id == contact_id:
        return tokens.Sent(token.staff_id, via=Via.POSTER), None
    return tokens.Sent(token.staff_id, via=Via.SHARED), token.contact_id


def visit_of(link: TrackedLink, told: tokens.Told | None) -> Visit | None:
    """The visit of this link that a tail names; None where it names none. In a scope and transaction."""
    if not isinstance(told, tokens.Shared) or told.visit_id >= 2**63:
        return None
    return Visit.objects.filter(at=moment(told.visit_at), pk=told.visit_id, link_id=link.pk).first()


def moment(at_us: int) -> datetime:
    """The time that a token carries."""
    return _EPOCH + timedelta(microseconds=min(at_us, 2**52))


def share_token(brand: Brand, key: str, visit: Visit) -> str:
    """The tail that the browser of a visit shows: whoever else opens it got it from there."""
    at_us = (visit.at - _EPOCH) // timedelta(microseconds=1)
    return tokens.pack(brand.pk, key, tokens.Shared(visit.pk, at_us))


def _same(
    link_id: int,
    visitor: str,
    contact_id: int | None,
    given: tokens.Sent,
    source: Visit | None,
    giver: int | None,
    now: datetime,
) -> Visit | None:
    """The visit of this browser that this opening goes on with: the same person and message, not long ago."""
    last = (
        Visit.objects.filter(link_id=link_id, visitor=visitor, at__gt=now - SAME_VISIT)
        .order_by("-at")
        .first()
    )
    if last is None or last.contact_id != contact_id or (giver and last.from_contact_id != giver):
        return None
    message = (given.send_task_id or None, given.touch_id or None, source.pk if source else None)
    return last if (last.send_task_id, last.touch_id, last.from_visit_id) == message else None


def _note_person(link: TrackedLink, visit: Visit, now: datetime) -> bool:
    """Whether it is the first opening of this person."""
    row, made = LinkPerson.objects.get_or_create(
        link=link,
        contact_id=visit.contact_id or 0,
        defaults={"staff_id": visit.staff_id, "via": visit.via, "first_at": now, "last_at": now},
    )
    if made:
        return True
    mine = LinkPerson.objects.filter(pk=row.pk)
    first = {"staff_id": visit.staff_id, "via": visit.via, "first_at": now, "last_at": now}
    if mine.filter(n_opens=0).update(n_opens=1, **first):  # had passed on what they had not opened
        return True
    mine.update(n_opens=F("n_opens") + 1, last_at=now)
    return False


def _tell_opened(brand: Brand, link: TrackedLink, visit: Visit) -> None:
    timeline.record_event(
        brand,
        contact_id=visit.contact_id or 0,
        type=EventType.OPENED,
        at=visit.at,
        staff_id=visit.staff_id,
        object_id=link.pk,
        source="link",
        data=_data(link, visit),
    )


def _data(link: TrackedLink, visit: Visit) -> dict[str, Any]:
    data: dict[str, Any] = {"page": link.name, "via": visit.via}
    given = {"staff": visit.staff_id, "send_task": visit.send_task_id, "touch": visit.touch_id}
    return data | {name: value for name, value in given.items() if value}


def _note_share(brand: Brand, link: TrackedLink, contact_id: int, visit: Visit) -> None:
    """Somebody else's browser came from a customer: once for each browser that came."""
    fresh = timeline.record_event(
        brand,
        contact_id=contact_id,
        type=EventType.SHARED,
        at=visit.at,
        staff_id=visit.staff_id,
        object_id=link.pk,
        source="link",
        source_key=f"shared:{link.pk}:{contact_id}:{visit.visitor}",
        data={"page": link.name, **({"to": visit.contact_id} if visit.contact_id else {})},
    )
    if fresh:
        # whoever passes their own poster on need not have opened it
        row, _made = LinkPerson.objects.get_or_create(
            link=link,
            contact_id=contact_id,
            defaults={"n_opens": 0, "via": visit.via, "first_at": visit.at, "last_at": visit.at},
        )
        LinkPerson.objects.filter(pk=row.pk).update(n_shared=F("n_shared") + 1)


def _count(brand: Brand, visit: Visit, **more: int) -> None:
    """Add to the day's figures; insert or add, whoever comes first."""
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO content_linkday (brand_id, link_id, "on", staff_id, via, n_opens, n_new, n_reads, seconds)'
            " VALUES (%s, %s, (%s AT TIME ZONE %s)::date, %s, %s, %s, %s, 0, 0)"
            ' ON CONFLICT (brand_id, link_id, "on", staff_id, via) DO UPDATE SET'
            " n_opens = content_linkday.n_opens + excluded.n_opens, n_new = content_linkday.n_new + excluded.n_new",
            [
                brand.pk,
                visit.link_id,
                visit.at,
                brand.timezone,
                visit.staff_id or 0,
                visit.via,
                more.get("n_opens", 0),
                more.get("n_new", 0),
            ],
        )


# ---- read


def record_beat(brand: Brand, key: str, token: str, *, seconds: int, depth: int) -> bool:
    """What the page of a visit tells: seconds in view so far, how far down. Never less than before, never more than
    has passed since it was opened; False when the token is not one. In the caller's scope and transaction."""
    what = tokens.unpack(brand.pk, key, token)
    if not isinstance(what, tokens.Shared) or what.visit_id >= 2**63:
        return False
    at, now = moment(what.visit_at), clock.now()
    most = min(LONGEST_S, max(0, int((now - at).total_seconds()) + 2))
    seconds, depth = min(max(seconds, 0), most), min(max(depth, 0), 100)
    if now - at > timedelta(hours=12):
        return False
    told = Visit.objects.filter(at=at, pk=what.visit_id).exclude(seconds__gte=seconds, depth__gte=depth)
    return bool(
        told.update(
            seconds=Greatest("seconds", seconds), depth=Greatest("depth", depth), beat_at=now, is_reading=True
        )
    )


_ENDED = """
    CREATE TEMP TABLE visit_ended ON COMMIT DROP AS
    SELECT v.at, v.id, v.link_id, v.contact_id, v.staff_id, v.send_task_id, v.touch_id, v.via, v.seconds, v.depth,
           v.seconds - v.folded_s AS more, v.folded_s < %(least)s AND v.seconds >= %(least)s AS is_read
      FROM content_visit v WHERE v.brand_id = %(b)s AND v.is_reading AND v.beat_at < %(before)s
     ORDER BY v.beat_at LIMIT %(n)s FOR UPDATE SKIP LOCKED
"""
_CLOSE = """
    UPDATE content_visit v SET is_reading = false, folded_s = e.seconds FROM pg_temp.visit_ended e
     WHERE v.brand_id = %(b)s AND v.at = e.at AND v.id = e.id
"""
_EVENTS = """
    SELECT e.contact_id, %(read)s::smallint AS type, e.at + make_interval(secs => e.seconds) AS at, e.staff_id,
           e.link_id AS object_id, 'link' AS source,
           jsonb_strip_nulls(jsonb_build_object('page', l.name, 'seconds', e.seconds, 'depth', e.depth, 'via', e.via,
               'staff', e.staff_id, 'send_task', e.send_task_id, 'touch', e.touch_id)) AS data,
           'link' AS key_source, 'read:' || e.id AS source_key
      FROM pg_temp.visit_ended e JOIN content_trackedlink l ON l.brand_id = %(b)s AND l.id = e.link_id
     WHERE e.contact_id IS NOT NULL AND e.is_read
"""
_PEOPLE = """
    UPDATE content_linkperson p SET seconds = p.seconds + e.more, depth = greatest(p.depth, e.depth)
      FROM (SELECT link_id, contact_id, sum(more) AS more, max(depth) AS depth FROM pg_temp.visit_ended
             WHERE contact_id IS NOT NULL GROUP BY 1, 2) e
     WHERE p.brand_id = %(b)s AND p.link_id = e.link_id AND p.contact_id = e.contact_id
"""
_DAYS = """
    INSERT INTO content_linkday (brand_id, link_id, "on", staff_id, via, n_opens, n_new, n_reads, seconds)
    SELECT %(b)s, link_id, (at AT TIME ZONE %(zone)s)::date, coalesce(staff_id, 0), via, 0, 0,
           count(*) FILTER (WHERE is_read), sum(more)
      FROM pg_temp.visit_ended GROUP BY 2, 3, 4, 5 ORDER BY 2, 3, 4, 5
    ON CONFLICT (brand_id, link_id, "on", staff_id, via) DO UPDATE SET
        n_reads = content_linkday.n_reads + excluded.n_reads, seconds = content_linkday.seconds + excluded.seconds
"""


@transaction.atomic
def fold_read(brand: Brand, now: datetime | None = None) -> int:
    """Readers who have been silent for a minute: one event for each visit, and the figures; gives how many. Works in
    sets; an idle minute is one look at an index. Somebody who goes on reading is folded again, without a second event.
    """
    before = (now or clock.now()) - QUIET
    # without a look first the temporary table would cost entries of the catalogue in every idle minute
    if not Visit.objects.filter(is_reading=True, beat_at__lt=before).exists():
        return 0
    given: dict[str, Any] = {
        "b": brand.pk,
        "before": before,
        "n": SLICE,
        "least": READ_S,
        "read": int(EventType.READ),
        "zone": brand.timezone,
    }
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.visit_ended")
        cursor.execute(_ENDED, given)
        n = cursor.rowcount
        cursor.execute(_CLOSE, given)
        timeline.record_selected(brand, _EVENTS, given)
        cursor.execute(_PEOPLE, given)
        cursor.execute(_DAYS, given)
    return n
