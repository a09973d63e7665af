"""Celery entries of org: long jobs and their sweep; rights of preset roles."""

import time
from typing import Any

from org.services import jobs, roles
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task

TURN_S = 20.0  # after so long a job lets others in, so that one brand's sync does not hold the queue


@tenant_task
def run_job(brand: Brand, *, job_id: int) -> None:
    """Run one turn of a job."""
    deadline = time.monotonic() + TURN_S
    jobs.run(brand, job_id, until=lambda: time.monotonic() > deadline)


@tenant_task
def sweep_brand_jobs(brand: Brand) -> None:
    for job_id in jobs.stranded(brand):
        run_job.delay(brand_id=brand.pk, job_id=job_id)


@app.task(name="org.tasks.sweep_jobs")
def sweep_jobs() -> Any:
    return len(list(each_brand(sweep_brand_jobs)))


@tenant_task
def keep_preset_roles(brand: Brand) -> None:
    roles.add_new_rights(brand)


@app.task(name="org.tasks.keep_all_preset_roles")
def keep_all_preset_roles() -> Any:
    return len(list(each_brand(keep_preset_roles)))
