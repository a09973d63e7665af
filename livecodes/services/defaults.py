"""Welcomes that belong to no code: the brand's own, and those of a guide or a department. Codes come first
(services/welcome.py)."""

from django.db import transaction
from django.utils.translation import gettext as _

from livecodes.models import Welcome
from livecodes.services.content import WelcomeInput, check_welcomes, new_welcome
from livecodes.services.warm import warm_later
from org import audit
from org.access import Actor
from org.models import Department
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand

MAX_DEFAULTS = 500


@transaction.atomic
def save_default(brand: Brand, *, by: Actor, given: WelcomeInput, welcome_id: int | None = None) -> Welcome:
    """A new default welcome, or a changed one.

    Raises:
        InvalidError: what is wrong with it. NotFoundError: a guide, department or welcome of another brand.
    """
    if given.staff_id and given.department_wecom_id:
        raise InvalidError(_("Choose a guide or a department, not both"))
    department = given.department_wecom_id
    if department is not None and not Department.objects.filter(wecom_id=department).exists():
        raise NotFoundError()
    (clean,) = check_welcomes([given])
    row = new_welcome(given, clean)
    before: dict = {}
    if welcome_id is None:
        if Welcome.objects.filter(code=None).count() >= MAX_DEFAULTS:
            raise InvalidError(_("At most %(n)d welcomes") % {"n": MAX_DEFAULTS})
    else:
        old = get_default(welcome_id)
        before, row.pk = _as_audit(old), old.pk
        row._state.adding = False
    row.save()
    warm_later(brand, [given])
    audit.record(
        by,
        "welcome.edit" if before else "welcome.create",
        row,
        before=before,
        after=_as_audit(row),
        name=_name(row),
    )
    return row


@transaction.atomic
def delete_default(brand: Brand, *, by: Actor, welcome_id: int) -> None:
    row = get_default(welcome_id)
    audit.record(by, "welcome.delete", row, before=_as_audit(row), name=_name(row))
    row.delete()


def get_default(welcome_id: int) -> Welcome:
    """
    Raises:
        NotFoundError: no such default welcome in this brand.
    """
    row = Welcome.objects.select_related("staff").filter(pk=welcome_id, code=None).first()
    if row is None:
        raise NotFoundError()
    return row


def _as_audit(row: Welcome) -> dict:
    fields = ["staff_id", "department_wecom_id", "audience", "gender", "weekdays", "start", "end", "text"]
    return {**audit.snapshot(row, fields), "attachments": len(row.attachments)}


def _name(row: Welcome) -> str:
    return row.text[:40] or _("Welcome")
