"""欢迎语: which welcome a new customer gets and what it says. Pure, but for `candidates`."""

from collections.abc import Iterable
from datetime import datetime, time
from typing import Any, Protocol, TypeVar

from django.db.models import Q

from content import variables
from livecodes.models import Welcome
from livecodes.services.rotation import Hours
from org.models import Staff
from tenants.models import Brand

MAX_REMARK = 20  # characters; path/92115


class WelcomeLike(Protocol):
    """What `choose` reads of livecodes.models.Welcome."""

    pk: Any
    code_id: int | None
    staff_id: int | None
    department_wecom_id: int | None
    audience: str
    gender: int | None
    weekdays: list[int]
    start: time | None
    end: time | None


W = TypeVar("W", bound=WelcomeLike)


# ---- choosing


def choose(
    welcomes: Iterable[W],
    *,
    code_id: int | None,
    staff_id: int,
    department_ids: Iterable[int],
    local: datetime,
    is_returning: bool,
    gender: int = 0,
) -> W | None:
    """The most specific welcome that fits, or None.

    Code and guide go before code and department, code, guide, department, brand; in one place the one with
    more conditions (hours, weekdays, audience, gender) wins, then the older. One that does not fit now
    leaves room for a less specific one.

    Args:
        local: now, in the brand's zone.
        gender: WeCom's number; 0 unknown, which fits no welcome that asks for one.
    """
    departments = set(department_ids)
    fitting = [
        w
        for w in welcomes
        if w.code_id in (None, code_id)
        and w.staff_id in (None, staff_id)
        and (w.department_wecom_id is None or w.department_wecom_id in departments)
        and w.audience
        in (Welcome.Audience.ALL, Welcome.Audience.RETURNING if is_returning else Welcome.Audience.NEW)
        and (w.gender is None or w.gender == gender)
        and _is_time(w, local)
    ]
    return max(fitting, key=_rank, default=None)


def _is_time(welcome: WelcomeLike, local: datetime) -> bool:
    weekdays = frozenset(welcome.weekdays or range(1, 8))
    if welcome.start is None or welcome.end is None:
        return local.isoweekday() in weekdays
    return Hours(weekdays, welcome.start, welcome.end).hold(local)


def _rank(welcome: WelcomeLike) -> tuple:
    conditions = (
        welcome.start is not None,
        bool(welcome.weekdays),
        welcome.audience != Welcome.Audience.ALL,
        welcome.gender is not None,
    )
    return (
        welcome.code_id is not None,
        welcome.staff_id is not None,
        welcome.department_wecom_id is not None,
        sum(conditions),
        conditions,
        -welcome.pk,
    )


def candidates(brand: Brand, *, code_id: int | None, staff: Staff) -> list[Welcome]:
    """All welcomes that may be meant for a customer of this code and guide; one query."""
    return list(
        Welcome.objects.filter(
            Q(code=None) if code_id is None else Q(code=None) | Q(code=code_id),
            Q(staff=None) | Q(staff=staff.pk),
            Q(department_wecom_id=None) | Q(department_wecom_id__in=staff.department_ids),
        )
    )


# ---- words


def needs_name(text: str) -> bool:
    """Whether a text cannot be written before the customer's name is known."""
    return "客户昵称" in variables.names_in(text)
