"""Celery entries of products and orders."""

from commerce.services import waiting
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@app.task(name="commerce.tasks.attach_all_waiting")
def attach_all_waiting() -> None:
    """Nightly: one task for each brand."""
    list(each_brand(attach_waiting))


@tenant_task
def attach_waiting(brand: Brand) -> None:
    """Orders and refunds that came in at the same moment as what they wait for."""
    waiting.attach_all(brand)
