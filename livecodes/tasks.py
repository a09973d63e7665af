"""Celery entries of channel codes: contact ways kept right, welcomes sent, orders that wait for a name."""

from datetime import datetime
from typing import Any

from django.db import transaction

from livecodes.models import ChannelCode
from livecodes.services import greeting, links, meeting, quota, upkeep, ways
from livecodes.services.warm import warm
from org.models import Corp
from scrm.celery import app
from scrm.redis import redis_client
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task
from wecom.errors import WeComUnavailable

REWRITE_EVERY_MS = 1000  # one code's list is rewritten no more often
WAITING_S = 60  # a rewrite that was asked for and never came is asked for again after this
UNWELCOMED_AFTER_S = (
    25  # WeCom's 20 seconds and some: then no other event of the arrival brings a code any more
)
WARM_EVERY_S = 3600
ROUNDS = 5  # changes that came while WeCom was called are followed so often in one task


@tenant_task
def push_code(brand: Brand, *, code_id: int) -> None:
    """Make WeCom's contact way agree with a code, its rotation included."""
    client = redis_client()
    client.delete(_waiting_key(brand, code_id))
    client.set(f"rewritten:{brand.pk}:{code_id}", 1, px=REWRITE_EVERY_MS)
    for _ in range(ROUNDS):
        if not ways.push(brand, code_id):
            return


def rotate_later(brand: Brand, code_id: int) -> None:
    """After the commit of an arrival: find whose turn is next. Many arrivals ask for one rewrite, at most
    each second."""

    def start() -> None:
        client = redis_client()
        if client.set(_waiting_key(brand, code_id), 1, nx=True, ex=WAITING_S):
            left_ms: Any = client.pttl(f"rewritten:{brand.pk}:{code_id}")  # below 0: long ago
            push_code.apply_async(
                kwargs={"brand_id": brand.pk, "code_id": code_id}, countdown=max(0, left_ms) / 1000
            )

    transaction.on_commit(start)


def _waiting_key(brand: Brand, code_id: int) -> str:
    return f"rotate:{brand.pk}:{code_id}"


@tenant_task(autoretry_for=(WeComUnavailable,), retry_backoff=5, retry_backoff_max=3600, max_retries=8)
def meet(brand: Brand, *, follow_id: int, code_id: int | None) -> None:
    """Learn the name of a new customer who cannot be welcomed, then put the remark that needs it."""
    meeting.meet(brand, follow_id=follow_id, code_id=code_id)


@tenant_task
def keep_profile(
    brand: Brand, *, follow_id: int, code_id: int | None, customer: dict[str, Any], read_at: str
) -> None:
    """Keep the profile that was read for a welcome: identities, remarks, tags; then the code's remark."""
    meeting.keep(
        brand,
        follow_id=follow_id,
        code_id=code_id,
        customer=customer,
        read_at=datetime.fromisoformat(read_at),
    )


@tenant_task
def note_unwelcomed(brand: Brand, *, follow_id: int, code_id: int | None, happened_at: str) -> None:
    """Write down that WeCom gave no welcome code, unless the other event of the same add brought one."""
    meeting.note_unwelcomed(
        brand, follow_id=follow_id, code_id=code_id, happened_at=datetime.fromisoformat(happened_at)
    )


@tenant_task
def warm_welcomes(brand: Brand) -> None:
    """Files of welcomes uploaded to WeCom, so that no customer waits for that."""
    warm(brand)


@tenant_task
def tick_brand(brand: Brand) -> None:
    """One brand's minute: hours that begin and end, leavers, retries, welcomes whose process died, files."""
    upkeep.mark_codes_of_leavers(brand)
    for code_id in upkeep.due_codes(brand):
        push_code.delay(brand_id=brand.pk, code_id=code_id)
    greeting.settle_lost(brand)
    for ids in meeting.unmet(brand):
        meet.delay(brand_id=brand.pk, **ids)
    for corp in quota.due(brand):
        read_quota.delay(brand_id=brand.pk, corp_id=corp.pk)
    if redis_client().set(f"warm:{brand.pk}", 1, nx=True, ex=WARM_EVERY_S):
        warm_welcomes.delay(brand_id=brand.pk)


@tenant_task
def read_quota(brand: Brand, *, corp_id: int) -> None:
    """What is left for new customers through links."""
    with transaction.atomic():
        corp = Corp.objects.get(pk=corp_id)
    quota.read(brand, corp)


@tenant_task
def read_links(brand: Brand) -> None:
    """Customers and figures of the brand's acquisition links."""
    with transaction.atomic():
        with_links = ChannelCode.objects.live().filter(kind=ChannelCode.Kind.LINK).values("corp")
        for corp in Corp.objects.filter(pk__in=with_links).order_by("pk"):
            links.start_sync(brand, corp=corp)


@app.task(name="livecodes.tasks.nightly_links")
def nightly_links() -> Any:
    return len(list(each_brand(read_links)))


@app.task(name="livecodes.tasks.tick")
def tick() -> Any:
    return len(list(each_brand(tick_brand)))
