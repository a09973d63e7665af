"""What guides and their managers are told of tasks: bundled, one message for a person, never at night.

A guide hears of new tasks, of those that were put off until now, of deadlines that come near and of sends that WeCom
waits for, at most once in `APART`; of what is put off and waits they hear nothing.
Managers hear once of each task that is not done in time. What was told is marked on the rows in the same transaction
as the notice is written down, so a killed worker tells nothing twice and forgets nothing.
"""

from collections import defaultdict
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from campaigns import governance
from campaigns.services.governance import rules
from campaigns.services.tasks import task_policy
from org.models import Staff
from org.services.managers import managers_of, those_who
from scrm import clock
from tenants.models import Brand
from wecom.services.notices import Notice, notify_many

SETTLE = timedelta(minutes=1)  # a job that gives tasks is let finish before its guides are told
BUNDLE = timedelta(hours=1)  # with a deadline that comes near, those that come near within this
APART = timedelta(minutes=30)
SENDS_AFTER = timedelta(hours=2)  # WeCom itself has told the guide of a send when it came
MOST = 500  # guides in one round; the next one comes in two minutes
SHOWN = 3  # titles in a message
LONG_AGO = timedelta(days=1)

_WHO = """
    SELECT DISTINCT w.staff_id FROM (
        SELECT staff_id FROM campaigns_stafftask
         WHERE brand_id = %(brand)s AND state = 'open' AND told_at IS NULL AND created_at <= %(settled)s
        UNION ALL
        SELECT staff_id FROM campaigns_stafftask
         WHERE brand_id = %(brand)s AND state = 'open' AND reminded_at IS NULL AND due_at <= %(soon)s
           AND (later_at IS NULL OR later_at <= %(now)s)
        UNION ALL
        SELECT staff_id FROM campaigns_stafftask
         WHERE brand_id = %(brand)s AND state = 'open' AND later_at <= %(now)s AND later_told_at IS NULL
        UNION ALL
        SELECT t.staff_id FROM campaigns_sendtask t
          LEFT JOIN campaigns_guidenotice n ON n.brand_id = %(brand)s AND n.staff_id = t.staff_id
         WHERE t.brand_id = %(brand)s AND t.state = 'handed' AND t.confirmed_at IS NULL AND t.cancelled_at IS NULL
           AND t.called_at <= %(sent)s AND t.called_at > coalesce(n.sends_told_until, '-infinity')
    ) w
      LEFT JOIN campaigns_guidenotice n ON n.brand_id = %(brand)s AND n.staff_id = w.staff_id
     WHERE n.at IS NULL OR n.at <= %(apart)s
     LIMIT %(most)s
"""
# the claim: two rounds at once tell a guide once. Sends are told up to a moment before which none is still being called:
# they are not handed over in the order in which they were planned
_CLAIM = """
    INSERT INTO campaigns_guidenotice AS n (brand_id, staff_id, at, sends_told_until)
    SELECT %(brand)s, w.id, %(now)s, (
             SELECT greatest(%(sent)s, least(%(settled)s, min(t.called_at) - interval '1 microsecond'))
               FROM campaigns_sendtask t
              WHERE t.brand_id = %(brand)s AND t.staff_id = w.id AND t.state = 'calling')
      FROM unnest(%(guides)s::bigint[]) AS w(id) ORDER BY w.id
    ON CONFLICT (brand_id, staff_id) DO UPDATE
       SET at = excluded.at, sends_told_until = greatest(n.sends_told_until, excluded.sends_told_until)
     WHERE n.at <= %(apart)s
    RETURNING staff_id
"""
_MARK = """
    UPDATE campaigns_stafftask
       SET told_at = coalesce(told_at, %(now)s),
           reminded_at = CASE WHEN due_at <= %(bundle)s THEN coalesce(reminded_at, %(now)s) ELSE reminded_at END,
           later_told_at = CASE WHEN later_at IS NULL THEN later_told_at ELSE coalesce(later_told_at, %(now)s) END
     WHERE brand_id = %(brand)s AND staff_id = ANY(%(guides)s::bigint[]) AND state = 'open'
       AND (later_at IS NULL OR later_at <= %(now)s)
       AND (told_at IS NULL OR (reminded_at IS NULL AND due_at <= %(bundle)s)
            OR (later_at IS NOT NULL AND later_told_at IS NULL))
"""
_SUMS = """
    SELECT staff_id, count(*) FILTER (WHERE told_at = %(now)s), count(*) FILTER (WHERE due_at <= %(now)s),
           count(*) FILTER (WHERE due_at > %(now)s AND due_at <= %(bundle)s),
           count(*) FILTER (WHERE later_told_at = %(now)s),
           (array_agg(title ORDER BY (later_told_at = %(now)s) IS TRUE DESC, due_at, id))[1:%(shown)s]
      FROM campaigns_stafftask
     WHERE brand_id = %(brand)s AND staff_id = ANY(%(guides)s::bigint[]) AND state = 'open'
       AND (later_at IS NULL OR later_at <= %(now)s)
     GROUP BY staff_id
"""
_SENDS = """
    SELECT staff_id, count(*) FROM campaigns_sendtask
     WHERE brand_id = %(brand)s AND staff_id = ANY(%(guides)s::bigint[]) AND state = 'handed'
       AND confirmed_at IS NULL AND cancelled_at IS NULL
     GROUP BY staff_id
"""


