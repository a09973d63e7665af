"""How a sync reads relations: several lists of guides at once, ahead of what is being merged.

WeCom gives each list page after page, and allows five calls of an API at a time; the client keeps to that, whoever
else calls. A lane is {"staff": our ids of some guides, "cursor": WeCom's position in their list}; or {"people": ids of
customers, who are read one by one by an API of its own, beside the lists}. Lanes are read by threads that touch no
database; the position of a lane moves on when its page has been merged.
"""

import contextlib
import gc
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from django.db import transaction
from django.db.models import QuerySet

from contacts.services.profile import NOT_OURS
from contacts.services.sync.sync_rows import rows_of, rows_of_customer
from contacts.services.sync.sync_run import Run
from contacts.services.sync.sync_types import Row
from org.models import Corp, Staff
from scrm import clock
from wecom.api import contacts as api
from wecom.client import WeComClient, client_for
from wecom.errors import WeComError, WeComRejected

log = logging.getLogger(__name__)

GUIDES, PAGE = 100, 100  # guides in a call, relations in a page: WeCom's limits
LANES = 8  # lists at a time: five calls are on their way (the client sees to that), the others are being understood
PEOPLE, SINGLE = (
    200,
    20,
)  # customers in a lane of those who are read one by one; in what counts as a page of them
PER_LANE = 4  # of what is left a lane takes so small a part, so that no lane is left alone at the end
AHEAD = 60  # pages that are read and not merged yet: what a sync keeps in memory
SWITCH_S = 0.001  # who has an answer in hand does not wait long for a thread that computes
COLLECT = 50_000  # objects; a page has hundreds, none of them in a circle
FILL_S = 0.4  # so long a merge waits for more pages to merge at once
# answers that concern one member, not the app: the others go on
MEMBER_CODES = frozenset(
    {84061, 40003, 40031, 41054, 46004, 60011, 60021, 60111, 84074, 84083, 610004, 701008}
)
NO_CUSTOMERS, BAD_CURSOR = 84061, 50100

Lane = dict[str, Any]
Lanes = list[tuple[Lane, dict[str, int]]]  # each with userid → id of its guides


@dataclass
class Page:
    """One page of a lane, or what kept it from being read."""

    lane: Lane
    rows: list[Row] = field(default_factory=list)
    left: Any = ""  # where the lane goes on: a cursor, or the customers that are left; empty at its end
    unlicensed: set[int] = field(default_factory=set)
    error: Exception | None = None
    waited_s: float = 0.0


def guides_of(run: Run) -> QuerySet[Staff]:
    """Whose relations this sync reads."""
    only = run.at["only"] if "only" in run.at else run.job.params["staff_ids"] or None
    if only is not None:
        return Staff.objects.filter(pk__in=only)
    return Staff.objects.guides().filter(corp=run.corp)


