"""Project package: settings, clock, errors; no rules of the trade."""

from scrm.celery import app as celery_app

__all__ = ["celery_app"]
