"""Celery entries of hand-overs: results asked for each minute where they are due, leavers read each night."""

from typing import Any

from django.db import transaction

from handover.models import HandoverRun
from handover.services import handing, leavers, results
from org.models import Corp
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@tenant_task(expires=55)
def tick_brand(brand: Brand) -> None:
    """Nothing due costs two index probes."""
    for run_id in handing.finish_cancelled(brand):
        recover.delay(brand_id=brand.pk, run_id=run_id)
    for share_id in results.due():
        poll.delay(brand_id=brand.pk, share_id=share_id)


@tenant_task
def poll(brand: Brand, *, share_id: int) -> None:
    """Ask WeCom what became of a share's customers."""
    results.poll(brand, share_id)


@tenant_task
def recover(brand: Brand, *, run_id: int) -> None:
    """Look for calls of a run that was cancelled while one was on its way."""
    with transaction.atomic():
        run = HandoverRun.objects.select_related("corp", "giver").get(pk=run_id)
    handing.recover(brand, run)


@tenant_task
def read_leavers(brand: Brand) -> None:
    with transaction.atomic():
        for corp in Corp.objects.order_by("pk"):
            leavers.start_reading(brand, corp=corp)


@app.task(name="handover.tasks.tick")
def tick() -> Any:
    return len(list(each_brand(tick_brand)))


@app.task(name="handover.tasks.nightly")
def nightly() -> Any:
    return len(list(each_brand(read_leavers)))
