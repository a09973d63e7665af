"""SOPs drawn on the canvas with people on their way: a fortnight is lived through with a clock of its own."""

from datetime import datetime, timedelta

from django.db import transaction

from campaigns.models import Sop
from campaigns.services import enrolments, graphs
from campaigns.services.journeys import walking
from contacts.models import ContactStat
from org.access import SYSTEM
from scrm import clock
from tenants.models import Brand

DAYS = 14
A_DAY = 12  # people who come in each day


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
