"""获客助手: who came through a link and whether they have written, WeCom's daily figures; read each night and by
hand, as a resumable job. And WeCom's events of links.

A customer who opened a link without our channel has no `state`; WeCom's list tells that they came through it.

Source: developer.work.weixin.qq.com/document/path/97298, 97375, 97299
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Count, Q, Sum
from django.utils.translation import gettext_lazy

from contacts.services import stats
from livecodes.models import ChannelCode, LinkCustomer, LinkDay
from livecodes.services import ways
from livecodes.services.doors import GONE, NO_LINK, door_of
from org import audit
from org.access import SYSTEM, Actor
from org.models import Corp, Job, Staff
from org.services import corp_jobs
from org.services.jobs import save_step
from scrm import clock
from tenants.models import Brand
from wecom.api import acquisition
from wecom.client import WeComClient, client_for
from wecom.errors import WeComRejected
from wecom.models import CallbackEvent

KIND = "link_sync"
TITLE = gettext_lazy("Acquisition links: %(name)s")
DAYS = 30  # of figures read at first, and shown
DAYS_A_STEP = 10
SHANGHAI = ZoneInfo("Asia/Shanghai")  # WeCom's days

_SAVE = """
    INSERT INTO livecodes_linkcustomer AS l (brand_id, code_id, staff_id, external_userid, state, chat, seen_at)
    SELECT DISTINCT ON (x.external, s.id) %(brand)s, %(code)s, s.id, x.external, x.state, x.chat, %(now)s
      FROM unnest(%(userids)s::text[], %(externals)s::text[], %(states)s::text[], %(chats)s::smallint[])
           AS x(userid, external, state, chat)
      JOIN org_staff s ON s.brand_id = %(brand)s AND s.corp_id = %(corp)s AND s.userid = x.userid
     ORDER BY x.external, s.id
    ON CONFLICT (brand_id, code_id, external_userid, staff_id) DO UPDATE
       SET chat = CASE WHEN excluded.chat = 2 THEN l.chat ELSE greatest(excluded.chat, nullif(l.chat, 2), 0) END,
           state = excluded.state, seen_at = excluded.seen_at
"""
# who came without our channel is of this link all the same
_CLAIM = """
    UPDATE contacts_follow f SET channel_code_id = %(code)s
      FROM org_staff s, unnest(%(userids)s::text[], %(externals)s::text[]) AS x(userid, external)
     WHERE s.brand_id = %(brand)s AND s.corp_id = %(corp)s AND s.userid = x.userid
       AND f.brand_id = %(brand)s AND f.staff_id = s.id AND f.external_userid = x.external
       AND f.channel_code_id IS NULL AND f.state = ''
    RETURNING f.contact_id
"""


def start_sync(brand: Brand, *, corp: Corp, by: Actor = SYSTEM) -> Job:
    """Start reading customers and figures of a corp's links, in the caller's transaction."""
    if by is not SYSTEM:
        audit.record(by, "links.sync", corp)
    return corp_jobs.start(brand, kind=KIND, title=TITLE, corp=corp, by=by)


def read_all(brand: Brand, *, by: Actor) -> None:
    """Ask WeCom for balance, customers and figures of all corps' links, after the caller's commit."""
    from livecodes.tasks import read_quota

    for corp in Corp.objects.order_by("pk"):
        read_quota.delay_on_commit(brand_id=brand.pk, corp_id=corp.pk)
        start_sync(brand, corp=corp, by=by)


def step(brand: Brand, job: Job) -> bool:
    """A page of a link's customers, or some days of its figures; True: there is more."""
    corp = corp_jobs.corp_of(job)
    at = {"after": 0, "cursor": "", "done": False, **job.position}
    with transaction.atomic():
        links = ChannelCode.objects.live().filter(kind=ChannelCode.Kind.LINK, corp=corp).exclude(config_id="")
        code = links.filter(pk__gt=at["after"]).order_by("pk").first()
        n_total = job.n_total or links.count()
    if code is None:
        return False
    client = client_for(corp)
    try:
        more = _days(code, client) if at["done"] else _customers(brand, corp, code, client, at)
    except WeComRejected as error:
        if error.errcode not in (NO_LINK, GONE):
            raise
        more = False
        at["done"] = True  # gone: check_ways and WeCom's event say so on its page
    if not more and not at["done"]:
        at |= {"done": True, "cursor": ""}
    elif not more:
        at = {"after": code.pk, "cursor": "", "done": False}
    with transaction.atomic():
        n_done = job.n_done + (at["after"] == code.pk)
        save_step(job, position=at, stage=code.name[:60], n_total=n_total, n_done=n_done)
    return True


def _customers(brand: Brand, corp: Corp, code: ChannelCode, client: WeComClient, at: dict[str, Any]) -> bool:
    page = acquisition.link_customers(client, code.config_id, at["cursor"])
    with transaction.atomic():
        save_customers(brand, corp, code, page["customer_list"])
    at["cursor"] = page["next_cursor"]
    return bool(at["cursor"])


