"""A graph in which people walk, told to tests/faults/agent.py: what is published, what the minutes do, what has come of it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from campaigns.governance import CapRule
from campaigns.models import (
    Alert,
    AlertMessage,
    Enrolment,
    Moment,
    NodeFlow,
    SopStep,
    StaffTask,
    Touch,
)
from campaigns.services import due
from campaigns.services.alerts import alert_rules, alerts
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.journeys import arrivals, entering, reacting, walking
from campaigns.services.moments import moment_handing
from campaigns.services.tasks import staff_task_notices
from campaigns.tasks import alert_brand, react_brand, staff_tasks_of_brand, tick_brand
from contacts.models import Contact, Identity
from org.access import RIGHTS, SYSTEM, Actor
from org.models import Staff
from org.services import keys
from scrm import clock
from scrm.redis import redis_client
from tenants.models import Brand
from tenants.scoping import tenant_scope
from wecom.models import OutboundCall
from wecom.services import outbound

WAIT_S = 60  # of the first wait; whoever is put in comes in so long ago, and is due from now on
BEFORE, THANKS, REMINDER = ("甲", "乙", "丙"), "谢谢", "还在吗"


def _graph() -> dict[str, Any]:
    """Wait a minute, branch, split, a message, a task, a moment, wait for the cart, one of two messages."""
    nodes: list[dict[str, Any]] = [
        {"id": "in", "kind": "entry", "by": "hand"},
        {"id": "minute", "kind": "wait", "mode": "for", "n": 1, "unit": "minutes"},
        {"id": "branch", "kind": "branch", "condition": {"kind": "gender", "values": ["male"]}},
        {"id": "split", "kind": "split", "shares": [{"key": "a", "percent": 50}, {"key": "b", "percent": 50}]},
        {"id": "jia", "kind": "touch", "text": BEFORE[0]},
        {"id": "yi", "kind": "touch", "text": BEFORE[1]},
        {"id": "bing", "kind": "touch", "text": BEFORE[2]},
        {"id": "task", "kind": "task", "task_kind": "call", "subject": "打个电话", "due_hours": 48},
        {"id": "moment", "kind": "moments", "text": "今日上新"},
        {"id": "cart", "kind": "wait", "mode": "event", "event": "carted", "n": 1, "unit": "hours"},
        {"id": "thanks", "kind": "touch", "text": THANKS},
        {"id": "again", "kind": "touch", "text": REMINDER},
        {"id": "end", "kind": "end"},
    ]  # fmt: skip
    ways = [
        ("in", "next", "minute"), ("minute", "next", "branch"), ("branch", "yes", "split"), ("branch", "no", "bing"),
        ("split", "a", "jia"), ("split", "b", "yi"), ("jia", "next", "task"), ("yi", "next", "task"),
        ("bing", "next", "task"), ("task", "next", "moment"), ("moment", "next", "cart"), ("cart", "next", "thanks"),
        ("cart", "timeout", "again"), ("thanks", "next", "end"), ("again", "next", "end"),
    ]  # fmt: skip
    edges = [{"from": start, "out": out, "to": to} for start, out, to in ways]
    return {"nodes": nodes, "edges": edges, "settings": {"late": "send", "reentry": "never"}}


def start_journey(*, brand_id: int) -> dict[str, Any]:
    """The graph, an alert for carts, and a key for the shop that tells of them; the contacts."""
    brand = Brand.objects.get(pk=brand_id)
    with tenant_scope(brand), transaction.atomic():
        policy.change_policy(brand, caps=[CapRule(1, 50)], by=SYSTEM)
        alert_rules.change_policy(brand, by=SYSTEM, quiet_start=None, quiet_end=None, per_hour=60)
        sop = graphs.create_graph_sop(brand, name="旅程", graph=_graph())
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
        rule = alert_rules.save(
            brand, {"name": "加购", "event": "carted", "filters": {}, "condition": {}}, by=SYSTEM
        )
        alert_rules.switch(brand, rule_id=rule.pk, on=True, by=SYSTEM)
        _key, secret = keys.create_key(
            brand, by=Actor("test", rights=frozenset(RIGHTS)), name="shop", rights=["behaviour.edit"]
        )
        return {
            "sop_id": sop.pk,
            "secret": secret,
            "contacts": list(Contact.objects.order_by("pk").values_list("pk", flat=True)),
        }


def put_in(*, brand_id: int, sop_id: int, apart_s: float) -> dict[int, float]:
    """Everybody comes in, one after the other, so that each is due a little later than the one before; {contact: the moment
    from which on a cart counts}."""
    brand = Brand.objects.get(pk=brand_id)
    with tenant_scope(brand), transaction.atomic():
        ids, first = (
            Contact.objects.order_by("pk").values_list("pk", flat=True),
            clock.now() - timedelta(seconds=WAIT_S),
        )
        people = [(pk, first + timedelta(seconds=n * apart_s)) for n, pk in enumerate(ids)]
        entering.enter(brand, sop_id=sop_id, people=people, source="page")
    # waits count whole seconds
    return {pk: int(at.timestamp()) + WAIT_S for pk, at in people}


def beat_journey(*, brand_id: int) -> None:
    """What beat starts for graphs, alerts and tasks."""
    for task in (tick_brand, react_brand, alert_brand, staff_tasks_of_brand):
        task.delay(brand_id=brand_id)


def later_journey(*, brand_id: int, seconds: int) -> dict[str, Any]:
    """What all that would do so many seconds from now, but for send tasks (agent.later_reach); what is still open."""
    brand, client = Brand.objects.get(pk=brand_id), redis_client()
    for pattern in ("*:flight", "turn:*"):  # what a killed process held runs out there in real time
        for key in client.scan_iter(pattern):
            client.delete(key)
    now = clock.now() + timedelta(seconds=seconds)
    with clock.at(now), tenant_scope(brand):
        reacting.react(brand)
        arrivals.run(brand)
        walking.run(brand, now)
        alerts.run(brand)
        staff_task_notices.tell_guides(brand)
        for _round in range(8):
            found = due.look()
            for moment_id in found.moments:
                moment_handing.move_on(brand, moment_id)
            outbound.deliver_many(brand, outbound.due(500))
            if not found.moments:
                break
    with tenant_scope(brand), transaction.atomic():
        return {
            "walking": Enrolment.objects.filter(ended_at=None).count(),
            "moments": Moment.objects.filter(state__in=["planned", "calling", "running"]).count(),
            "alerts": Alert.objects.filter(state=Alert.State.WAITING).count(),
            "notices": OutboundCall.objects.exclude(state__in=["done", "failed"]).count(),
        }


def at_the_cart(*, brand_id: int, walk: bool = False) -> list[int]:
    """Who waits for the cart by now.

    Args:
        walk: the minutes that are due come by before.
    """
    brand = Brand.objects.get(pk=brand_id)
    with tenant_scope(brand):
        if walk:
            walking.run(brand, clock.now())
        with transaction.atomic():
            rows = Enrolment.objects.filter(node="cart", ended_at=None)
            return list(rows.order_by("contact_id").values_list("contact_id", flat=True))


def outcome(*, brand_id: int, sop_id: int) -> dict[str, Any]:
    """Everything that has come of it, by our own records."""
    with tenant_scope(brand_id), transaction.atomic():
        nodes = dict(SopStep.objects.filter(sop=sop_id).values_list("pk", "text"))
        outside = dict(Identity.objects.filter(kind="external_userid").values_list("contact_id", "value"))
        flow: Counter[str] = Counter()
        for node, way, n in NodeFlow.objects.filter(sop_id=sop_id).values_list("node", "way", "n"):
            flow[f"{node}:{way}"] += n
        male = Contact.objects.filter(gender=1).values_list("pk", flat=True)
        notices = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE)
        return {
            "touches": [
                [outside[contact], contact, nodes[step], Touch.State(state).name, Touch.Reason(reason).name, at]
                for contact, step, state, reason, at in Touch.objects.filter(sop_id=sop_id).values_list(
                    "contact_id", "step_id", "state", "reason", "at"
                )
            ],
            "ends": dict(Counter(Enrolment.objects.values_list("end_kind", flat=True))),
            "flow": dict(flow),
            "male": list(male),
            "tasks": list(StaffTask.objects.filter(source="sop").values_list("contact_id", flat=True)),
            "moments": [
                [list(m.staff_ids), _day(m.at), m.state, m.moment_id] for m in Moment.objects.order_by("pk")
            ],
            "userids": dict(Staff.objects.values_list("pk", "userid")),
            "alerts": [list(row) for row in Alert.objects.values_list("contact_id", "state", "reason")],
            "messages": AlertMessage.objects.count(),
            "told": sum(AlertMessage.objects.values_list("n_alerts", flat=True)),
            "notices": [
                [row.payload["userid"], row.payload["url"], row.payload["text"], row.state]
                for row in notices.filter(key__contains=":alert:")
            ],
        }  # fmt: skip


def _day(at: datetime) -> str:
    return (at.astimezone(UTC) + timedelta(hours=8)).date().isoformat()


ACTS = [start_journey, put_in, beat_journey, later_journey, at_the_cart, outcome]
