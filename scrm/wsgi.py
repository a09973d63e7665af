"""WSGI entry for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
application = get_wsgi_application()

from django.urls import get_resolver  # noqa: E402

from tenants.checks import refuse_privileged_role  # noqa: E402

get_resolver().url_patterns  # noqa: B018  # imports all pages now: no first callback waits for that
if problem := refuse_privileged_role():
    raise SystemExit(problem)
