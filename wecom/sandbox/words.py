"""Template tags. {% w "中文" "English" %} prints one of the two: the sandbox keeps both beside each other."""

import datetime
import hashlib
from typing import Any
from zoneinfo import ZoneInfo

from django import template

register = template.Library()
SHANGHAI = ZoneInfo("Asia/Shanghai")


@register.simple_tag(takes_context=True)
def w(context: dict[str, Any], chinese: str, english: str) -> str:
    """One of two texts by the page's language."""
    return english if context.get("lang") == "en" else chinese


@register.filter
def moment(seconds: float | None) -> str:
    """Unix seconds as a Shanghai date and time."""
    if not seconds:
        return ""
    return datetime.datetime.fromtimestamp(seconds, SHANGHAI).strftime("%m-%d %H:%M:%S")


@register.filter
def minutes(seconds: int) -> str:
    """+2 min, −10 min."""
    return f"{'+' if seconds > 0 else '−'}{abs(seconds) // 60} min"


@register.filter
def yuan(fen: int) -> str:
    """Fen as yuan."""
    return f"{fen / 100:,.2f}"


@register.filter
def hundred(share: float) -> str:
    """A share in per cent, without the sign."""
    return f"{share * 100:g}"


@register.filter
def percent(share: float) -> str:
    """A share in per cent."""
    return f"{share * 100:g}%"


@register.filter
def hue(key: str) -> int:
    """A colour (degrees) that stays the same for the same person."""
    return hashlib.blake2b(str(key).encode(), digest_size=2).digest()[0] * 360 // 256


@register.filter
def letter(name: str) -> str:
    """First letter of a name, for a face."""
    return (name or "?").strip()[:1].upper() or "?"


@register.filter
def of(table: dict[Any, Any], key: Any) -> Any:
    """table[key], or nothing."""
    return table.get(key, "")
