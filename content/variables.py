"""Variables of texts: `{员工姓名}`, or `{门店|本店}` with words for when there is nothing to put in. Pure; one table for
the library, welcomes, SOPs and broadcasts.

A mass send has one text for all its receivers, so it can speak of the guide and the brand, never of the customer; a
welcome and a message from the sidebar go to one person and can.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from org.models import Staff
from scrm.errors import InvalidError
from tenants.models import Brand

TAIL_BYTES = 40
MAX_BYTES = 4000  # of the rendered text; developer.work.weixin.qq.com/document/path/92137


@dataclass(frozen=True)
class Variable:
    meaning: Any
    longest: int  # characters of the longest value to reckon with when a text is saved
    of_customer: bool = False


VARIABLES: dict[str, Variable] = {
    "客户昵称": Variable(gettext_lazy("Customer's nickname"), 32, True),
    "员工姓名": Variable(gettext_lazy("Guide's name"), 20),
    "品牌": Variable(gettext_lazy("Brand"), 60),
    "门店": Variable(gettext_lazy("Guide's store"), 60),
    "渠道": Variable(gettext_lazy("Channel code"), 60, True),
}
ALIASES = {
    "品牌名称": "品牌", "门店名称": "门店", "渠道名称": "渠道", "导购姓名": "员工姓名",
    "客户姓名": "客户昵称", "客户名称": "客户昵称", "昵称": "客户昵称",
}  # fmt: skip
# a missing value takes the comma before it along: 「你好，{客户昵称}」 → 「你好」
_VARIABLE = re.compile(r"(?P<before>[ ,，、]*)\{(?P<name>[^{}|\n]*)(?:\|(?P<fallback>[^{}\n]*))?\}")


def names_in(text: str) -> list[str]:
    """Names of the variables in a text, in order, repeats included; a known alias as the name it stands for."""
    return [plain(match["name"]) for match in _VARIABLE.finditer(text)]


def plain(name: str) -> str:
    return ALIASES.get(name.strip(), name.strip())


def of_customer(text: str) -> list[str]:
    """The variables that only a message to one person can fill in."""
    return [name for name in names_in(text) if name in VARIABLES and VARIABLES[name].of_customer]


def check(text: str, *, personal: bool = True, max_bytes: int = MAX_BYTES) -> None:
    """Whether a text may be saved.

    Args:
        personal: it goes to one person, so it may speak of the customer.

    Raises:
        InvalidError: a variable that does not exist (`variable_unknown`) or cannot be filled in here
            (`variable_per_customer`), or a text that is too long once names are filled in.
    """
    known = [n for n, variable in VARIABLES.items() if personal or not variable.of_customer]
    for name in names_in(text):
        if name not in VARIABLES:
            raise InvalidError(
                _("There is no variable {%(name)s}. Known are: %(known)s")
                % {"name": name, "known": " ".join(f"{{{n}}}" for n in known)},
                code="variable_unknown",
            )
        if name not in known:
            raise InvalidError(
                _(
                    "{%(name)s} cannot be used here: WeCom sends one and the same text to all customers of a"
                    " guide. In welcome messages and in the chat it can."
                )
                % {"name": name},
                code="variable_per_customer",
            )
    size = longest(text)
    if size > max_bytes:
        raise InvalidError(
            _(
                "The text is too long by about %(n)d Chinese characters: up to %(size)d bytes with names filled in,"
                " WeCom allows %(limit)d (a Chinese character counts 3)"
            )
            % {"size": size, "limit": max_bytes, "n": -(-(size - max_bytes) // 3)}
        )


def render(
    text: str, values: Mapping[str, str], *, max_bytes: int = MAX_BYTES, max_chars: int | None = None
) -> str:
    """The text with its variables filled in, cut to WeCom's limit at the end of a character.

    `{客户昵称|朋友}` says what stands in for a missing value; without it the variable and the comma before it
    go. Values are put in once: a nickname that looks like a variable stays as it is.
    """

    def fill(match: re.Match) -> str:
        value = (
            " ".join((values.get(plain(match["name"])) or "").split()) or (match["fallback"] or "").strip()
        )
        return match["before"] + value if value else ""

    filled = _VARIABLE.sub(fill, text)
    if max_chars is not None:
        filled = filled.strip()[:max_chars].strip()
    return filled.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")


def longest(text: str) -> int:
    """Bytes of the text when every variable has its longest value."""

    def fill(match: re.Match) -> str:
        variable = VARIABLES.get(plain(match["name"]))
        return match["before"] + max(
            "名" * (variable.longest if variable else 0), match["fallback"] or "", key=_size
        )

    # a tracked link grows by a signed tail when it is sent (services/links.py)
    return _size(_VARIABLE.sub(fill, text)) + TAIL_BYTES * text.count("/l/")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def values_for(
    *, brand: Brand, staff: Staff | None = None, customer: str = "", code: str = ""
) -> dict[str, str]:
    """Values of the variables; what is not known stays empty. The staff's store has to be loaded."""
    store = staff.store.name if staff and staff.store else ""
    return {
        "客户昵称": customer,
        "员工姓名": staff.name if staff else "",
        "品牌": brand.name,
        "门店": store,
        "渠道": code,
    }


def choices(*, personal: bool = True) -> list[dict[str, Any]]:
    """For the buttons of an editor: {name, meaning, longest}."""
    return [
        {"name": name, "meaning": str(v.meaning), "longest": v.longest}
        for name, v in VARIABLES.items()
        if personal or not v.of_customer
    ]
