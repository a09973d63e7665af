"""Celery application: queues `fast` (callbacks, welcome), `default` (ticks, reactions), `bulk` (sync, imports)."""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import task_prerun, worker_init, worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")

app = Celery("scrm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def refuse_privileged_role(**kwargs: Any) -> None:
    """A worker that row-level security does not bind must not start."""
    from django.db import connections

    from tenants import checks

    if problem := checks.refuse_privileged_role():
        raise SystemExit(problem)
    connections.close_all()  # children open their own


@worker_process_init.connect
def calm_collector(**kwargs: Any) -> None:
    """Sets of thousands of rows are no cycles: looked through at Python's usual pace, together with all that is loaded,
    they cost a quarter of a batch of SOP steps."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@task_prerun.connect
def drop_dead_connections(task: Any, **kwargs: Any) -> None:
    """Before each task as before each request: connections that are broken or old are given up."""
    from django.db import close_old_connections

    if not task.request.is_eager:
        close_old_connections()
