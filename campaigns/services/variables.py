"""Variables in the text of an SOP step: `{员工姓名}`, or `{门店|本店}` with words for when there is nothing
to put in.

A mass send has one content for all its receivers, so a step can speak of the guide and the brand, never of
the customer.
"""

import re
from collections.abc import Iterable

from django.utils.translation import gettext as _

from org.models import Staff
from scrm.errors import InvalidError
from tenants.models import Brand

_VARIABLE = re.compile(r"\{([^{}|\n]{1,20})(?:\|([^{}\n]{0,40}))?\}")
NAMES = ("员工姓名", "门店", "品牌")
ALIASES = {"门店名称": "门店", "品牌名称": "品牌"}
OF_A_CUSTOMER = ("客户昵称", "客户姓名", "客户备注", "昵称")
TEXT_BYTES = 4000  # WeCom's limit, in UTF-8
_LONGEST = "字" * 30  # stands for a long name when lengths are checked


def check_text(text: str) -> None:
    """Whether every variable can be filled in and the text stays within WeCom's 4,000 bytes.

    Raises:
        InvalidError: says which variable, and why not.
    """
    for name in names_in(text):
        if name in OF_A_CUSTOMER:
            raise InvalidError(
                _(
                    "{%(name)s} cannot be used in an SOP: WeCom sends one and the same text to all"
                    " customers of a guide."
                    " In welcome messages it can."
                )
                % {"name": name},
                code="variable_per_customer",
            )
        if name not in NAMES:
            raise InvalidError(
                _("There is no variable {%(name)s}. Known ones: %(known)s")
                % {"name": name, "known": " ".join(f"{{{n}}}" for n in NAMES)},
                code="variable_unknown",
            )
    if len(_VARIABLE.sub(_LONGEST, text).encode()) > TEXT_BYTES:
        raise InvalidError(_("The text is too long: WeCom takes 4,000 bytes, about 1,300 Chinese characters"))


def names_in(text: str) -> Iterable[str]:
    """Names of the variables in a text, in order, repeats included."""
    return (_name(match) for match in _VARIABLE.finditer(text))


def _name(match: re.Match[str]) -> str:
    name = match[1].strip()
    return ALIASES.get(name, name)


def fill_in(text: str, *, brand: Brand, staff: Staff) -> str:
    """The text as one guide sends it. The staff's store has to be loaded.

    Raises:
        KeyError: an unknown variable (`check_text` keeps them out).
    """
    values = {
        "员工姓名": staff.name,
        "门店": staff.store.name if staff.store else "",
        "品牌": brand.name,
    }
    return _VARIABLE.sub(lambda match: values[_name(match)] or match[2] or "", text)