@transaction.atomic
def tell_guides(brand: Brand) -> int:
    """One message for each guide with something new or near; gives how many. Nothing to tell costs two statements."""
    now = clock.now()
    before = timedelta(hours=task_policy.policy_of(brand).remind_hours)
    given: dict[str, Any] = {
        "brand": brand.pk,
        "now": now,
        "settled": now - SETTLE,
        "soon": now + before,
        "bundle": now + before + BUNDLE,
        "sent": now - SENDS_AFTER,
        "apart": now - APART,
        "most": MOST,
        "shown": SHOWN,
    }
    with connection.cursor() as cursor:
        cursor.execute(_WHO, given)
        given["guides"] = [row[0] for row in cursor]
        if not given["guides"] or _is_night(brand):
            return 0
        cursor.execute(_CLAIM, given)
        given["guides"] = [row[0] for row in cursor]
        cursor.execute(_MARK, given)
        cursor.execute(_SUMS, given)
        sums = {row[0]: _Sums(*row[1:]) for row in cursor}
        cursor.execute(_SENDS, given)
        sends = dict(cursor.fetchall())
    guides = Staff.objects.select_related("corp").filter(pk__in=given["guides"]).order_by("pk")
    with override(settings.LANGUAGE_CODE):
        notices = [
            Notice(guide, f"tasks:{int(now.timestamp())}", text, "/g/")
            for guide in guides
            if (
                text := _words(
                    sums.get(guide.pk) or _Sums(0, 0, 0, 0, []), sends.get(guide.pk, 0), before + BUNDLE
                )
            )
        ]
    return notify_many(brand, notices)


class _Sums(NamedTuple):
    n_new: int
    n_late: int
    n_soon: int
    n_back: int
    titles: list[str]


def _words(sums: _Sums, n_sends: int, near: timedelta) -> str:
    parts = []
    if sums.n_new:
        parts.append(ngettext("%(n)s new task", "%(n)s new tasks", sums.n_new) % {"n": sums.n_new})
    if sums.n_back:
        parts.append(_("%(n)s put off until now") % {"n": sums.n_back})
    if sums.n_soon:
        parts.append(_("%(n)s due within %(hours)s hours") % {"n": sums.n_soon, "hours": _hours(near)})
    if sums.n_late:
        parts.append(_("%(n)s overdue") % {"n": sums.n_late})
    if n_sends:
        parts.append(ngettext("%(n)s send to confirm", "%(n)s sends to confirm", n_sends) % {"n": n_sends})
    return (
        "\n".join([_("Your tasks: %(what)s") % {"what": _(", ").join(parts)}, *sums.titles]) if parts else ""
    )


