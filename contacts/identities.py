"""How outside ids are written, so that the same one is always the same text."""

import re
from collections.abc import Callable

from contacts.models import Identity


def normal(kind: str, value: str) -> str:
    """An identity's value as it is kept: without blanks around it; of a phone number the digits, without China's
    +86 or 0086. Empty for a phone number that cannot be one."""
    value = value.replace("\x00", "").strip()
    if kind != Identity.Kind.PHONE:
        return value
    found = re.sub(r"\D", "", value)
    found = re.sub(r"^(?:00)?86(?=1\d{10}$)", "", found)
    return found if 6 <= len(found) <= 20 else ""


def mask_phone(phone: str) -> str:
    """138****8000: enough to recognise a number, not to call it."""
    return phone[:3] + "*" * max(len(phone) - 7, 1) + phone[-4:] if len(phone) > 7 else "*" * len(phone)


def readable(kind: str, value: str, may_phones: bool) -> str:
    """An outside id as somebody may read it: phone numbers whole only with the right `contacts.phones`."""
    return value if may_phones or kind != Identity.Kind.PHONE else mask_phone(value)


def masked(value: str) -> str:
    """The first and last characters of an id, enough to compare and not enough to use."""
    keep = 3 if len(value) >= 10 else 1
    return f"{value[:keep]}{'•' * 5}{value[-keep:]}" if len(value) > 2 else "•" * 5


def listed(kind: str, value: str, can: Callable[[str], bool]) -> str:
    """An outside id on a page, in a list and in a file: a phone number whole with the right `contacts.phones`, an id of
    WeChat's with `contacts.edit`, the brand's own member number always. (API keys read contacts to join them with
    another system by such ids: there only phone numbers are masked.)

    Args:
        can: whether whoever reads it has a right.
    """
    if kind in (Identity.Kind.PHONE, Identity.Kind.MEMBER_NO) or can("contacts.edit"):
        return readable(kind, value, can("contacts.phones"))
    return masked(value)
