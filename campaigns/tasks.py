"""Celery entries of campaigns: the tick of each minute, and the calls to WeCom that it starts."""

import logging
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db import transaction

from campaigns.models import SendTask
from campaigns.services import due
from campaigns.services.alerts import alerts
from campaigns.services.broadcasts import waves, winners
from campaigns.services.journeys import arrivals, flows, hooks, reacting, trouble, walking
from campaigns.services.ledger import marks, planes
from campaigns.services.moments import moment_handing
from campaigns.services.sending import handing, looking, results
from campaigns.services.sops import dues, sops, stepping
from campaigns.services.tasks import staff_task_notices, staff_tasks
from scrm import clock
from scrm.celery import app
from tenants.models import Brand
from tenants.tasks import each_brand, tenant_task

log = logging.getLogger(__name__)

POLLS = 20  # send tasks that one Celery task asks about
LOOKS = 500  # that it looks for: they share the list of WeCom's records


@app.task(name="campaigns.tasks.tick")
def tick() -> int:
    """Each minute: one `tick_brand` for each active brand."""
    return len(list(each_brand(tick_brand)))


@tenant_task(expires=55)
def tick_brand(brand: Brand) -> None:
    """Move on who is due, plan waves, then start what send tasks want. Nothing due costs two statements of one transaction."""
    now = clock.now()
    with transaction.atomic():
        by_day, by_graph = dues.probe(brand, now)
        found = None if by_day or by_graph else due.look()
    if by_day:
        done = stepping.run(brand, now)
        log.info("SOP steps: %s people, %s planned, %s held back", done.n, done.n_planned, done.n_blocked)
    if by_graph:
        walk(brand, now)
    found = found or due.look()
    if found.waves and waves.run_due(brand):
        found = due.look()
    for moment_id in found.moments:
        run_moment.delay(brand_id=brand.pk, moment_id=moment_id)
    start_tasks(brand, found.tasks)


def walk(brand: Brand, now: datetime) -> None:
    """Move on who is due in a graph, and start what that has ordered."""
    done = walking.run(brand, now)
    log.info("graphs of SOPs: %s people, %s planned, %s held back", done.n, done.n_planned, done.n_blocked)
    if done.hooks:
        call_hooks.delay(brand_id=brand.pk)


def start_tasks(brand: Brand, waiting: dict[str, list[tuple[int, int]]]) -> None:
    """Start what send tasks want, see `due.Due`: hand over, look for, poll."""
    planned = sorted(waiting[SendTask.State.PLANNED], key=lambda row: (row[1], row[0]))
    # a guide's tasks stay together: they are handed over one after the other
    guides = [[task_id for task_id, _ in rows] for _, rows in groupby(planned, key=lambda row: row[1])]
    for start in range(0, len(guides), handing.AT_ONCE):
        some = guides[start : start + handing.AT_ONCE]
        hand_over.delay(brand_id=brand.pk, task_ids=[task_id for rows in some for task_id in rows])
    lost = [task_id for task_id, _ in waiting[SendTask.State.CALLING]]
    for start in range(0, len(lost), LOOKS):
        recover.delay(brand_id=brand.pk, task_ids=lost[start : start + LOOKS])
    handed = [task_id for task_id, _ in waiting[SendTask.State.HANDED]]
    for start in range(0, len(handed), POLLS):
        poll.delay(brand_id=brand.pk, task_ids=handed[start : start + POLLS])


# These expire: what was not taken up within a minute is found again, from the rows, by the next tick.


@tenant_task(expires=55)
def hand_over(brand: Brand, *, task_ids: list[int]) -> None:
    """Give planned send tasks of some guides to WeCom."""
    handing.hand_over(brand, task_ids)


@tenant_task(expires=55)
def recover(brand: Brand, *, task_ids: list[int]) -> None:
    """Look for send tasks whose answer was lost."""
    looking.recover(brand, task_ids)


@tenant_task(expires=55)
def poll(brand: Brand, *, task_ids: list[int]) -> None:
    """Ask what became of send tasks."""
    for task_id in task_ids:
        results.poll(brand, task_id)


