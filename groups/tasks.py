"""Celery entries of groups: who is in groups and becomes a customer is linked, each half minute."""

from typing import Any

from groups.services import linking
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@tenant_task(expires=60)
def link_new(brand: Brand) -> None:
    linking.run(brand)


@app.task(name="groups.tasks.tick")
def tick() -> Any:
    return len(list(each_brand(link_new)))