@transaction.atomic
def fill_lanes(run: Run) -> Lanes:
    """Give free lanes the next guides, members set apart first, and the next customers; no lane is left when nobody is.
    Gives all lanes with userid → id of their guides. There are some more of them than are read at a time, so that nobody
    who reads waits for a merge."""
    at = run.at
    lanes: list[Lane] = at.setdefault("lanes", [])
    apart: list[list[int]] = at.setdefault("apart", [])
    most = LANES + LANES // 2
    n_people = sum("people" in lane for lane in lanes)
    while at.get("people") and n_people < most:
        size = min(
            PEOPLE, -(-len(at["people"]) // LANES)
        )  # smaller towards the end, so that no lane is left alone
        lanes.append({"people": at["people"][:size]})
        at["people"] = at["people"][size:]
        n_people += 1
    left = guides_of(run).filter(pk__gt=at.get("after", 0)).count()
    while len(lanes) - n_people < most and (apart or left):
        if apart:
            staff = apart.pop(0)
        else:
            later = guides_of(run).filter(pk__gt=at.get("after", 0)).order_by("pk")
            size = min(GUIDES, -(-left // (LANES * PER_LANE)))  # smaller towards the end
            staff = list(later.values_list("pk", flat=True)[:size])
            if not staff:
                break
            at["after"], left = staff[-1], left - len(staff)
        lanes.append({"staff": staff, "cursor": ""})
    staff_of = Staff.objects.filter(corp=run.corp).exclude(userid="")
    wanted = [pk for lane in lanes for pk in lane.get("staff", ())]
    userids = dict(staff_of.filter(pk__in=wanted).values_list("pk", "userid"))
    everybody = dict(staff_of.values_list("userid", "pk")) if n_people else {}
    return [
        (lane, {userids[pk]: pk for pk in lane["staff"] if pk in userids} if "staff" in lane else everybody)
        for lane in lanes
    ]


class Reader:
    """Reads lanes in threads: `start` each once, `take` what is there, leave the block to stop."""

    def __init__(self, corp: Corp) -> None:
        self.corp = corp
        self._pages: queue.SimpleQueue[Page] = queue.SimpleQueue()
        self._room = threading.Semaphore(AHEAD)
        self._stop = threading.Event()
        self._started: list[tuple[Lane, Future]] = []
        self._switch_s, self._collect = 0.0, (0, 0, 0)  # as they were before
        self._open = 0  # lanes that are begun and whose last page was not taken yet

    def __enter__(self) -> Self:
        self._switch_s, self._collect = sys.getswitchinterval(), gc.get_threshold()
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(COLLECT, *self._collect[1:])
        return self

    def __exit__(self, *_problem: Any) -> None:
        self._halt()
        sys.setswitchinterval(self._switch_s)
        gc.set_threshold(*self._collect)

    def _halt(self) -> None:
        """No page is begun any more; returns when those under way are there."""
        self._stop.set()
        self._room.release(len(self._started) or 1)
        for _lane, future in self._started:
            future.result()

    def rest(self) -> list[Page]:
        """Stop, and give what was read and not taken yet."""
        self._halt()
        pages = []
        while not self._pages.empty():
            pages.append(self._pages.get())
        return pages

    def start(self, lanes: Lanes) -> None:
        """Begin with those that were not begun yet."""
        self._started = [
            one for one in self._started if not one[1].done() or any(one[0] is x for x, _ in lanes)
        ]
        for lane, staff_ids in lanes:
            if not any(lane is other for other, _ in self._started):
                future = pool(kind_of(lane)).submit(copy_context().run, self._read, lane, staff_ids)
                self._started.append((lane, future))
                self._open += 1

    def take(self, most: int) -> list[Page]:
        """At least one page; more, up to `most`, where they come soon."""
        pages: list[Page] = []
        until = time.monotonic() + FILL_S
        with contextlib.suppress(queue.Empty):
            while not pages or (self._open and len(pages) < min(most, AHEAD)):
                wait_s = max(0.0, until - time.monotonic()) if pages else None
                pages.append(page := self._pages.get(timeout=wait_s))
                self._open -= page.error is not None or not page.left
        self._room.release(len(pages))
        return pages

    def _read(self, lane: Lane, staff_ids: dict[str, int]) -> None:
        client, kind = client_for(self.corp), kind_of(lane)
        read, at = (self._read_people if kind == "people" else self._read_page), lane[kind]
        while True:
            self._room.acquire()
            if self._stop.is_set():
                return None
            waited_s = client.waited_s
            page = Page(lane)
            try:
                if not staff_ids:  # nobody is left of them
                    return self._pages.put(page)
                read(client, page, at, staff_ids)
                at = page.left
            except Exception as error:  # noqa: BLE001  # raised again by the sync, in its own thread
                page.rows, page.left, page.error = [], at, error
            page.waited_s = client.waited_s - waited_s
            self._pages.put(page)
            if page.error is not None or not at:
                return None

    def _read_page(self, client: WeComClient, page: Page, cursor: str, staff_ids: dict[str, int]) -> None:
        seen_s = clock.now().timestamp()
        answer = api.batch_customers(client, list(staff_ids), cursor, PAGE)
        page.rows = rows_of(answer["external_contact_list"], staff_ids, seen_s)
        page.unlicensed = {staff_ids[u.lower()] for u in answer["unlicensed"] if u.lower() in staff_ids}
        page.left = answer["next_cursor"]

    def _read_people(
        self, client: WeComClient, page: Page, people: list[str], staff_ids: dict[str, int]
    ) -> None:
        n = 0
        while n < len(people) and n < SINGLE and not (n and self._stop.is_set()):
            page.rows += rows_of_one(client, people[n], staff_ids)
            n += 1
        page.left = people[n:]


def kind_of(lane: Lane) -> str:
    """By what a lane goes on."""
    return "people" if "people" in lane else "cursor"


def rows_of_one(client: WeComClient, external_userid: str, staff_ids: dict[str, int]) -> list[Row]:
    """Relations of one customer with these guides; who is gone by now has none."""
    seen_s = clock.now().timestamp()
    try:
        customer = api.customer(client, external_userid)
    except WeComRejected as error:
        if error.errcode in NOT_OURS:
            return []
        raise
    return rows_of_customer(customer, staff_ids, seen_s)


def settle(run: Run, page: Page) -> Exception | None:
    """Move the lane of a page on, whose rows are merged in the same transaction; gives what stops the whole sync."""
    at, lane = run.at, page.lane
    run.waited_s += page.waited_s / LANES
    if page.unlicensed:
        at["skipped"] = sorted({*at.get("skipped", []), *page.unlicensed})
    lane[kind_of(lane)] = page.left
    if page.error is None:
        goes_on = bool(page.left)
    elif _is_about_members(lane, page.error):
        goes_on = _set_apart(run, lane, page.error)
    else:
        return page.error
    if not goes_on:
        at["lanes"] = [other for other in at["lanes"] if other is not lane]
    return None


@lru_cache(2)
def _pool(pid: int, kind: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LANES, thread_name_prefix=f"sync-{kind}")


def pool(kind: str = "cursor") -> ThreadPoolExecutor:
    """Threads of this process (a fork has none of its parent's), for each kind of lane its own, because each has an API
    of its own; they keep their connections to WeCom open."""
    return _pool(os.getpid(), kind)


def begin(act: Callable[[Any], Any], items: Sequence[Any]) -> list[Future]:
    """Do the same for each item, some at a time; `results` waits for it."""
    return [pool().submit(copy_context().run, act, item) for item in items]


def results(work: Sequence[Future]) -> list[Any]:
    """What was begun, in its order; an exception of WeCom's comes in the place of its result."""

    def result(one: Future) -> Any:
        try:
            return one.result()
        except WeComError as error:
            return error

    return [result(one) for one in work]


def _is_about_members(lane: Lane, error: Exception) -> bool:
    if "people" in lane:
        return False
    if isinstance(error, WeComError) and error.errcode == BAD_CURSOR:
        return bool(lane["cursor"])
    return isinstance(error, WeComRejected) and error.errcode in MEMBER_CODES


def _set_apart(run: Run, lane: Lane, error: Any) -> bool:
    """What WeCom refuses for one member must not stop the others: each is asked for apart. Whether the lane
    goes on."""
    at, staff = run.at, lane["staff"]
    if error.errcode == BAD_CURSOR:
        at["apart"] = [
            staff,
            *at["apart"],
        ]  # these guides from the beginning; what is there already changes nothing
    elif len(staff) > 1:
        at["apart"] = [[pk] for pk in staff] + at["apart"]
    elif error.errcode != NO_CUSTOMERS:
        log.warning("sync %s: guide %s left out: %r", run.job.pk, staff[0], error)
        at["skipped"] = sorted({*at.get("skipped", []), *staff})
    return False