def save_customers(
    brand: Brand, corp: Corp, code: ChannelCode, rows: Iterable[acquisition.LinkCustomer]
) -> None:
    """Write WeCom's list down, set-based, in the caller's transaction; relations without a channel get this one."""
    rows = [row for row in rows if row.get("external_userid") and row.get("userid")]
    given: dict[str, Any] = {
        "brand": brand.pk,
        "corp": corp.pk,
        "code": code.pk,
        "now": clock.now(),
        "userids": [row["userid"].lower()[:64] for row in rows],
        "externals": [row["external_userid"][:64] for row in rows],
        "states": [str(row.get("state") or "")[:64] for row in rows],
        "chats": [int(row.get("chat_status", 2)) if row.get("chat_status") in (0, 1) else 2 for row in rows],
    }
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, given)
        cursor.execute(_CLAIM, given)
        contact_ids = [row[0] for row in cursor.fetchall()]
    stats.refresh(brand, contact_ids)


def _days(code: ChannelCode, client: WeComClient) -> bool:
    """Some of the days that are not known yet, and yesterday again; a day's figures are there on the next."""
    today = clock.now().astimezone(SHANGHAI).date()
    first = max(today - timedelta(days=DAYS), code.created_at.astimezone(SHANGHAI).date())
    with transaction.atomic():
        known = set(LinkDay.objects.filter(code=code, on__gte=first).values_list("on", flat=True))
    days = [first + timedelta(days=n) for n in range((today - first).days)]
    todo = [day for day in days if day not in known][:DAYS_A_STEP]
    found = [(day, acquisition.link_figures(client, code.config_id, since=day, until=day)) for day in todo]
    with transaction.atomic():
        LinkDay.objects.bulk_create(
            [
                LinkDay(
                    code=code, on=day, n_clicks=row["click_link_customer_cnt"], n_new=row["new_customer_cnt"]
                )
                for day, row in found
            ],
            update_conflicts=True,
            unique_fields=["brand", "code", "on"],
            update_fields=["n_clicks", "n_new"],
        )
    return len(todo) == DAYS_A_STEP


def figures(code_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Code id → {clicks, new (of WeCom, 30 days), listed, wrote}: two statements."""
    ids, since = list(code_ids), clock.now().astimezone(SHANGHAI).date() - timedelta(days=DAYS)
    found = {pk: {"clicks": 0, "new": 0, "listed": 0, "wrote": 0} for pk in ids}
    days = LinkDay.objects.filter(code__in=ids, on__gte=since).order_by().values_list("code")
    for pk, clicks, new in days.annotate(c=Sum("n_clicks"), n=Sum("n_new")):
        found[pk] |= {"clicks": clicks, "new": new}
    rows = LinkCustomer.objects.filter(code__in=ids).order_by().values_list("code")
    for pk, listed, wrote in rows.annotate(
        n=Count("pk"), w=Count("pk", filter=Q(chat=LinkCustomer.Chat.WROTE))
    ):
        found[pk] |= {"listed": listed, "wrote": wrote}
    return found


def by_day(code: ChannelCode) -> list[tuple[date, int, int]]:
    """(day, clicks, new customers) as WeCom counted, oldest first; days that are not known are left out."""
    since = clock.now().astimezone(SHANGHAI).date() - timedelta(days=DAYS)
    rows = LinkDay.objects.filter(code=code, on__gte=since).order_by("on")
    return list(rows.values_list("on", "n_clicks", "n_new"))


# ---- events


def on_link_trouble(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """customer_acquisition link_unavailable, delete_link: WeCom is asked whether the link is still there."""
    with transaction.atomic():
        code = (
            ChannelCode.objects.live()
            .select_related("corp")
            .filter(corp=corp, kind=ChannelCode.Kind.LINK, config_id=str(payload.get("LinkId") or "-"))
            .first()
        )
    if code is None:
        return
    problem = ways.UNAVAILABLE
    try:
        door_of(code).read(client_for(corp), code.config_id)
    except WeComRejected as error:
        if error.errcode != GONE:
            raise
        problem = ways.GONE
    if event.change_type == "delete_link" and problem != ways.GONE:
        return  # WeCom still has it: nothing has happened
    with transaction.atomic():
        ChannelCode.objects.filter(pk=code.pk, config_id=code.config_id).update(
            sync_state=ChannelCode.Sync.FAILED,
            sync_error=problem,
            # perhaps its guides are the reason: they are told to WeCom once more
            due_at=None if problem == ways.GONE else clock.now() + timedelta(hours=1),
        )


@transaction.atomic
def on_customer_wrote(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """customer_acquisition customer_start_chat: the customer has written for the first time."""
    staff = Staff.objects.filter(corp=corp, userid=str(payload.get("UserID") or "").lower()).first()
    external = str(payload.get("ExternalUserID") or "")
    if staff is not None and external:
        rows = LinkCustomer.objects.filter(staff=staff, external_userid=external)
        rows.update(chat=LinkCustomer.Chat.WROTE)
