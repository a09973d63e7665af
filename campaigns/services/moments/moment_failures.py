"""A moment that goes to nobody: written with its reason, and who launched it is told, once."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Moment
from campaigns.services import launchers
from scrm import clock

PROBLEMS = {
    "late": gettext_lazy("It came too late: nobody is given a moment so long after its time"),
    "guides": gettext_lazy("None of the guides chosen can publish any more"),
    "tags": gettext_lazy("WeCom knows none of the tags chosen any more"),
    "job": gettext_lazy("WeCom lost it: it is not among its records a day later"),
}


def reason_of(error: str) -> str:
    """Why a moment is not out, in words; WeCom's own as they are."""
    return str(PROBLEMS.get(error, error))


@transaction.atomic
def fail(moment: Moment, error: str, rows: "QuerySet[Moment]", **values: Any) -> bool:
    """Final. False, and nobody is told, where `rows` no longer holds it: somebody else has taken it over.

    Args:
        error: a key of PROBLEMS, or WeCom's words.
        rows: the moment, as long as it is what this process has seen.
        values: other columns.
    """
    values |= {"state": Moment.State.FAILED, "ended_at": clock.now(), "error": error[:500]}
    if not rows.filter(pk=moment.pk).update(**values):
        return False
    title = _("The moment “%(name)s” went to nobody") % {"name": moment.name}
    text, url = f"{title}\n{reason_of(error)}", f"/moments/{moment.pk}/"
    launchers.tell(
        moment.brand, moment, key=f"moment-failed:{moment.pk}", text=text, url=url
    )  # an SOP's: at its node
    return True
