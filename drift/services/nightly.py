"""When a brand's corps are reconciled by themselves, and how long the history is kept."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from drift.models import Difference, DriftRun
from drift.services.repairs import take_up
from drift.services.runs import start_run
from drift.services.settings import settings_of
from org.access import SYSTEM
from org.models import Corp
from scrm import clock
from tenants.models import Brand

WINDOW = timedelta(
    hours=4
)  # a run that was not started by then (nothing ran here) is left for the next night
KEEP = timedelta(days=180)
PURGE = 10_000


def run_due(brand: Brand) -> list[int]:
    """Start the nightly runs that are due; gives the ids of their jobs."""
    with transaction.atomic():
        chosen = settings_of(brand)
        zone = ZoneInfo(brand.timezone)
        local = clock.now().astimezone(zone)
        due_at = datetime.combine(local.date(), chosen.at, zone)
        if not chosen.is_nightly or not due_at <= local < due_at + WINDOW:
            return []
        done = DriftRun.objects.filter(started_at__gte=due_at).values("corp_id")
        corps = list(Corp.objects.filter(synced_at__isnull=False).exclude(pk__in=done))
    if not corps:
        return []
    purge(brand)
    return [start_run(brand, corp=corp, by=SYSTEM).pk for corp in corps]


def tend(brand: Brand) -> None:
    """What the clock asks for every few minutes: nightly runs, and repairs that were left lying."""
    take_up(brand)
    run_due(brand)


@transaction.atomic
def purge(brand: Brand) -> int:
    """Forget closed differences and runs older than they are kept; gives how many."""
    before = clock.now() - KEEP
    old = Difference.objects.filter(closed_at__lt=before, state__in=["repaired", "settled"]).order_by("pk")
    n, _ = Difference.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:PURGE])).delete()
    needed = Difference.objects.filter(run__isnull=False).values("run_id")
    n_runs, _ = DriftRun.objects.filter(started_at__lt=before).exclude(pk__in=needed).delete()
    return n + n_runs
