"""Texts in files that a spreadsheet opens: what it would run as a formula is kept from running. Pure.

Source: owasp.org/www-community/attacks/CSV_Injection
"""

import re
from typing import Any

_NUMBER = re.compile(r"[-+]?[\d,.]+%?")
_START = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(value: Any) -> str:
    """A text with an apostrophe before what would be a formula. Numbers and phone numbers with a sign stay; an import
    takes the apostrophe off again."""
    text = "" if value is None else str(value)
    if text.lstrip(" ").startswith(_START) and not _NUMBER.fullmatch(text.strip()):
        return "'" + text
    return text
