"""Celery entries of contacts."""

from contacts.services import behaviour, ownerless, reminders
from contacts.services.identity import parting
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task


@app.task(name="contacts.tasks.purge_all_waiting")
def purge_all_waiting() -> None:
    """Nightly: one task for each brand."""
    list(each_brand(purge_waiting_behaviour))


@tenant_task
def purge_waiting_behaviour(brand: Brand) -> None:
    """Behaviour whose person has not appeared for half a year, and merges that cannot be taken back any more."""
    behaviour.purge_waiting(brand)
    parting.forget_old(brand)


@app.task(name="contacts.tasks.check_all_ownerless")
def check_all_ownerless() -> None:
    """Nightly: one task for each brand."""
    list(each_brand(check_ownerless))


@tenant_task(expires=6 * 3600)
def check_ownerless(brand: Brand) -> None:
    """Outside ids, relations and sums of contacts that do not exist."""
    ownerless.check(brand)


@app.task(name="contacts.tasks.tick")
def tick() -> None:
    """Each minute: one task for each brand."""
    list(each_brand(tell_due_reminders))


@tenant_task(expires=55)
def tell_due_reminders(brand: Brand) -> None:
    """Reminders whose moment has come go to their colleagues."""
    while reminders.tell_due(brand) == reminders.BATCH:
        pass
