"""Celery entry of guides: each hour numbers to add are looked through."""

from typing import Any

from guides.services.leads import giving, matching
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@tenant_task(expires=3000)
def tick_brand(brand: Brand) -> None:
    """Who has appeared counts as added; what waits too long, or with somebody who has left, goes on. Nothing due costs
    three statements."""
    matching.sweep(brand)
    giving.move_on(brand)


@app.task(name="guides.tasks.tick")
def tick() -> Any:
    return len(list(each_brand(tick_brand)))
