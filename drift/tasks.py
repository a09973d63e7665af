"""Celery entries of the reconciliation."""

from drift.services import nightly
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@tenant_task(expires=240)
def tend_brand(brand: Brand) -> None:
    """Start what is due for one brand."""
    nightly.tend(brand)


@app.task(name="drift.tasks.tick")
def tick() -> int:
    """Start `tend_brand` for every active brand."""
    return len(list(each_brand(tend_brand)))