def _hours(span: timedelta) -> int:
    return int(span.total_seconds() // 3600)


def _is_night(brand: Brand) -> bool:
    allowed = rules.rules_of(brand)
    return governance.is_quiet(clock.now(), allowed.quiet, allowed.zone)


# ---- managers

_LATE_SENDS = """
    SELECT t.staff_id, count(*), max(t.called_at) FROM campaigns_sendtask t
      LEFT JOIN campaigns_guidenotice n ON n.brand_id = %(brand)s AND n.staff_id = t.staff_id
     WHERE t.brand_id = %(brand)s AND t.state = 'handed' AND t.confirmed_at IS NULL AND t.cancelled_at IS NULL
       AND t.called_at <= %(sent)s AND t.called_at > coalesce(n.sends_escalated_until, '-infinity')
     GROUP BY t.staff_id
"""
_MARK_SENDS = """
    INSERT INTO campaigns_guidenotice AS n (brand_id, staff_id, at, sends_escalated_until)
    SELECT %s, r.staff_id, %s, r.last_at FROM unnest(%s::bigint[], %s::timestamptz[]) AS r(staff_id, last_at) ORDER BY 2
    ON CONFLICT (brand_id, staff_id) DO UPDATE
       SET sends_escalated_until = greatest(n.sends_escalated_until, excluded.sends_escalated_until)
"""


@transaction.atomic
def escalate(brand: Brand) -> int:
    """Managers hear of what their guides have not done in time, each thing once; gives how many were told."""
    now = clock.now()
    policy = task_policy.policy_of(brand)
    given: dict[str, Any] = {
        "brand": brand.pk,
        "now": now,
        "late": now - timedelta(hours=policy.escalate_hours),
        "sent": now - timedelta(hours=policy.send_hours),
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM campaigns_stafftask WHERE brand_id = %(brand)s AND state = 'open'"
            " AND escalated_at IS NULL AND due_at <= %(late)s)",
            given,
        )
        some = cursor.fetchone()[0]
        cursor.execute(_LATE_SENDS, given)
        sends = {row[0]: (row[1], row[2]) for row in cursor}
        if not (some or sends) or _is_night(brand):
            return 0
        cursor.execute(
            "UPDATE campaigns_stafftask SET escalated_at = %(now)s WHERE brand_id = %(brand)s AND state = 'open'"
            " AND escalated_at IS NULL AND due_at <= %(late)s RETURNING staff_id",
            given,
        )
        tasks: dict[int, int] = defaultdict(int)
        for (staff_id,) in cursor:
            tasks[staff_id] += 1
        ids = sorted(sends)
        cursor.execute(_MARK_SENDS, [brand.pk, now - LONG_AGO, ids, [sends[i][1] for i in ids]])
    guides = list(Staff.objects.filter(pk__in={*tasks, *sends}).order_by("name", "pk"))
    by_manager: dict[int, list[Staff]] = defaultdict(list)
    people: dict[int, Staff] = {}
    managers = managers_of(guides)
    alone = {guide.corp_id for guide in guides if not managers[guide.pk]}
    others = those_who("tasks.edit", alone) if alone else {}
    for guide in guides:
        for manager in managers[guide.pk] or others.get(guide.corp_id, []):
            if manager.pk != guide.pk:
                people[manager.pk] = manager
                by_manager[manager.pk].append(guide)
    with override(settings.LANGUAGE_CODE):
        notices = [
            Notice(
                people[pk],
                f"tasks:late:{int(now.timestamp())}",
                _manager_words(theirs, tasks, {i: n for i, (n, _last) in sends.items()}),
                "/tasks/guides/",
            )
            for pk, theirs in sorted(by_manager.items())
        ]
    return notify_many(brand, notices)


def _manager_words(guides: list[Staff], tasks: dict[int, int], sends: dict[int, int]) -> str:
    lines = [_("Not done in time: %(n)s of your guides") % {"n": len(guides)}]
    for guide in guides[:8]:
        parts = []
        if n := tasks.get(guide.pk, 0):
            parts.append(ngettext("%(n)s task", "%(n)s tasks", n) % {"n": n})
        if n := sends.get(guide.pk, 0):
            parts.append(ngettext("%(n)s send to confirm", "%(n)s sends to confirm", n) % {"n": n})
        lines.append(f"{guide.name}: {_(', ').join(parts)}")
    return "\n".join(lines)
