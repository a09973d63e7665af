"""Long jobs: steps commit effect and position together; pause, cancel, crash and double click lose and double nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from org.access import SYSTEM
from org.models import Job, Region
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.scoping import tenant_scope
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)
N = 5


def step(brand: Any, job: Job) -> bool:
    """Makes one region per step, N in all; `params` say where it stumbles."""
    n = job.position.get("n", 0)
    if job.params.get("stop_at") == n and not job.position.get("stopped"):
        with transaction.atomic():
            jobs.save_step(job, position={"n": n, "stopped": True})
        {"pause": jobs.pause, "cancel": jobs.cancel}[job.params["act"]](job.pk)
        return True
    if job.params.get("fail_at") == n:
        raise InvalidError("row 3 cannot be read")
    if job.params.get("crash_at") == n and not job.position.get("crashed"):
        with transaction.atomic():
            jobs.save_step(job, position={"n": n, "crashed": True})
        raise KeyboardInterrupt  # a killed process says nothing
    with transaction.atomic():
        Region.objects.create(name=f"region {n}")
        jobs.save_step(job, position={**job.position, "n": n + 1}, n_done=n + 1)
    return n + 1 < N


@pytest.fixture(autouse=True)
def kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(jobs.KINDS, "test", "tests.org.test_jobs.step")


def start(brand: Any, **params: Any) -> Job:
    with in_brand(brand):
        return jobs.start_job(brand, kind="test", title="regions", params=params, by=SYSTEM, n_total=N)


def now_of(brand: Any, job: Job) -> tuple[str, int]:
    with in_brand(brand):
        job.refresh_from_db()
        return job.state, Region.objects.count()


def long_step(brand: Any, job: Job) -> bool:
    """One statement in one transaction, longer than the lease."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [jobs.LEASE.total_seconds() * 1.4])
    with transaction.atomic():
        assert jobs.claim(job.pk) is None and jobs.stranded(brand) == []
    return False


def test_a_step_longer_than_the_lease_is_nobody_elses(brand: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(jobs.KINDS, "test", "tests.org.test_jobs.long_step")
    monkeypatch.setattr(jobs, "LEASE", timedelta(seconds=2.5))  # a beat may come late on a busy machine
    monkeypatch.setattr(jobs, "BEAT_S", 0.05)
    job = start(brand)
    assert now_of(brand, job)[0] == Job.State.DONE, job.error


def test_runs_to_the_end(brand: Any) -> None:
    assert now_of(brand, start(brand)) == (Job.State.DONE, N)


def test_double_click_starts_one(brand: Any) -> None:
    with in_brand(brand):
        first = jobs.start_job(brand, kind="test", title="regions", params={}, by=SYSTEM)
        assert jobs.start_job(brand, kind="test", title="regions", params={}, by=SYSTEM).pk == first.pk
    assert now_of(brand, first) == (Job.State.DONE, N)


def test_pause_and_resume(brand: Any) -> None:
    job = start(brand, stop_at=2, act="pause")
    assert now_of(brand, job) == (Job.State.PAUSED, 2)
    with tenant_scope(brand):
        jobs.resume(brand, job.pk)
    assert now_of(brand, job) == (Job.State.DONE, N)


def test_cancel_stands(brand: Any) -> None:
    job = start(brand, stop_at=3, act="cancel")
    assert now_of(brand, job) == (Job.State.CANCELLED, 3)
    with tenant_scope(brand), pytest.raises(ConflictError):
        jobs.resume(brand, job.pk)


def test_failure_is_told_and_can_be_taken_up(brand: Any) -> None:
    job = start(brand, fail_at=1)
    assert now_of(brand, job) == (Job.State.FAILED, 1)
    assert job.error == "row 3 cannot be read"
    with in_brand(brand):
        Job.objects.update(params={})
    with tenant_scope(brand):
        jobs.resume(brand, job.pk)
    assert now_of(brand, job) == (Job.State.DONE, N)


def test_a_killed_process_is_replaced_after_its_lease(brand: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        start(brand, crash_at=2)
    with in_brand(brand):
        job = Job.objects.get()
    assert now_of(brand, job) == (Job.State.RUNNING, 2)
    with tenant_scope(brand):
        assert jobs.stranded(brand) == [] and jobs.run(brand, job.pk) is None  # its lease still runs
        with clock.at(clock.now() + jobs.LEASE + timedelta(seconds=1)):
            assert jobs.stranded(brand) == [job.pk]
            jobs.run(brand, job.pk)
    assert now_of(brand, job) == (Job.State.DONE, N)


def test_another_brands_job_is_not_there(brand: Any, other_brand: Any) -> None:
    job = start(brand, stop_at=1, act="pause")
    with tenant_scope(other_brand), pytest.raises(NotFoundError):
        jobs.cancel(job.pk)
    assert now_of(brand, job) == (Job.State.PAUSED, 1)


def test_what_another_process_has_done_is_not_written_again(brand: Any) -> None:
    """Two at one step, the first of whom had lost its lease: the position tells the second one."""
    with in_brand(brand):
        job = Job.objects.create(kind="test", title="x", state=Job.State.RUNNING, position={"n": 1})
        mine = Job.objects.get(pk=job.pk)
        jobs.hold(mine)
        jobs.save_step(job, position={"n": 2})
        with pytest.raises(jobs.Stopped):
            jobs.hold(mine)
        mine.refresh_from_db()
        jobs.hold(mine)
