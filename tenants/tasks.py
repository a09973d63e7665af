"""`tenant_task`: a Celery task of one brand; and the daily task that makes partitions."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from celery import shared_task

from scrm.celery import app
from tenants.db.statistics import has_owner
from tenants.models import Brand
from tenants.scoping import tenant_scope


def tenant_task(function: Callable | None = None, **options: Any) -> Any:
    """Make a task whose function takes the brand first; callers pass `brand_id=`.

    Opens the brand's scope, no transaction: the function opens short ones, and calls other services between them.
    A closed brand's task does nothing. Start it with `.delay_on_commit(brand_id=…, …)` from inside a transaction.
    """

    def decorate(inner: Callable) -> Any:
        @wraps(inner)
        def run(*, brand_id: int, **kwargs: Any) -> Any:
            brand = Brand.objects.filter(pk=brand_id).exclude(state=Brand.State.CLOSED).first()
            if brand is None:
                return None
            with tenant_scope(brand):
                return inner(brand, **kwargs)

        return shared_task(name=f"{inner.__module__}.{inner.__name__}", **options)(run)

    return decorate(function) if function else decorate


def active_brand_ids() -> list[int]:
    """Ids of the brands whose periodic work runs."""
    return list(Brand.objects.filter(state=Brand.State.ACTIVE).order_by("pk").values_list("pk", flat=True))


def each_brand(task: Any) -> Iterator[int]:
    """Start `task` once for each active brand."""
    for brand_id in active_brand_ids():
        task.delay(brand_id=brand_id)
        yield brand_id


@app.task(name="tenants.tasks.make_partitions")
def make_partitions() -> None:
    """Months ahead, daily, as the owner; a process without the owner's address leaves it to `manage.py partitions`."""
    from django.core.management import call_command

    if has_owner():
        call_command("partitions", verbosity=0)
