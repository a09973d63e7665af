"""Before a moment goes out: which guides would publish it and how many customers could see it. Nothing is written."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import connection

from campaigns import governance
from campaigns.governance import day_of, midnight
from campaigns.models import Moment
from campaigns.services.governance import guide_load
from campaigns.services.governance.rules import policy_of, rules_of
from campaigns.services.moments.moments import corp_tags
from org.models import Staff
from scrm import clock
from tagging.models import Dim, Flag
from tagging.services.bits import bits as stored
from tenants.models import Brand

SHOWN = 20  # guides by name
MONTHLY = 4  # moments of a company that WeCom shows one customer in a month, as its console says


@dataclass
class Reach:
    """What a moment would do.

    Attributes:
        n_guides: who gets it to publish.
        n_customers: who could see it, each once.
        n_quiet: of these, people on do-not-contact: a moment cannot leave them out.
        guides: (name, customers), most first, `SHOWN` of them.
        n_month: moments of the company in the same month, this one not counted.
        n_gone: guides and tags chosen that WeCom would not take any more.
        n_busy: guides who have enough to do on that day without it; a moment is not held back for their sake.
        held_until: quiet hours hold it until then, or None.
    """

    n_guides: int = 0
    n_customers: int = 0
    n_quiet: int = 0
    guides: list[tuple[str, int]] = field(default_factory=list)
    n_month: int = 0
    n_gone: int = 0
    n_busy: int = 0
    held_until: datetime | None = None

    @property
    def is_over_month(self) -> bool:
        return self.n_month >= MONTHLY

    @property
    def nobody(self) -> bool:
        return self.n_guides == 0


_SQL = """
    WITH tagged AS MATERIALIZED (
        SELECT chunk, bit_or(bits) AS bits FROM tagging_dimbits
         WHERE brand_id = %(b)s AND dim = %(tag)s AND val = ANY(%(tags)s::bigint[]) GROUP BY chunk),
    mine AS MATERIALIZED (
        SELECT d.val AS staff_id, d.chunk, CASE WHEN %(some)s THEN d.bits & t.bits ELSE d.bits END AS bits
          FROM tagging_dimbits d LEFT JOIN tagged t ON t.chunk = d.chunk
         WHERE d.brand_id = %(b)s AND d.dim = %(staff)s AND d.val = ANY(%(guides)s::bigint[])
           AND (NOT %(some)s OR t.bits IS NOT NULL)),
    everybody AS MATERIALIZED (SELECT chunk, bit_or(bits) AS bits FROM mine GROUP BY chunk)
    SELECT (SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM everybody),
           (SELECT coalesce(sum(bit_count(e.bits & q.bits)), 0)::bigint FROM everybody e
              JOIN tagging_dimbits q ON q.brand_id = %(b)s AND q.dim = %(flag)s AND q.val = %(quiet)s AND q.chunk = e.chunk),
           ARRAY(SELECT staff_id FROM mine GROUP BY staff_id HAVING sum(bit_count(bits)) > 0 ORDER BY staff_id),
           ARRAY(SELECT sum(bit_count(bits))::bigint FROM mine GROUP BY staff_id HAVING sum(bit_count(bits)) > 0
                  ORDER BY staff_id)
"""


def reach(brand: Brand, moment: Moment) -> Reach:
    """As of now, from bitmaps; in the caller's transaction."""
    stored.flush()
    found = Reach()
    able = dict(
        Staff.objects.guides().filter(corp=moment.corp_id).exclude(userid="").values_list("pk", "name")
    )
    tags = list(corp_tags(moment.corp).filter(pk__in=moment.tag_ids).values_list("pk", flat=True))
    guides = {pk: able[pk] for pk in moment.staff_ids if pk in able} if moment.staff_ids else able
    found.n_gone = len(moment.staff_ids) - len(guides) if moment.staff_ids else 0
    found.n_gone += len(moment.tag_ids) - len(tags)
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL,
            {
                "b": brand.pk, "tag": int(Dim.TAG), "staff": int(Dim.STAFF), "flag": int(Dim.FLAG),
                "quiet": int(Flag.DO_NOT_CONTACT), "tags": tags, "some": bool(moment.tag_ids), "guides": list(guides),
            },
        )  # fmt: skip
        found.n_customers, found.n_quiet, with_some, counts = cursor.fetchone()
    by_guide = dict(zip(with_some, counts, strict=True))
    # with tags and no guides chosen, those who follow nobody with the tag get no task
    publish = guides if moment.staff_ids or not moment.tag_ids else {pk: guides[pk] for pk in by_guide}
    if moment.tag_ids and not tags:
        publish = {}
    found.n_guides = len(publish)
    rows = sorted(
        ((name, by_guide.get(pk, 0)) for pk, name in publish.items()), key=lambda row: (-row[1], row[0])
    )
    found.guides = rows[:SHOWN]
    at = clock.now() if moment.is_now else moment.at
    _month(brand, moment, at, found)
    found.n_busy = _busy(brand, publish, at)
    found.held_until = held_until(brand, at)
    return found


def held_until(brand: Brand, at: datetime) -> datetime | None:
    """Until when quiet hours hold what is meant for `at`; None: they do not."""
    allowed = rules_of(brand)
    release = governance.release_at(at, allowed.quiet, allowed.zone)
    return release if release > at else None


def _busy(brand: Brand, staff_ids: Collection[int], at: datetime) -> int:
    most = policy_of(brand).guide_tasks_a_day
    if most is None or not staff_ids:
        return 0
    on = date.fromordinal(day_of(at, brand.timezone))
    return sum(n >= most for n, _people in guide_load.by_days(brand, staff_ids, on, on).values())


def _month(brand: Brand, moment: Moment, at: datetime, found: Reach) -> None:
    zone = governance.WECOM_ZONE
    first, last, _n = governance.allowance_period(date.fromordinal(day_of(at, zone)), "month")
    others = Moment.objects.filter(
        corp=moment.corp_id, at__gte=midnight(first, zone), at__lt=midnight(last + 1, zone)
    )
    idle = [Moment.State.DRAFT, Moment.State.APPROVAL, Moment.State.CANCELLED, Moment.State.FAILED]
    found.n_month = others.exclude(pk=moment.pk).exclude(state__in=idle).count()
