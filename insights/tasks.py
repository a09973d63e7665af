"""Celery entries of insights: figures every fifteen seconds, health each minute, a task per active brand."""

from django.db import transaction

from insights.services import health, rollups
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task

TURN_S = 20.0


@tenant_task(expires=60)
def roll_up(brand: Brand) -> None:
    """Count new events of one brand."""
    rollups.run(brand, until=rollups.turn(TURN_S))


@tenant_task(expires=60)
def check_health(brand: Brand) -> None:
    with transaction.atomic():
        health.check(brand)


@app.task(name="insights.tasks.tick")
def tick() -> int:
    return len(list(each_brand(roll_up)))


@app.task(name="insights.tasks.health_tick")
def health_tick() -> int:
    return len(list(each_brand(check_health)))
