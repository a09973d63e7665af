"""欢迎语: which welcome a new customer gets and what it says. Pure, but for `candidates`."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, time
from typing import Any, Protocol, TypeVar

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from livecodes.models import Welcome
from livecodes.services.rotation import Hours
from org.models import Staff
from scrm.errors import InvalidError
from tenants.models import Brand

MAX_BYTES = 4000  # of the rendered text; developer.work.weixin.qq.com/document/path/92137
MAX_REMARK = 20  # characters; path/92115

# name in the text → what it is, for the buttons of the editor, and the longest value to reckon with when a
# text is saved
VARIABLES: dict[str, tuple[Any, int]] = {
    "客户昵称": (gettext_lazy("Customer's nickname"), 32),
    "员工姓名": (gettext_lazy("Guide's name"), 20),
    "品牌": (gettext_lazy("Brand"), 60),
    "门店": (gettext_lazy("Guide's store"), 60),
    "渠道": (gettext_lazy("Channel code"), 60),
}
ALIASES = {"品牌名称": "品牌", "门店名称": "门店", "渠道名称": "渠道"}  # the words that SOPs use
_VARIABLE = re.compile(r"(?P<before>[ ,，、]*)\{(?P<name>[^{}|\n]*)(?:\|(?P<fallback>[^{}\n]*))?\}")


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


def render(
    text: str, values: Mapping[str, str], *, max_bytes: int = MAX_BYTES, max_chars: int | None = None
) -> str:
    """The text with its variables filled in, cut to WeCom's limit at the end of a character.

    `{客户昵称|朋友}` says what stands in for a missing value; without it the variable and the comma before it
    go. Values are put in once: a nickname that looks like a variable stays as it is.
    """

    def fill(match: re.Match) -> str:
        value = (
            " ".join((values.get(_plain(match["name"])) or "").split()) or (match["fallback"] or "").strip()
        )
        return match["before"] + value if value else ""

    filled = _VARIABLE.sub(fill, text)
    if max_chars is not None:
        filled = filled.strip()[:max_chars].strip()
    return filled.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")


def variables_in(text: str) -> list[str]:
    """Names of the variables in a text, in order; a known alias as the name it stands for."""
    return [_plain(match["name"]) for match in _VARIABLE.finditer(text)]


def _plain(name: str) -> str:
    return ALIASES.get(name.strip(), name.strip())


def needs_name(text: str) -> bool:
    """Whether a text cannot be written before the customer's name is known."""
    return "客户昵称" in variables_in(text)


def check_words(text: str, *, max_bytes: int = MAX_BYTES) -> None:
    """Whether a text may be saved.

    Raises:
        InvalidError: a variable that does not exist, or too long once names are filled in.
    """
    for name in variables_in(text):
        if name not in VARIABLES:
            raise InvalidError(
                _("There is no variable {%(name)s}. Known are: %(known)s")
                % {"name": name, "known": " ".join(f"{{{known}}}" for known in VARIABLES)}
            )
    size = longest(text)
    if size > max_bytes:
        raise InvalidError(
            _(
                "The text is too long: up to %(size)d bytes with names filled in, WeCom allows %(limit)d"
                " (a Chinese character counts 3)"
            )
            % {"size": size, "limit": max_bytes}
        )


def longest(text: str) -> int:
    """Bytes of the text when every variable has its longest value."""

    def fill(match: re.Match) -> str:
        return match["before"] + max(
            "名" * VARIABLES.get(_plain(match["name"]), ("", 0))[1], match["fallback"] or "", key=_size
        )

    return _size(_VARIABLE.sub(fill, text))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def values_for(
    *, customer: str, staff: Staff, brand: Brand, store: str = "", code: str = ""
) -> dict[str, str]:
    """Values of the variables; `customer` is empty while the name is not known."""
    return {"客户昵称": customer, "员工姓名": staff.name, "品牌": brand.name, "门店": store, "渠道": code}
