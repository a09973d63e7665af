"""Celery entry of imports and exports: files that have lain long enough are deleted, nightly."""

from datafiles.services import places, purge
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@app.task(name="datafiles.tasks.purge_all_files")
def purge_all_files() -> None:
    """One task for each brand; and what uploads that broke off have left of any."""
    places.sweep_uploads()
    list(each_brand(purge_files))


@tenant_task
def purge_files(brand: Brand) -> None:
    purge.purge(brand)
