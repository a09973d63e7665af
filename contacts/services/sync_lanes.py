"""How a sync reads relations: several lists of guides at once, because WeCom gives each list page after page.

A lane is {"staff": our ids of up to 100 guides, "cursor": WeCom's position in their list}. WeCom allows five
calls of an API at a time; the client keeps to that, whoever else calls.
"""

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from contacts.services.sync_rows import rows_of
from contacts.services.sync_run import Run
from contacts.services.sync_types import Row
from org.models import Corp, Staff
from scrm import clock
from wecom.api import contacts as api
from wecom.client import client_for
from wecom.errors import WeComError, WeComRejected

log = logging.getLogger(__name__)

GUIDES, PAGE = 100, 100  # guides in a call, relations in a page: WeCom's limits
LANES, PAGES = 4, 12  # lists at a time, pages in a step
STEP_S = 10.0  # a step ends after this, so that its job is not taken for dead
# answers that concern one member, not the app: the others go on
MEMBER_CODES = frozenset(
    {84061, 40003, 40031, 41054, 46004, 60011, 60021, 60111, 84074, 84083, 610004, 701008}
)
NO_CUSTOMERS, BAD_CURSOR = 84061, 50100

Lane = dict[str, Any]


@dataclass
class Reading:
    """What a lane gave in one step."""

    rows: dict[tuple[int, str], Row] = field(default_factory=dict)
    cursor: str = ""
    unlicensed: set[int] = field(default_factory=set)
    error: WeComError | None = None
    waited_s: float = 0.0


def guides_of(run: Run) -> QuerySet[Staff]:
    """Whose relations this sync reads."""
    if run.job.params["staff_ids"]:
        return Staff.objects.filter(pk__in=run.job.params["staff_ids"])
    return Staff.objects.guides().filter(corp=run.corp)


@transaction.atomic
def fill_lanes(run: Run) -> dict[str, int]:
    """Give free lanes the next guides, members set apart first; no lane is left when nobody is. Gives userid
    → id."""
    at = run.at
    lanes: list[Lane] = at.setdefault("lanes", [])
    apart: list[list[int]] = at.setdefault("apart", [])
    if "size" not in at:
        at["size"] = max(1, min(GUIDES, -(-guides_of(run).count() // LANES)))
    while len(lanes) < LANES:
        if apart:
            staff = apart.pop(0)
        else:
            later = guides_of(run).filter(pk__gt=at.get("after", 0)).order_by("pk")
            staff = list(later.values_list("pk", flat=True)[: at["size"]])
            if not staff:
                break
            at["after"] = staff[-1]
        lanes.append({"staff": staff, "cursor": ""})
    wanted = [pk for lane in lanes for pk in lane["staff"]]
    return dict(Staff.objects.filter(pk__in=wanted).values_list("userid", "pk"))


def read_lanes(run: Run, staff_ids: dict[str, int]) -> tuple[list[Row], WeComError | None]:
    """Some pages of each lane, all lanes at a time; moves the lanes on.

    Gives the rows and, where a lane met something that stops the whole sync for now or for good, the error:
    the rows of the other lanes are good all the same.
    """
    at, lanes = run.at, run.at["lanes"]
    pages = max(1, PAGES // len(lanes))
    work = [
        _pool(os.getpid()).submit(
            copy_context().run, _read, run.corp, _part(lane, staff_ids), lane["cursor"], pages
        )
        for lane in lanes
    ]
    readings = [one.result() for one in work]
    rows: dict[tuple[int, str], Row] = {}
    left: list[Lane] = []
    stop: WeComError | None = None
    for lane, reading in zip(lanes, readings, strict=True):
        rows |= reading.rows
        lane["cursor"] = reading.cursor
        at["skipped"] = sorted({*at.get("skipped", []), *reading.unlicensed})
        if reading.error is None:
            goes_on = bool(reading.cursor)
            if not goes_on:
                at["read"] = [*at.get("read", []), *lane["staff"]]
        elif _is_about_members(lane, reading.error):
            goes_on = _set_apart(run, lane, reading.error)
        else:
            goes_on, stop = True, reading.error
        if goes_on:
            left.append(lane)
    at["lanes"] = left
    run.waited_s = max(reading.waited_s for reading in readings)
    return list(rows.values()), stop


@lru_cache(1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Threads of this process (a fork has none of its parent's); they keep their connections to WeCom
    open."""
    return ThreadPoolExecutor(LANES, thread_name_prefix="sync")


def _part(lane: Lane, staff_ids: dict[str, int]) -> dict[str, int]:
    wanted = set(lane["staff"])
    return {userid: pk for userid, pk in staff_ids.items() if pk in wanted}


def _read(corp: Corp, staff_ids: dict[str, int], cursor: str, pages: int) -> Reading:
    """Pages of one lane; runs in a thread and touches no database."""
    reading, client, started = Reading(cursor=cursor), client_for(corp), time.monotonic()
    for _page in range(pages):
        seen_at = clock.now()
        try:
            page = api.batch_customers(client, list(staff_ids), reading.cursor, PAGE)
        except WeComError as error:
            reading.error = error
            break
        for row in rows_of(page["external_contact_list"], staff_ids, seen_at):
            reading.rows[row.staff_id, row.external_userid] = row
        reading.unlicensed |= {staff_ids[u.lower()] for u in page["unlicensed"] if u.lower() in staff_ids}
        reading.cursor = page["next_cursor"]
        if not reading.cursor or time.monotonic() - started > STEP_S:
            break
    reading.waited_s = client.waited_s
    return reading


def _is_about_members(lane: Lane, error: WeComError) -> bool:
    if error.errcode == BAD_CURSOR:
        return bool(lane["cursor"])
    return isinstance(error, WeComRejected) and error.errcode in MEMBER_CODES


def _set_apart(run: Run, lane: Lane, error: WeComError) -> bool:
    """What WeCom refuses for one member must not stop the others: each is asked for apart. Whether the lane
    goes on."""
    at, staff = run.at, lane["staff"]
    if error.errcode == BAD_CURSOR:
        lane["cursor"] = ""  # these guides from the beginning; what is there already changes nothing
        return True
    if len(staff) > 1:
        at["apart"] = [[pk] for pk in staff] + at["apart"]
    elif error.errcode == NO_CUSTOMERS:
        at["read"] = [*at.get("read", []), *staff]
    else:
        log.warning("sync %s: guide %s left out: %r", run.job.pk, staff[0], error)
        at["skipped"] = sorted({*at["skipped"], *staff})
    return False
