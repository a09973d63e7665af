"""WSGI entry for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
application = get_wsgi_application()

from tenants.checks import refuse_privileged_role  # noqa: E402

if problem := refuse_privileged_role():
    raise SystemExit(problem)
