"""What became of moments: who has published, how many can see it, likes and comments; asked with growing pauses.

A guide's part is final when it is published and a week has passed, or when 30 days are over (then the rest is stopped).
Likes and comments of customers stand on their timelines, each once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Min

from campaigns.models import Moment, MomentGuide
from contacts.models import EventType, Identity
from contacts.services.timeline import EventRow, record_events
from scrm import clock
from tenants.models import Brand
from wecom.api import moments as api
from wecom.client import WeComClient, client_for
from wecom.errors import WeComRejected, WeComUnavailable

State, Part = Moment.State, MomentGuide.State

LEASE = timedelta(minutes=5)
SHORTEST, LONGEST = (
    timedelta(seconds=60),
    timedelta(hours=6),
)  # between two polls: a tenth of the moment's age
UNPUBLISHED = timedelta(days=30)
# after publishing: when viewers and reactions are read
READS = [timedelta(0), *(timedelta(hours=h) for h in (1, 6, 24, 72, 168))]
AT_ONCE = 100  # guides read in one go: two calls each


def poll(brand: Brand, moment_pk: int) -> None:
    """Ask WeCom about one moment that is with its guides. Safe to repeat; what fails is asked for again."""
    now = clock.now()
    with transaction.atomic():
        mine = Moment.objects.filter(pk=moment_pk, state=State.OUT, next_try_at__lte=now)
        if not mine.update(next_try_at=now + LEASE):
            return
        moment = Moment.objects.select_related("corp").get(pk=moment_pk)
    client = client_for(moment.corp)
    error = ""
    try:
        if now - (moment.out_at or now) > UNPUBLISHED and moment.cancelled_at is None:
            with transaction.atomic():
                Moment.objects.filter(pk=moment.pk).update(cancelled_at=now)
            moment.cancelled_at = now
        if moment.cancelled_at is not None:
            api.cancel_moment(client, moment.moment_id)
        tasks = api.moment_tasks(client, moment.moment_id)
        with transaction.atomic():
            _note(brand, moment, tasks, now)
        _read_guides(brand, client, moment, now)
    except WeComUnavailable as problem:
        error = str(problem)
    except WeComRejected as problem:
        error = f"{problem} ({problem.errcode})"
    with transaction.atomic():
        _fold(brand, moment.pk, now, error)


_NOTE = """
    INSERT INTO campaigns_momentguide AS g (brand_id, moment_id, staff_id, userid, state, published_at, n_customers, n_likes,
                                           n_comments, next_read_at, error)
    SELECT %(b)s, %(m)s, (SELECT s.id FROM org_staff s WHERE s.brand_id = %(b)s AND s.corp_id = %(corp)s
                           AND s.userid = lower(t.userid) OFFSET 0), t.userid,
           CASE WHEN t.done THEN 'published' ELSE 'waiting' END, CASE WHEN t.done THEN %(now)s::timestamptz END, 0, 0, 0,
           CASE WHEN t.done THEN %(now)s::timestamptz END, ''
      FROM unnest(%(users)s::text[], %(done)s::bool[]) AS t(userid, done) ORDER BY t.userid
    ON CONFLICT (brand_id, moment_id, userid) DO UPDATE
       SET state = 'published', published_at = excluded.published_at, next_read_at = excluded.next_read_at
     WHERE excluded.state = 'published' AND g.state <> 'published'
"""


def _note(brand: Brand, moment: Moment, tasks: Sequence[api.MomentTask], now: datetime) -> None:
    """Each guide's part, in one statement; who has published stays so."""
    done = {str(t["userid"]): bool(t.get("publish_status")) for t in tasks if t.get("userid")}
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "b": brand.pk,
                "m": moment.pk,
                "corp": moment.corp_id,
                "now": now,
                "users": list(done),
                "done": list(done.values()),
            },
        )
    if moment.cancelled_at is not None:
        MomentGuide.objects.filter(moment=moment, state=Part.WAITING).update(state=Part.MISSED)


