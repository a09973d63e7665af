"""What all campaigns together do: the brand's hold-out group beside everybody else."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from campaigns.services.governance import hold_out
from campaigns.services.governance.hold_out import Difference
from campaigns.views.touches import tabs
from org.access import staff_can
from scrm.errors import ForbiddenError
from scrm.templatetags.scrm import yuan


@require_GET
@staff_can("sops.view")
def effect(request: Any) -> HttpResponse:
    """Figures of the whole brand: for who sees the whole brand.

    Raises:
        ForbiddenError: the role sees a part of the customers.
    """
    if not request.staff.sees_brand:
        raise ForbiddenError(_("These are figures of the whole brand; your role sees a part of it."))
    found = hold_out.effect_of(request.brand)
    context = {
        "effect": found,
        "tabs": tabs("effect"),
        "rows": rows_of(found, _("Customers when it began")) if found else [],
    }
    return render(request, "campaigns/touches/effect.html", context)


def rows_of(found: hold_out.Effect, people: str) -> list[dict[str, Any]]:
    """The comparison as rows of a table; `people` says who is counted."""
    held, others = found.held, found.others
    return [
        _row(people, f"{others.n:,}", f"{held.n:,}"),
        _row(_("Bought since"), _percent(others.bought), _percent(held.bought), found.bought, _points, good=1),
        _row(_("Paid per customer"), yuan(round(others.spent)), yuan(round(held.spent)), found.spent, _money, good=1),
        _row(_("Lost since"), _percent(others.lost), _percent(held.lost), found.lost, _points, good=-1),
    ]  # fmt: skip


def _row(
    label: str, others: str, held: str, difference: Difference | None = None, say: Any = str, good: int = 0
) -> dict[str, Any]:
    plain = _money if say is _money else _bare
    row: dict[str, Any] = {"label": label, "others": others, "held": held, "difference": None}
    if difference is not None:
        row |= {
            "difference": say(difference.value),
            "low": plain(difference.low),
            "high": plain(difference.high),
            "certain": difference.is_certain,
            "is_good": difference.value * good > 0,
        }
    return row


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _points(share: float) -> str:
    return _("%(n)s points") % {"n": f"{share * 100:+.2f}"}


def _bare(share: float) -> str:
    return f"{share * 100:+.2f}"


def _money(fen: float) -> str:
    return f"{'+' if fen >= 0 else '−'}{yuan(round(abs(fen)))}"
