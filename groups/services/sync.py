"""All groups of a corp read from WeCom, as a long job; the full sync of customers starts it at its end.

    owners by hundreds → a page of their groups → each group's members → merge → position saved → next step

A killed job goes on where it was; what it reads twice changes nothing. Groups that nobody's list showed are
asked for one by one at the end: WeCom says whether they are dissolved, or only out of sight.

Source: developer.work.weixin.qq.com/document/path/92120
"""

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from groups.models import GroupChat
from groups.services.mirror import Merged, merge
from groups.services.owners import are_through, go_round, next_owners
from groups.services.reading import Reading, list_groups, read_group
from org import audit
from org.access import Actor
from org.models import Corp, Job
from org.services import corp_jobs
from org.services.jobs import save_step
from scrm import clock
from tenants.db.clash import turns
from tenants.models import Brand
from wecom.client import client_for
from wecom.errors import WeComRejected

log = logging.getLogger(__name__)

KIND = "group_sync"
TITLE = gettext_lazy("Groups: %(name)s")
PAGE, MISSING = 100, 100  # groups of a step
LANES = 4  # groups read at a time; WeCom allows five calls of an API
TRIES = 4


class Overtaken(Exception):
    """Another process runs this job; what this step did is rolled back."""


@dataclass
class _Run:
    brand: Brand
    job: Job
    corp: Corp
    at: dict[str, Any]

    def save(self, merged: Merged | None = None, **changes: Any) -> None:
        """Position and progress, in the caller's transaction."""
        stored = Job.objects.select_for_update().values_list("position", flat=True).get(pk=self.job.pk)
        if stored.get("n", 0) != self.at.get("n", 0):
            raise Overtaken
        counts = merged.counts() if merged else {}
        result = {**self.job.result, **{k: self.job.result.get(k, 0) + n for k, n in counts.items()}}
        position = {**self.at, "n": self.at.get("n", 0) + 1}
        save_step(self.job, position=position, result=result, **changes)


def start_sync(brand: Brand, *, corp: Corp, by: Actor) -> Job:
    """Start reading all groups of a corp, in the caller's transaction; one that runs already is returned."""
    job = corp_jobs.start(brand, kind=KIND, title=TITLE, corp=corp, by=by)
    audit.record(by, "groups.sync", corp)
    return job


def step(brand: Brand, job: Job) -> bool:
    """One step of the job; True: there is more."""
    corp = corp_jobs.corp_of(job)
    run = _Run(brand, job, corp, {"stage": "list", "after": 0, "cursor": "", **job.position})
    try:
        {"list": _list, "missing": _missing}[run.at["stage"]](run)
    except Overtaken:
        log.warning("group sync %s is run by another process too", job.pk)
        with transaction.atomic():
            job.refresh_from_db()
        return job.state == Job.State.RUNNING
    return run.at["stage"] != "end"


def _list(run: _Run) -> None:
    """One page of the groups of some owners, with their members."""
    at = run.at
    if "since" not in at:
        at["since"] = clock.now().isoformat()
        with transaction.atomic():
            known = GroupChat.objects.live().filter(corp=run.corp).count()
            return run.save(stage=_("Groups and members"), n_total=known or None)
    owners = next_owners(run.corp, at)
    if not owners:
        at["stage"] = "missing"
        at["after"] = 0
        with transaction.atomic():
            return run.save(stage=_("Groups that were not listed"))
    try:
        page = list_groups(client_for(run.corp), list(owners.values()), at["cursor"], PAGE)
    except WeComRejected as error:
        if not go_round(run.corp, at, owners, error):
            raise
        with transaction.atomic():
            return run.save(n_bad=len(at.get("skipped", [])))
    states = {
        str(row["chat_id"]): row.get("status", 0) for row in page["group_chat_list"] if row.get("chat_id")
    }
    readings = read_groups(run.corp, states)
    at["cursor"] = page["next_cursor"]
    if not at["cursor"]:
        are_through(at, owners)
    n_done = run.job.n_done + len(states)
    total = max(run.job.n_total, n_done) if run.job.n_total else None
    return _write(run, readings, n_done=n_done, n_total=total)


def _missing(run: _Run) -> None:
    """Groups that we have and that no list showed: each is asked for."""
    with transaction.atomic():
        unseen = GroupChat.objects.live().filter(corp=run.corp, pk__gt=run.at["after"])
        unseen = unseen.exclude(synced_in=run.job.pk).order_by("pk")
        rows = list(unseen.values_list("pk", "chat_id")[:MISSING])
    if not rows:
        return _finish(run)
    readings = read_groups(run.corp, {chat_id: None for _pk, chat_id in rows})
    run.at["after"] = rows[-1][0]
    return _write(run, readings)


def _finish(run: _Run) -> None:
    seconds = (clock.now() - datetime.fromisoformat(run.at["since"])).total_seconds()
    run.job.result = {**run.job.result, "seconds": round(seconds, 1)}
    run.at = {"n": run.at.get("n", 0), "stage": "end", "since": run.at["since"]}
    with transaction.atomic():
        run.save(stage="", n_total=run.job.n_done)


def _write(run: _Run, readings: Sequence[Reading], **changes: Any) -> None:
    for turn in turns(TRIES):
        with turn, transaction.atomic():
            merged = merge(run.brand, run.corp, readings, job_id=run.job.pk, source="sync")
            return run.save(merged, **changes)
        with transaction.atomic():
            run.job.refresh_from_db()  # what the step had counted is rolled back
    return None


def read_groups(corp: Corp, states: Mapping[str, int | None]) -> list[Reading]:
    """Details of some groups, several at a time.

    Raises:
        WeComError: what stops the whole sync for now; what was read is read again.
    """
    chats, lanes = list(states.items()), max(1, min(LANES, len(states)))
    pool = _pool(os.getpid())
    parts = [pool.submit(copy_context().run, _read_some, corp, chats[n::lanes]) for n in range(lanes)]
    return [reading for part in parts for reading in part.result()]


@lru_cache(1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Threads of this process (a fork has none of its parent's)."""
    return ThreadPoolExecutor(LANES, thread_name_prefix="groups")


def _read_some(corp: Corp, chats: Sequence[tuple[str, int | None]]) -> list[Reading]:
    """Runs in a thread and touches no database."""
    client, found = client_for(corp), []
    for chat_id, state in chats:
        found.append(read_group(client, chat_id, state=state))
    return found
