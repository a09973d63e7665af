"""How a brand is doing: what needs attention on its overview, and the row that the platform owner sees."""

from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Max, Min, Q

from campaigns.models import SendTask
from insights.services.figures import keep_totals, totals
from livecodes.models import ChannelCode
from org.models import Corp, Job
from org.services.people import n_logins
from scrm import clock
from tenants.models import Brand, BrandHealth
from wecom.models import CallbackEvent, OutboundCall

RECENT = timedelta(days=7)
LATE_S = 60  # an event that waits longer is a problem worth showing
LIFE_S = 300

# what → right that its page needs; in the order of urgency
ATTENTION_RIGHTS = {
    "corp_checks": "corps.edit",
    "inbox_late": "sync.view",
    "inbox_dead": "sync.view",
    "outbound_failed": "sync.view",
    "codes_failed": "codes.view",
    "sends_failed": "sops.view",
    "jobs_failed": "sync.view",
    "contact_quota": "brand.edit",
    "contact_quota_near": "brand.edit",
}
# of these the platform's owner hears as well
PROBLEMS = ("corp_checks", "inbox_late", "inbox_dead", "contact_quota", "contact_quota_near")
NEAR = 0.9  # of a quota: time to talk about it. Nobody who arrives is ever turned away


def count_attention(brand: Brand) -> dict[str, int]:
    """What needs a person, by the words of ATTENTION_RIGHTS; zeros included."""
    now = clock.now()
    waiting = CallbackEvent.objects.filter(state__in=[CallbackEvent.State.NEW, CallbackEvent.State.RETRY])
    return {
        "corp_checks": sum(has_failed_check(corp) for corp in Corp.objects.only("checks")),
        "inbox_late": waiting.filter(received_at__lt=now - timedelta(seconds=LATE_S)).count(),
        "inbox_dead": CallbackEvent.objects.filter(state=CallbackEvent.State.DEAD).count(),
        "outbound_failed": OutboundCall.objects.filter(
            state=OutboundCall.State.FAILED, created_at__gte=now - RECENT
        ).count(),
        "codes_failed": ChannelCode.objects.live().filter(sync_state=ChannelCode.Sync.FAILED).count(),
        # of nobody: everybody was held back, which is no fault
        "sends_failed": SendTask.objects.filter(
            state=SendTask.State.FAILED, n__gt=0, at__gte=now - RECENT
        ).count(),
        "jobs_failed": Job.objects.filter(state=Job.State.FAILED, ended_at__gte=now - RECENT).count(),
        **_quota(brand),
    }


def _quota(brand: Brand) -> dict[str, int]:
    """Contacts of a brand whose quota is used up, or nearly so."""
    n = totals(brand).n_contacts
    full = n >= brand.contact_quota
    return {
        "contact_quota": max(n, 1) if full else 0,
        "contact_quota_near": n if not full and n >= NEAR * brand.contact_quota else 0,
    }


def has_failed_check(corp: Corp) -> bool:
    """Whether the set-up doctor's last look at a corp found something wrong."""
    return any(isinstance(check, dict) and check.get("state") == "failed" for check in corp.checks or [])


def attention(brand: Brand) -> dict[str, int]:
    """The counts of the last health check, at most some minutes old."""
    kept = cache.get(_key(brand))
    return kept if kept is not None else keep_attention(brand)


def keep_attention(brand: Brand) -> dict[str, int]:
    found = count_attention(brand)
    cache.set(_key(brand), found, LIFE_S)
    return found


def _key(brand: Brand) -> str:
    return f"insights:{brand.pk}:attention"


def check(brand: Brand) -> BrandHealth:
    """Count, remember for the overview, and write the brand's row for the back office (no customers in it).

    `problem` holds words that the page translates, separated by commas.
    """
    now = clock.now()
    counted, needs = keep_totals(brand), keep_attention(brand)
    inbox = CallbackEvent.objects.filter(
        state__in=[CallbackEvent.State.NEW, CallbackEvent.State.RETRY]
    ).aggregate(n=Count("pk"), oldest=Min("received_at", filter=Q(state=CallbackEvent.State.NEW)))
    people = n_logins(brand)
    problems = [word for word in PROBLEMS if needs[word]]
    if people >= brand.staff_quota:
        problems.append("staff_quota")
    if Corp.objects.filter(app_state=Corp.AppState.ASLEEP).exists():
        problems.insert(0, "app_asleep")
    values: dict[str, Any] = {
        "checked_at": now,
        "n_contacts": counted.n_contacts,
        "n_staff": people,
        "inbox_waiting": inbox["n"],
        "inbox_dead": needs["inbox_dead"],
        "inbox_lag_s": (now - inbox["oldest"]).total_seconds() if inbox["oldest"] else 0,
        "last_callback_at": CallbackEvent.objects.aggregate(at=Max("received_at"))["at"],
        "last_sync_at": Corp.objects.aggregate(at=Max("synced_at"))["at"],
        "problem": ",".join(problems),
    }
    return BrandHealth.objects.update_or_create(brand=brand, defaults=values)[0]


def first_steps(brand: Brand) -> list[dict[str, Any]]:
    """What a fresh brand does first: {name, done}; empty when all is done."""
    from livecodes.models import Welcome

    steps = [
        {"name": "corp", "done": Corp.objects.exists()},
        {"name": "code", "done": ChannelCode.objects.live().exists()},
        {"name": "welcome", "done": Welcome.objects.exists()},
    ]
    return [] if all(step["done"] for step in steps) else steps
