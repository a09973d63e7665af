"""Members who have left, and their customers and groups that wait for somebody: WeCom's list, mirrored by a
resumable job; started when a member is deleted, each night, and by hand.

Source: developer.work.weixin.qq.com/document/path/92124
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Min
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from groups.models import GroupChat
from groups.services.listing import OWNER_LEFT
from handover.models import HandoverItem, Unassigned
from org import audit
from org.access import SYSTEM, Actor
from org.models import Corp, Job, Staff
from org.services import corp_jobs
from org.services.jobs import save_step
from scrm import clock
from tenants.models import Brand
from wecom.api import transfers as api
from wecom.client import client_for
from wecom.models import CallbackEvent
from wecom.services import staff_sync

KIND = "leavers"
TITLE = gettext_lazy("Customers of members who left: %(name)s")
PAGES = 5  # of 1000, in a step
YEAR = timedelta(days=365)  # so long WeCom lets groups, and as far as is known customers, be handed over

_MEMBERS = """
    INSERT INTO org_staff (brand_id, corp_id, userid, name, department_ids, position, avatar, leader_userid, is_guide,
                           state, created_at)
    SELECT DISTINCT %s, %s, u.userid, u.userid, '{}'::bigint[], '', '', '', false, 'left', %s::timestamptz
      FROM unnest(%s::text[]) AS u(userid)
    ON CONFLICT (brand_id, corp_id, userid) WHERE NOT userid = '' DO NOTHING
"""
_SAVE = """
    INSERT INTO handover_unassigned (brand_id, corp_id, staff_id, external_userid, left_at, seen_in)
    SELECT DISTINCT ON (s.id, x.external) %s, %s, s.id, x.external, x.left_at, %s
      FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS x(userid, external, left_at)
      JOIN org_staff s ON s.brand_id = %s AND s.corp_id = %s AND s.userid = x.userid
     ORDER BY s.id, x.external
    ON CONFLICT (brand_id, staff_id, external_userid) DO UPDATE
       SET seen_in = excluded.seen_in, left_at = excluded.left_at
"""


@dataclass(frozen=True)
class Leaver:
    """Somebody who has left, with what still waits."""

    staff: Staff
    left_at: datetime | None
    n_customers: int  # not handed over, and in no run
    n_running: int  # on their way to somebody
    n_groups: int

    @property
    def ends_at(self) -> datetime | None:
        """After this WeCom does not hand over any more."""
        return self.left_at + YEAR if self.left_at else None


def start_reading(brand: Brand, *, corp: Corp, by: Actor = SYSTEM) -> Job:
    """Read WeCom's list anew, in the caller's transaction; a reading that runs already is returned."""
    if by is not SYSTEM:
        audit.record(by, "handover.read_leavers", corp)
    return corp_jobs.start(brand, kind=KIND, title=TITLE, corp=corp, by=by)


def step(brand: Brand, job: Job) -> bool:
    """Some pages of the list; True: there is more."""
    corp = corp_jobs.corp_of(job)
    client, cursor = client_for(corp), str(job.position.get("cursor") or "")
    rows: list[api.Unassigned] = []
    for _page in range(PAGES):
        page = api.unassigned_page(client, cursor)
        rows += page["info"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    with transaction.atomic():
        _save(brand, corp, rows, job.pk)
        result = dict(job.result)
        if not cursor:
            gone = Unassigned.objects.filter(corp=corp).exclude(seen_in=job.pk)
            result["gone"] = gone.delete()[0]
        n_done = job.n_done + len(rows)
        save_step(job, position={"cursor": cursor}, n_done=n_done, stage=_("Customers"), result=result)
    return bool(cursor)


def _save(brand: Brand, corp: Corp, rows: Sequence[api.Unassigned], job_id: int) -> None:
    now = clock.now()
    found: list[tuple[str, str, datetime]] = []
    for row in rows:
        userid = str(row.get("handover_userid") or "").lower()[:64]
        external = str(row.get("external_userid") or "")[:64]
        if userid and external:
            left_at = row.get("dimission_time")
            found.append((userid, external, datetime.fromtimestamp(left_at, UTC) if left_at else now))
    if not found:
        return
    userids = [row[0] for row in found]
    with connection.cursor() as cursor:
        # somebody who had left before our first sync
        cursor.execute(_MEMBERS, [brand.pk, corp.pk, now, userids])
        cursor.execute(
            _SAVE,
            [
                brand.pk,
                corp.pk,
                job_id,
                userids,
                [row[1] for row in found],
                [row[2] for row in found],
                brand.pk,
                corp.pk,
            ],
        )


def leavers(staff_ids: Any = None) -> list[Leaver]:
    """Everybody who has left and still has customers or groups, most customers first.

    Args:
        staff_ids: a query or list that limits whom; None: all of the brand.
    """
    people = Staff.objects.filter(state=Staff.State.LEFT).exclude(userid="")
    if staff_ids is not None:
        people = people.filter(pk__in=staff_ids)
    waiting: dict[int, dict[str, Any]] = {
        row["staff"]: dict(row)
        for row in Unassigned.objects.order_by().values("staff").annotate(n=Count("pk"), left=Min("left_at"))
    }
    live = HandoverItem.objects.filter(kind=HandoverItem.Kind.CUSTOMER, state__in=HandoverItem.LIVE)
    running = dict(live.order_by().values_list("giver").annotate(n=Count("pk")))
    chats = GroupChat.objects.live().filter(OWNER_LEFT).exclude(owner=None).order_by()
    groups = dict(chats.values_list("owner").annotate(n=Count("pk")))
    found = []
    for staff in people.filter(pk__in={*waiting, *groups}).select_related("store"):
        row = waiting.get(staff.pk, {"n": 0, "left": None})
        n_running = running.get(staff.pk, 0)
        n_free = max(0, row["n"] - n_running)
        if n_free or n_running or groups.get(staff.pk):
            found.append(Leaver(staff, row["left"], n_free, n_running, groups.get(staff.pk, 0)))
    return sorted(found, key=lambda one: (-one.n_customers, -one.n_groups, one.staff.pk))


def on_member_deleted(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """change_contact delete_user: the member has left; who of their customers waits is read at once."""
    staff_sync.on_member_deleted(brand, corp, payload, event)
    userid = str(payload.get("UserID") or "").lower()
    with transaction.atomic():
        if Staff.objects.filter(corp=corp, userid=userid, state=Staff.State.LEFT).exists():
            start_reading(brand, corp=corp)
