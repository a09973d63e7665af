"""When guides are reminded of tasks and managers told, how far tasks may be put off (staff_task_notices.py, task_later.py)."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.models import TaskPolicy
from org import audit
from org.access import Actor
from scrm.errors import InvalidError
from tenants.models import Brand

LIMITS = {
    "remind_hours": (1, 72),
    "escalate_hours": (0, 168),
    "send_hours": (1, 720),
    "later_hours": (0, 168),
}


def policy_of(brand: Brand) -> TaskPolicy:
    """The brand's policy; the default (not saved) where nobody has set one."""
    return TaskPolicy.objects.first() or TaskPolicy()


@transaction.atomic
def change_policy(brand: Brand, *, by: Actor, **values: int) -> TaskPolicy:
    """Some of LIMITS; it holds from the next round on. What has been told is not told again.

    Raises:
        InvalidError: `fields` names what is wrong.
    """
    row = TaskPolicy.objects.select_for_update().first() or TaskPolicy()
    before = audit.snapshot(row, list(LIMITS))
    wrong: dict[str, Any] = {}
    for name, value in values.items():
        least, most = LIMITS[name]
        if not isinstance(value, int) or not least <= value <= most:
            wrong[name] = _("Between %(a)s and %(b)s") % {"a": least, "b": most}
        setattr(row, name, value)
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)
    row.save()
    after = audit.snapshot(row, list(LIMITS))
    audit.record(by, "task_policy.edit", row, name=_("Guides' tasks"), before=before, after=after)
    return row
