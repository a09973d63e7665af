"""Celery entries of content: readers who have ended are folded into events and figures."""

from content.services import visits
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@app.task(name="content.tasks.tick")
def tick() -> int:
    """Each minute: one `fold_read` for each active brand."""
    return len(list(each_brand(fold_read)))


@tenant_task(expires=55)
def fold_read(brand: Brand) -> None:
    """What was read since; nothing to do costs one look at an index."""
    while visits.fold_read(brand) == visits.SLICE:
        pass