def _read_guides(brand: Brand, client: WeComClient, moment: Moment, now: datetime) -> None:
    with transaction.atomic():
        due = MomentGuide.objects.select_for_update(skip_locked=True).filter(
            moment=moment, next_read_at__lte=now
        )
        guides = list(due.order_by("next_read_at", "pk")[:AT_ONCE])
        MomentGuide.objects.filter(pk__in=[g.pk for g in guides]).update(next_read_at=now + LEASE)
    for guide in guides:
        error = ""
        try:
            viewers = api.moment_viewers(client, moment.moment_id, guide.userid)
            reactions = api.moment_reactions(client, moment.moment_id, guide.userid)
        except WeComRejected as problem:
            # deleted by the guide, for example: what was read before stays
            viewers, reactions, error = (
                [],
                {"comment_list": [], "like_list": []},
                f"{problem} ({problem.errcode})",
            )
        with transaction.atomic():
            _record(brand, moment, guide, len(viewers), reactions, now, error[:200])


def _record(
    brand: Brand,
    moment: Moment,
    guide: MomentGuide,
    n_customers: int,
    reactions: api.Reactions,
    now: datetime,
    error: str,
) -> None:
    age = now - (guide.published_at or now)
    following = next((pause for pause in READS if pause > age), None)
    values: dict[str, Any] = {
        "next_read_at": (guide.published_at or now) + following if following else None,
        "error": error,
    }
    if not error:
        likes, comments = reactions["like_list"], reactions["comment_list"]
        values |= {"n_customers": n_customers, "n_likes": len(likes), "n_comments": len(comments)}
        _tell(brand, moment, guide, EventType.MOMENT_LIKED, likes)
        _tell(brand, moment, guide, EventType.MOMENT_COMMENTED, comments)
    MomentGuide.objects.filter(pk=guide.pk).update(**values)


def _tell(
    brand: Brand, moment: Moment, guide: MomentGuide, type: EventType, rows: Sequence[api.Reaction]
) -> None:
    """Timeline entries of customers, each once however often it is read."""
    given = {
        row["external_userid"]: int(row.get("create_time") or 0) for row in rows if row.get("external_userid")
    }
    if not given:
        return
    known = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID, scope=moment.corp.corpid, value__in=list(given)
    )
    events: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": type,
            "at": datetime.fromtimestamp(given[external], UTC) if given[external] else clock.now(),
            "staff_id": guide.staff_id,
            "object_id": moment.pk,
            "source": "moment",
            "source_key": f"{guide.pk}:{int(type)}:{external}:{given[external]}",
            "data": {"title": moment.name},
        }
        for external, contact_id in known.values_list("value", "contact_id")
    ]
    record_events(brand, events)


_FOLD = """
    UPDATE campaigns_moment m SET n_guides = x.n, n_published = x.published, n_customers = x.customers, n_likes = x.likes,
           n_comments = x.comments
      FROM (SELECT count(*) AS n, count(*) FILTER (WHERE state = 'published') AS published,
                   coalesce(sum(n_customers), 0) AS customers, coalesce(sum(n_likes), 0) AS likes,
                   coalesce(sum(n_comments), 0) AS comments
              FROM campaigns_momentguide WHERE brand_id = %(b)s AND moment_id = %(m)s) x
     WHERE m.brand_id = %(b)s AND m.id = %(m)s
"""


def _fold(brand: Brand, moment_pk: int, now: datetime, error: str) -> None:
    """The moment's own figures, and when it is asked about again; over when nothing can change any more."""
    moment = Moment.objects.select_for_update().get(pk=moment_pk)
    if moment.state != State.OUT:
        return
    with connection.cursor() as cursor:
        cursor.execute(_FOLD, {"b": brand.pk, "m": moment.pk})
    parts = MomentGuide.objects.filter(moment=moment)
    next_read = parts.aggregate(at=Min("next_read_at"))["at"]
    waiting = parts.filter(state=Part.WAITING).exists()
    values: dict[str, Any] = {"error": error[:500]}
    if error or waiting or (not parts.exists() and moment.cancelled_at is None):
        pause = min(max((now - (moment.out_at or now)) / 10, SHORTEST), LONGEST)
        values["next_try_at"] = min(now + pause, next_read) if next_read and not error else now + pause
    elif next_read is not None:
        values["next_try_at"] = next_read
    else:
        values |= {
            "state": State.CANCELLED if moment.cancelled_at and _stopped(parts) else State.DONE,
            "ended_at": now,
        }
    Moment.objects.filter(pk=moment.pk).update(**values)


def _stopped(parts: Any) -> bool:
    """Whether somebody had not published when it was stopped."""
    return parts.filter(state=Part.MISSED).exists() or not parts.exists()
