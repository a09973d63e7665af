"""The slices of a plan, written by two connections side by side.

One connection keeps one processor busy. Of a large plan the first half of the slices is written by the step's own
connection, the second half by another one, each slice with its place in one commit. Rows that may be about the same
person all stand at the beginning of the first half (`Judgement.named`), so the halves do not depend on each other, and all is
as if one connection had written it. Where they meet after all (sums of a customer with orders in both), one waits for the
other.

Killed, each half goes on behind its last slice. A cancel or pause counts before the commit of each slice.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from threading import Event
from typing import Any

from django.db import connections, transaction

from datafiles.kinds.base import Task
from datafiles.services import plans
from org.models import Job
from org.services import jobs
from tenants.db import statistics
from tenants.db.clash import turns
from tenants.db.commits import hurry

STEP_S = 10.0  # after so long a step begins no slice any more
TRIES = 4
MANY = 10_000  # new rows, by which the plans of Postgres change
MAX_ROUNDS = 3


def of_plan(task: Task, number: int, n_shared: int | None) -> dict[str, Any]:
    """Place at the beginning of a round: the slices, and for each connection its next slice and where it ends."""
    path = plans.of_round(task.file, number)
    if n_shared is None:
        slices = plans.cut(path)
        lanes = [[0, len(slices) - 1]]
    else:
        slices, lanes = plans.cut_in_two(path, n_shared)
    part = "slices" if len(slices) > 1 else "finish"
    return {"part": part, "round": number, "slices": slices, "lanes": lanes, "late": 0}


def write(task: Task, job: Job) -> None:
    """Slices of both halves, for some seconds."""
    place = job.position
    if "lanes" not in place:  # begun before there were two
        job.position = place = {**place, "lanes": [[place["at"], len(place["slices"]) - 1]]}
        _keep(job)
    deadline, stop = time.monotonic() + STEP_S, Event()
    with ThreadPoolExecutor(1, thread_name_prefix="lane") as helper:
        others: list[Future] = [
            helper.submit(copy_context().run, _beside, task, job, lane, deadline, stop)
            for lane in range(1, len(place["lanes"]))
        ]
        try:
            _lane(task, job, 0, deadline, stop)
        except jobs.Stopped:
            if not any(one.exception() for one in others):
                raise
    for one in others:
        one.result()
    if job.position["part"] != "slices":
        _tell_postgres(task, job)


def _keep(job: Job) -> None:
    with transaction.atomic():
        jobs.save_step(job, position=job.position)


def _beside(task: Task, job: Job, lane: int, deadline: float, stop: Event) -> None:
    try:
        _lane(task, job, lane, deadline, stop)
    finally:
        connections.close_all()  # of this thread


def _lane(task: Task, job: Job, lane: int, deadline: float, stop: Event) -> None:
    own = replace(task, params={})
    try:
        while True:
            at, end = job.position["lanes"][lane]
            if at == end or stop.is_set() or time.monotonic() > deadline:
                return
            for turn in turns(TRIES):
                with turn:
                    _slice(own, job, lane)
                    break
            if at == lane == 0:
                _tell_postgres(task, job)
    except BaseException:
        stop.set()  # the other one ends its slice and begins no further one
        raise


def _slice(task: Task, job: Job, lane: int) -> None:
    """The next slice of a half. From `hold` to the commit the halves have turns: they wait for the row of the job."""
    place = job.position
    at = place["lanes"][lane][0]
    (start, n_before), (stop, n_after) = place["slices"][at], place["slices"][at + 1]
    first = place.get("first")
    task.place = None if first is None else first + n_before
    path, before = plans.of_round(task.file, place["round"]), None
    try:
        with transaction.atomic():
            hurry()  # rows and position are one: what would be lost in a fall of Postgres is written again
            done = plans.apply(task, path, start, stop)
            jobs.hold(job)
            place = job.position
            before = job.result, job.n_done, place
            lanes = [[*one] for one in place["lanes"]]
            lanes[lane][0] = at + 1
            late, part = place["late"] + done.late, "slices"
            if all(one == end for one, end in lanes):
                part = "judge" if late and place["round"] < MAX_ROUNDS else "finish"
            result = {**job.result}
            for name, n in done.as_counts().items():
                result[name] = result.get(name, 0) + n
            jobs.save_step(
                job,
                position={**place, "lanes": lanes, "late": late, "part": part},
                n_done=min(job.n_done + n_after - n_before, job.n_total or 0),
                result=result,
            )
    except BaseException:
        if (
            before
        ):  # what was counted is rolled back; the place last: with it the other half may go on (`hold`)
            job.result, job.n_done, job.position = before
        raise


def _tell_postgres(task: Task, job: Job) -> None:
    """The next slices, and the next file, look up what this one has made: Postgres has to know that it is there."""
    if job.result["new"] >= MANY:
        statistics.refresh(task.brand, task.kind.tables, job.result["new"])
