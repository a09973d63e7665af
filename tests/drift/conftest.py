"""A corp that was synced once, so that there is something to compare."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from contacts.services.sync import sync
from drift.models import DriftRun
from drift.services import repairs, runs
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm.celery import app
from tenants.scoping import tenant_scope
from tests.contacts.conftest import connected
from tests.factories import in_brand
from tests.wecom.conftest import words_in_english
from tests.wecom.sandbox_client import sandbox, sandbox_server

__all__ = ["connected", "sandbox", "sandbox_server", "words_in_english"]


@pytest.fixture(autouse=True)
def queued() -> Iterator[None]:
    """Jobs only start when a test runs them."""
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


def run_job(world: SimpleNamespace, job: Job) -> Job:
    with tenant_scope(world.brand):
        done = jobs.run(world.brand, job.pk)
    assert done is not None
    return done


@pytest.fixture
def reconcile() -> Callable[..., DriftRun]:
    """One reconciliation to its end."""

    def run(world: SimpleNamespace, **over: Any) -> DriftRun:
        with in_brand(world.brand):
            world.corp.refresh_from_db()
            job = runs.start_run(world.brand, corp=world.corp, by=SYSTEM)
        done = run_job(world, job)
        assert (done.state, done.error) == ("done", "")
        with in_brand(world.brand):
            return DriftRun.objects.get(job_id=job.pk)

    return run


@pytest.fixture
def repair() -> Callable[..., Job]:
    """A repair to its end."""

    def run(world: SimpleNamespace, **what: Any) -> Job:
        with in_brand(world.brand):
            job = repairs.start_repair(world.brand, by=SYSTEM, **what)
        done = run_job(world, job)
        assert (done.state, done.error) == ("done", "")
        return done

    return run


def full_sync(world: SimpleNamespace) -> None:
    with in_brand(world.brand):
        job = sync.start_sync(world.brand, corp=world.corp, by=SYSTEM)
    assert run_job(world, job).state == "done"
