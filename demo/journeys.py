"""SOPs drawn on the canvas with people on their way: a fortnight is lived through with a clock of its own; one that ends
within minutes is lived through while somebody looks on.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from campaigns.models import Sop
from campaigns.services.graphs import graphs
from campaigns.services.journeys import walking
from campaigns.services.sops import enrolments
from contacts.models import ContactStat
from org.access import SYSTEM
from scrm import clock
from tenants.models import Brand

DAYS = 14
A_DAY = 12  # people who come in each day

MINUTES = "三分钟走完(画布)"
_FIRST = 30  # people who set out with the demo's start
# whoever adds a guide from now on comes in by themselves
_IN_MINUTES: dict[str, Any] = {
    "nodes": [
        {"id": "n1", "kind": "entry", "by": "event", "event": "added"},
        {"id": "n2", "kind": "touch", "title": "问候", "text": "我是{员工姓名}，先认识一下：想看的、想问的都可以找我。"},
        {"id": "n3", "kind": "wait", "mode": "for", "n": 1, "unit": "minutes"},
        {"id": "n4", "kind": "branch", "mode": "yes_no", "condition": {"kind": "last_order", "window": {"type": "never"}}},
        {"id": "n5", "kind": "task", "task_kind": "call", "subject": "问问想找什么", "note": "还没有下过单。"},
        {"id": "n6", "kind": "touch", "title": "老客", "text": "好久不见，我是{员工姓名}。上次买的还合用吗？"},
        {"id": "n7", "kind": "wait", "mode": "for", "n": 1, "unit": "minutes"},
        {"id": "n8", "kind": "touch", "title": "最后一条", "text": "本周到店报我的名字，有一份小礼。{员工姓名}"},
        {"id": "n9", "kind": "end"},
    ],
    "edges": [
        {"from": start, "out": out, "to": to}
        for start, out, to in (
            ("n1", "next", "n2"), ("n2", "next", "n3"), ("n3", "next", "n4"), ("n4", "yes", "n5"), ("n4", "no", "n6"),
            ("n5", "next", "n7"), ("n6", "next", "n7"), ("n7", "next", "n8"), ("n8", "next", "n9"),
        )
    ],
}  # fmt: skip


def in_minutes(brand: Brand) -> None:
    """An SOP whose last step comes within three minutes of its first; some people set out at once. Made once."""
    with transaction.atomic():
        if Sop.objects.filter(name=MINUTES).exists():
            return
        sop = graphs.create_graph_sop(brand, name=MINUTES, graph=_IN_MINUTES)
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM, note="两次各等一分钟")
        sop.refresh_from_db()
        stats = ContactStat.objects.filter(n_follows__gt=0, do_not_contact=False).order_by("-added_at", "pk")
        ids = list(stats.values_list("contact_id", flat=True)[400 : 400 + _FIRST])
    enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page")


def journeys(brand: Brand) -> None:
    """New friends through their first 30 days, first buyers on the way to the second order; made once."""
    _fill(brand, "new_friend", "新好友 30 天(画布)", "-added_at")
    _fill(brand, "second_purchase", "首单到复购(画布)", "-last_order_at", n_orders=1)


def _fill(brand: Brand, key: str, name: str, newest: str, **which: int) -> None:
    with transaction.atomic():
        if Sop.objects.filter(name=name).exists():
            return
        stats = ContactStat.objects.filter(n_follows__gt=0, do_not_contact=False, **which).exclude(
            **{f"{newest.removeprefix('-')}__isnull": True}
        )
        ids = list(stats.order_by(newest, "pk").values_list("contact_id", flat=True)[: DAYS * A_DAY])
    first = clock.now() - timedelta(days=DAYS)
    with clock.at(first), transaction.atomic():
        sop = graphs.create_from_template(brand, key=key, name=name)
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM, note="从模板开始")
        sop.refresh_from_db()
    for day in range(DAYS):
        _live(brand, sop, first + timedelta(days=day), ids[day * A_DAY : (day + 1) * A_DAY])
    with (
        transaction.atomic()
    ):  # what is being drawn differs from what runs, so that there is something to compare
        sop.refresh_from_db()
        graph = sop.draft or graphs.EMPTY
        for node in graph["nodes"]:
            if node["kind"] == "touch":
                node["text"] += " 本周到店另有小礼。"
                break
        graphs.save_draft(brand, sop_id=sop.pk, graph=graph, by=SYSTEM)


def _live(brand: Brand, sop: Sop, at: datetime, ids: list[int]) -> None:
    """One day: some people come in, and each hour whoever is due goes on."""
    with clock.at(at):
        enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page", at=at)
    for hour in range(0, 24, 3):
        moment = at + timedelta(hours=hour)
        with clock.at(moment):
            walking.run(brand, moment)