@tenant_task(expires=55)
def run_moment(brand: Brand, *, moment_id: int) -> None:
    """What a moment wants now: hand it over, look for it, ask how far WeCom and the guides are."""
    moment_handing.move_on(brand, moment_id)


@tenant_task
def close_sop(brand: Brand, *, sop_id: int) -> Any:
    """Everybody leaves an SOP that has ended; cancels what it had planned."""
    sops.cancel_planned(brand, sop_id=sop_id)
    while sops.close_slice(brand, sop_id=sop_id):
        pass


@tenant_task
def plan_waves(brand: Brand) -> None:
    """Plan what is due now (a launch does not wait for the next minute), and hand it over."""
    if waves.run_due(brand):
        start_tasks(brand, due.look().tasks)


@app.task(name="campaigns.tasks.finish_broadcasts")
def finish_broadcasts() -> int:
    """Every few minutes: broadcasts of which nothing is open any more are finished."""
    return len(list(each_brand(finish_brand)))


@tenant_task
def finish_brand(brand: Brand) -> None:
    winners.look_at_all(brand)
    waves.finish(brand)


@app.task(name="campaigns.tasks.rebuild_planes")
def rebuild_planes() -> int:
    """Each night: counts of touches by day are made anew from the ledger; figures of graphs are compared with who is
    there."""
    return len(list(each_brand(rebuild_brand_planes)))


@tenant_task
def rebuild_brand_planes(brand: Brand) -> None:
    planes.rebuild_recent(brand)
    if wrong := flows.mend_all(brand, clock.now()):
        log.warning("graphs of SOPs: %s figures of nodes were wrong", wrong)
    if forgotten := stepping.mend(brand, clock.now()):
        log.warning("SOPs: %s people were due and in no list", forgotten)


@app.task(name="campaigns.tasks.mark_all")
def mark_all() -> int:
    """Every few seconds: one `mark_brand` for each active brand."""
    return len(list(each_brand(mark_brand)))


@tenant_task(expires=55)
def mark_brand(brand: Brand) -> None:
    """Who opened, replied, bought after a message."""
    marks.run(brand)


@app.task(name="campaigns.tasks.staff_tasks_tick")
def staff_tasks_tick() -> int:
    """Every two minutes: what guides and managers are to hear of tasks."""
    return len(list(each_brand(staff_tasks_of_brand)))


@tenant_task(expires=110)
def staff_tasks_of_brand(brand: Brand) -> None:
    """Tasks end, move from people who have left, are told and escalated. Nothing due costs five statements."""
    staff_tasks.expire(brand)
    staff_tasks.rehome(brand)
    staff_task_notices.tell_guides(brand)
    staff_task_notices.escalate(brand)


@app.task(name="campaigns.tasks.react_all")
def react_all() -> int:
    """Every few seconds: one `react_brand` for each active brand."""
    return len(list(each_brand(react_brand)))


@tenant_task(expires=55)
def react_brand(brand: Brand) -> None:
    """What happened brings people into graphs, wakes them there and takes them out; whoever is due by it goes on."""
    reacting.react(brand)
    arrivals.run(brand)
    trouble.look_again(brand)
    now = clock.now()
    if stepping.probe(brand, now)[1]:
        walk(brand, now)
    if hooks.due(1):
        call_hooks.delay(brand_id=brand.pk)


@tenant_task(expires=55)
def call_hooks(brand: Brand) -> None:
    """Make the calls of web hooks that are due."""
    hooks.make_due(brand)


@app.task(name="campaigns.tasks.alert_all")
def alert_all() -> int:
    """Every ten seconds: guides are told what their customers did."""
    return len(list(each_brand(alert_brand)))


@tenant_task(expires=55)
def alert_brand(brand: Brand) -> None:
    alerts.run(brand)


@app.task(name="campaigns.tasks.purge_all_alerts")
def purge_all_alerts() -> int:
    """Each night: alerts of a quarter ago are forgotten."""
    return len(list(each_brand(purge_alerts)))


@tenant_task
def purge_alerts(brand: Brand) -> None:
    alerts.purge(brand)
