"""The text of an event, in which conditions and rules look for words: what its data holds under these keys."""

from collections.abc import Mapping
from typing import Any

KEYS = ("text", "word", "title", "code", "page", "query")


def text_of(data: Mapping[str, Any]) -> str:
    return " ".join(str(data[key]) for key in KEYS if data.get(key) is not None)


def holds_sql(data: str, words: str) -> str:
    """The test that the text holds one of some words, whatever their case.

    Args:
        data: the column.
        words: the parameter, a list of texts.
    """
    text = ", ".join(f"{data} ->> '{key}'" for key in KEYS)
    return (
        f"EXISTS (SELECT 1 FROM unnest({words}::text[]) w"  # noqa: S608
        f" WHERE strpos(lower(concat_ws(' ', {text})), lower(w)) > 0)"
    )
