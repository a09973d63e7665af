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
