"""Celery entries of tagging: a periodic one starts a task for each active brand."""

from contacts.services import stats
from scrm.celery import app
from tagging.services import bits_check
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@tenant_task(expires=6 * 3600)
def check_bits(brand: Brand) -> None:
    """Compare ContactStat and bitmaps of one brand with the truth and repair them."""
    stats.rebuild(brand)
    bits_check.check(brand)


@app.task(name="tagging.tasks.nightly_check")
def nightly_check() -> int:
    return len(list(each_brand(check_bits)))
