"""WeCom's own figures of members and of their groups, read each morning for yesterday, at first for 30 days; a
resumable job per corp. WeCom's days are Shanghai's, and a day's figures are there on the next one.

Source: developer.work.weixin.qq.com/document/path/92132, 92133
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Avg, Max, Sum
from django.utils.translation import gettext_lazy

from org.access import SYSTEM, Actor
from org.models import Corp, Job, Staff
from org.services import corp_jobs
from org.services.jobs import save_step
from scrm import clock
from tenants.models import Brand
from wecom.api import statistics as api
from wecom.client import WeComClient, client_for
from wecom.errors import WeComRejected
from wecom.models import StaffDay

log = logging.getLogger(__name__)

KIND = "staff_stats"
TITLE = gettext_lazy("WeCom's figures: %(name)s")
SHANGHAI = ZoneInfo("Asia/Shanghai")
DAYS = 30  # at first, and in one call
MEMBERS, OWNERS = 20, 100  # members of a step, each a call; owners of a call
# answers about one member, not about the app
MEMBER_CODES = frozenset({40003, 40031, 41054, 46004, 60011, 60021, 60111, 84074, 84083, 610004})


def start(brand: Brand, *, corp: Corp, by: Actor = SYSTEM) -> Job:
    """Start reading, in the caller's transaction; a reading that runs already is returned."""
    return corp_jobs.start(brand, kind=KIND, title=TITLE, corp=corp, by=by)


def yesterday() -> date:
    return clock.now().astimezone(SHANGHAI).date() - timedelta(days=1)


def step(brand: Brand, job: Job) -> bool:
    """Some members, or the groups of a hundred owners on a day; True: there is more."""
    corp = corp_jobs.corp_of(job)
    at = {"stage": "members", "after": 0, **job.position}
    people = Staff.objects.filter(corp=corp, pk__gt=at["after"]).exclude(userid="").order_by("pk")
    client, n = client_for(corp), MEMBERS if at["stage"] == "members" else OWNERS
    with transaction.atomic():
        rows = list(people.guides().only("pk", "userid")[:n])
        days = _days_of_groups(corp) if at["stage"] == "groups" else []
    if at["stage"] == "members":
        n_rows = _members(rows, client)
        at["after"] = rows[-1].pk if rows else 0
        at["stage"] = "members" if rows else "groups"
        more = True
    else:
        n_rows = sum(_groups(rows, day, client) for day in (at.get("days") or [d.isoformat() for d in days]))
        at["days"] = at.get("days") or [d.isoformat() for d in days]  # the same days for everybody
        at["after"], more = (rows[-1].pk, True) if rows else (0, False)
    with transaction.atomic():
        save_step(job, position=at, n_done=job.n_done + n_rows)
    return more


def _members(rows: Sequence[Staff], client: WeComClient) -> int:
    """Contact of some members with customers, from the day after the last known one."""
    last = yesterday()
    with transaction.atomic():
        known = StaffDay.objects.filter(staff__in=[s.pk for s in rows], n_chats__isnull=False).order_by()
        until = dict(known.values_list("staff").annotate(on=Max("on")))
    found: list[StaffDay] = []
    for staff in rows:
        since = max(last - timedelta(days=DAYS - 1), until.get(staff.pk, date.min) + timedelta(days=1))
        if since > last:
            continue
        try:
            days = api.contact_days(client, since=since, until=last, userids=[staff.userid])
        except WeComRejected as error:
            if error.errcode not in MEMBER_CODES:
                raise
            log.info("no figures of staff %s: %r", staff.pk, error)
            continue
        found += [_contact_day(staff, day) for day in days if day.get("stat_time")]
    return _save(found, CONTACT)


CONTACT = ("n_chats", "n_messages", "reply_ratio", "reply_minutes", "n_negative", "n_applied", "n_added")
GROUPS = (
    "n_groups", "n_groups_new", "n_groups_active", "n_members", "n_members_new", "n_members_active",
    "n_group_messages",
)  # fmt: skip


def _contact_day(staff: Staff, day: api.ContactDay) -> StaffDay:
    percent = day.get("reply_percentage")
    return StaffDay(
        staff_id=staff.pk,
        on=datetime.fromtimestamp(day["stat_time"], UTC).astimezone(SHANGHAI).date(),
        n_chats=day.get("chat_cnt", 0),
        n_messages=day.get("message_cnt", 0),
        reply_ratio=None if percent is None else percent / 100,
        reply_minutes=day.get("avg_reply_time"),
        n_negative=day.get("negative_feedback_cnt", 0),
        n_applied=day.get("new_apply_cnt", 0),
        n_added=day.get("new_contact_cnt", 0),
    )


def _days_of_groups(corp: Corp) -> list[date]:
    """Days whose groups are not known yet."""
    last = yesterday()
    known = StaffDay.objects.filter(staff__corp=corp, n_groups__isnull=False).aggregate(on=Max("on"))["on"]
    since = max(last - timedelta(days=DAYS - 1), (known or date.min) + timedelta(days=1))
    return [since + timedelta(days=n) for n in range((last - since).days + 1)]


def _groups(rows: Sequence[Staff], day: str, client: WeComClient) -> int:
    """Groups of some owners on a day. Who owns none is not listed."""
    if not rows:
        return 0
    on, ids = date.fromisoformat(day), {staff.userid: staff.pk for staff in rows}
    found = []
    try:
        figures = list(api.group_figures_by_owner(client, since=on, until=on, owner_userids=list(ids)))
    except WeComRejected as error:
        if error.errcode not in MEMBER_CODES:
            raise
        if len(rows) == 1:
            log.info("no figures of the groups of staff %s: %r", rows[0].pk, error)
            return 0
        half = len(rows) // 2  # one of them is refused: the others go on without
        return _groups(rows[:half], day, client) + _groups(rows[half:], day, client)
    for row in figures:
        staff_id, data = ids.get(str(row["owner"]).lower()), row["data"]
        if staff_id is None:
            continue
        found.append(
            StaffDay(
                staff_id=staff_id,
                on=on,
                n_groups=data.get("chat_total", 0),
                n_groups_new=data.get("new_chat_cnt", 0),
                n_groups_active=data.get("chat_has_msg", 0),
                n_members=data.get("member_total", 0),
                n_members_new=data.get("new_member_cnt", 0),
                n_members_active=data.get("member_has_msg", 0),
                n_group_messages=data.get("msg_total", 0),
            )
        )
    return _save(found, GROUPS)


@transaction.atomic
def _save(rows: Sequence[StaffDay], fields: Sequence[str]) -> int:
    StaffDay.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["brand", "staff", "on"],
        update_fields=list(fields),
        batch_size=1000,
    )
    return len(rows)


@dataclass(frozen=True)
class Figures:
    """A member's last thirty days; None where WeCom has told nothing."""

    until: date | None
    n_messages: int | None
    n_chats: int | None
    reply_ratio: float | None
    reply_minutes: float | None
    n_negative: int | None
    n_added: int | None
    n_group_messages: int | None


def figures(staff: Staff) -> Figures:
    """In the caller's transaction: one statement."""
    rows = StaffDay.objects.filter(staff=staff, on__gt=yesterday() - timedelta(days=DAYS))
    found: dict[str, Any] = rows.aggregate(
        until=Max("on"),
        n_messages=Sum("n_messages"),
        n_chats=Sum("n_chats"),
        reply_ratio=Avg("reply_ratio"),
        reply_minutes=Avg("reply_minutes"),
        n_negative=Sum("n_negative"),
        n_added=Sum("n_added"),
        n_group_messages=Sum("n_group_messages"),
    )
    return Figures(**found)
