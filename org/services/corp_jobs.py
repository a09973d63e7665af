"""Jobs about one corp of a brand: the title names it, and it may be removed before they end."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from org.access import Actor
from org.models import Corp, Job
from org.services.jobs import start_job
from scrm.errors import NotFoundError
from tenants.models import Brand


def start(brand: Brand, *, kind: str, title: Promise, corp: Corp, by: Actor, **params: Any) -> Job:
    """Start a job in the caller's transaction; one of this kind and corp that lives is returned.

    Args:
        title: lazy words with `%(name)s` for the corp.
    """
    with translation.override(settings.LANGUAGE_CODE):  # the title is what makes a job one
        words = str(title) % {"name": corp.name}
    return start_job(brand, kind=kind, title=words, params={"corp_id": corp.pk, **params}, by=by)


def corp_of(job: Job) -> Corp:
    """The corp of a job, read in a transaction.

    Raises:
        NotFoundError: it was removed.
    """
    with transaction.atomic():
        corp = Corp.objects.filter(pk=job.params["corp_id"]).first()
    if corp is None:
        raise NotFoundError(_("The corp was removed"))
    return corp
