"""Celery entries of groups: who is in groups and becomes a customer is linked, and group codes are made in WeCom."""

from typing import Any

from groups.services import code_push, linking
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@tenant_task(expires=60)
def link_new(brand: Brand) -> None:
    linking.run(brand)
    code_push.push_due(brand)


@tenant_task()
def push_code(brand: Brand, *, code_id: int) -> None:
    code_push.push(brand, code_id)


@app.task(name="groups.tasks.tick")
def tick() -> Any:
    return len(list(each_brand(link_new)))
