"""How outside ids are written, so that the same one is always the same text."""

import re

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
