"""Celery entries of tagging: what is due each minute, and what is tidied up each night."""

import logging

from contacts.services import stats
from scrm.celery import app
from tagging.services.bits import bits_check
from tagging.services.rules import computed, reacting, rule_runs
from tagging.services.segments import snapshots
from tagging.services.tags import acts, deleting, expiry, mass, merging
from tagging.services.value import lifecycle, value, value_model, value_reader
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task

log = logging.getLogger(__name__)


@app.task(name="tagging.tasks.tick")
def tick() -> int:
    """Each minute: one `tick_brand` for each active brand."""
    return len(list(each_brand(tick_brand)))


@tenant_task(expires=55)
def tick_brand(brand: Brand) -> None:
    """Take off tags whose time is over; after the brand's midnight go through everybody for computed tags and rules on
    conditions. Nothing due costs three look-ups."""
    if n := expiry.sweep(brand):
        log.info("tags whose time was over: %s", n)
    computed.start_due(brand)
    rule_runs.start_nightly(brand)


@app.task(name="tagging.tasks.react_all")
def react_all() -> int:
    """Every ten seconds: one `react_brand` for each active brand."""
    return len(list(each_brand(react_brand)))


@tenant_task(expires=55)
def react_brand(brand: Brand) -> None:
    """What happened sets off rules and moves computed tags."""
    reacting.react(brand)


@app.task(name="tagging.tasks.tidy_all")
def tidy_all() -> int:
    """Each night: one `tidy` for each active brand."""
    return len(list(each_brand(tidy)))


@tenant_task
def tidy(brand: Brand) -> None:
    """Forget what cannot be taken back any more, and who waited too long."""
    merging.repair(brand)
    done = {
        "carriers of deleted tags": deleting.purge(brand),
        "rows of old acts": acts.purge(brand),
        "targets of ended acts": mass.purge(brand),
        "waiting tags": expiry.forget_waiting(brand),
    }
    if any(done.values()):
        log.info("forgotten: %s", done)


@tenant_task(expires=6 * 3600)
def check_bits(brand: Brand) -> None:
    """Compare ContactStat and bitmaps of one brand with the truth and repair them."""
    stats.rebuild(brand)
    if n := bits_check.drop_ownerless(brand):
        log.info("tags of contacts who are no more: %s", n)
    bits_check.check(brand)


@tenant_task(expires=6 * 3600)
def take_snapshots(brand: Brand) -> None:
    """A version of each segment of one brand; old ones are forgotten."""
    snapshots.snapshot_all(brand)
    snapshots.purge(brand)


@app.task(name="tagging.tasks.nightly_snapshots")
def nightly_snapshots() -> int:
    return len(list(each_brand(take_snapshots)))


@app.task(name="tagging.tasks.nightly_check")
def nightly_check() -> int:
    return len(list(each_brand(check_bits)))


# ---- value


@app.task(name="tagging.tasks.recompute_all_values")
def recompute_all_values() -> int:
    """Each night: scores, groups, next orders, models and stages of every brand."""
    return len(list(each_brand(recompute_values)))


@tenant_task
def recompute_values(brand: Brand) -> None:
    """Everybody of one brand; each part is a transaction of its own and safe to repeat."""
    n = value.recompute(brand)
    value_model.fit(brand)
    n_model = value_model.apply(brand)
    moved = lifecycle.place(brand)
    lifecycle.note_counts(brand)
    log.info("values: %s scores, %s lifetime values, %s stages changed", n, n_model, moved)


@app.task(name="tagging.tasks.value_tick")
def value_tick() -> int:
    """Every few seconds: customers to whom something has happened are scored again."""
    return len(list(each_brand(score_changed)))


@tenant_task(expires=14)
def score_changed(brand: Brand) -> None:
    value_reader.run(brand)
