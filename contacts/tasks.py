"""Celery entries of contacts."""

from django.db import transaction

from contacts.models import Follow
from contacts.services import behaviour, ownerless, profile, reminders
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task
from wecom.errors import WeComUnavailable


@tenant_task(autoretry_for=(WeComUnavailable,), retry_backoff=5, retry_backoff_max=3600, max_retries=8)
def fetch_profile(brand: Brand, *, follow_id: int) -> None:
    """After an adding: name, picture, unionid, remark and tags from WeCom; identities joined. Safe to
    repeat."""
    with transaction.atomic():
        follow = Follow.objects.select_related("corp").filter(pk=follow_id).first()
    if follow is not None:
        profile.fetch(brand, corp=follow.corp, external_userid=follow.external_userid)


@app.task(name="contacts.tasks.purge_all_waiting")
def purge_all_waiting() -> None:
    """Nightly: one task for each brand."""
    list(each_brand(purge_waiting_behaviour))


@tenant_task
def purge_waiting_behaviour(brand: Brand) -> None:
    """Behaviour whose person has not appeared for half a year."""
    behaviour.purge_waiting(brand)


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
