"""Broadcasts of the demo: one that is over, with what customers did after it, and one that runs with two contents compared."""

from datetime import timedelta

from django.db import connection, transaction

from campaigns.models import Broadcast, SendTask, Touch
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.ledger import marks, touches
from contacts.models import Contact
from contacts.services import outbox
from org.access import SYSTEM
from scrm import clock
from tenants.models import Brand

OVER = timedelta(days=9)
N_OVER, N_RUNNING = 3_000, 600
_OPEN = """
    UPDATE campaigns_touch SET opened_at = done_at + interval '1 minute' * (5 + contact_id %% 400)
     WHERE brand_id = %s AND at = %s AND id BETWEEN %s AND %s AND send_task_id = %s AND state = %s
       AND contact_id %% 100 < %s
"""


def send(brand: Brand) -> None:
    """Both of them; a second start sends nothing twice."""
    with transaction.atomic():
        if Broadcast.objects.exists():
            return
        people = Contact.objects.filter(n_follows__gt=0, do_not_contact=False).order_by("-added_at")
        ids = list(people.values_list("pk", flat=True)[: N_OVER + N_RUNNING])
    _over(brand, ids[N_RUNNING:])
    _running(brand, ids[:N_RUNNING])


def _over(brand: Brand, ids: list[int]) -> None:
    then = clock.now() - OVER
    contents = [
        VariantInput("{员工姓名}：入秋的第一批香氛到店了，老朋友先选，回复「1」我帮你留。"),
        VariantInput("天凉了，家里点一支香刚刚好。{门店|门店}上了六款新香，来闻闻？"),
    ]
    given = BroadcastInput("秋香上新", {"contacts": ids}, contents, hold_out_percent=5)
    with transaction.atomic(), clock.at(then):
        draft = broadcasts.save_draft(brand, given, by=SYSTEM)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=SYSTEM)
        waves.run_due(brand)  # before the commit: whoever plans after it would do so now, not then
    delivered = then + timedelta(minutes=40)
    with transaction.atomic():
        outbox.begin_here(brand, marks.READER)
        for n, task in enumerate(SendTask.objects.filter(broadcast=draft).order_by("pk")):
            if n % 7 == 5:  # a guide who never confirmed
                end, values = (
                    Touch.State.CANCELLED,
                    {"state": "cancelled", "cancelled_at": then + timedelta(days=2)},
                )
            else:
                end, values = Touch.State.DELIVERED, {"state": "final", "confirmed_at": delivered}
            done = touches.settle(brand, send_task_id=task.pk, at=task.at, state=end, done_at=delivered)
            n_sent = len(done) if end == Touch.State.DELIVERED else 0
            SendTask.objects.filter(pk=task.pk).update(called_at=then, n_sent=n_sent, **values)
            if n_sent:
                share = 31 if task.variant_id == draft.variants.order_by("letter")[1].pk else 22
                _open(brand, task, share)
                marks.look_back(brand, [contact_id for _touch_id, contact_id in done], delivered)
        Broadcast.objects.filter(pk=draft.pk).update(
            state=Broadcast.State.DONE, ended_at=then + timedelta(days=2)
        )


def _open(brand: Brand, task: SendTask, share: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _OPEN,
            [
                brand.pk,
                task.at,
                task.touch_first,
                task.touch_last,
                task.pk,
                int(Touch.State.DELIVERED),
                share,
            ],
        )
        SendTask.objects.filter(pk=task.pk).update(n_opened=cursor.rowcount)


def _running(brand: Brand, ids: list[int]) -> None:
    contents = [
        VariantInput("{员工姓名}提醒你：会员日本周六开始，满 299 减 60。"),
        VariantInput("会员日的清单我先看过了，适合你的有三样，想先看看吗？——{员工姓名}"),
    ]
    rule = {
        "goal": "bought",
        "hours": 48,
        "least": 100,
        "confidence": 95,
        "percent": 50,
        "auto": True,
        "wait_hours": 96,
    }
    given = BroadcastInput("会员日预告", {"contacts": ids}, contents, priority=7, test=rule)
    with transaction.atomic():
        draft = broadcasts.save_draft(brand, given, by=SYSTEM)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=SYSTEM)
