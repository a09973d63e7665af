"""Celery application: queues `fast` (callbacks, welcome), `default` (ticks, reactions), `bulk` (sync, imports)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")

app = Celery("scrm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
