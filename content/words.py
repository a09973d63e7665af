"""Sensitive words in a text. Pure: the brand's list comes from services/sensitive.py."""

import re
import unicodedata

# what people put between the characters to slip through: spaces, dots, zero-width marks
_BETWEEN = re.compile(r"[\s\u200b-\u200f\u2060\ufeff·•.。,，、_*~\-]+")


def plain(text: str) -> str:
    """The text as it is compared: one width, no case, nothing between the characters."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
