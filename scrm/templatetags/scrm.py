"""Template tags for the whole product (a builtin of every template)."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.utils.translation import gettext as _

from scrm import clock

register = template.Library()


@register.simple_tag(takes_context=True)
def when(context: dict, moment: datetime | None, style: str = "short") -> str:
    """A moment in the brand's zone: `short` (11-22 10:05; year if not this one), `full`, `date` or `ago`."""
    if moment is None:
        return "—"
    brand: Any = getattr(context.get("request"), "brand", None)
    local = moment.astimezone(ZoneInfo(brand.timezone if brand else "Asia/Shanghai"))
    if style == "ago":
        return ago(moment)
    if style == "date":
        return f"{local:%Y-%m-%d}"
    if style == "full":
        return f"{local:%Y-%m-%d %H:%M:%S}"
    return (
        f"{local:%m-%d %H:%M}"
        if local.year == clock.now().astimezone(local.tzinfo).year
        else f"{local:%Y-%m-%d %H:%M}"
    )


@register.filter
def ago(moment: datetime | None) -> str:
    """'3 min ago' in the reader's language."""
    if not moment:
        return "—"
    seconds = int((clock.now() - moment).total_seconds())
    if seconds < 5:
        return _("just now")
    for size, text in ((86400, _("%d d ago")), (3600, _("%d h ago")), (60, _("%d min ago"))):
        if seconds >= size:
            return text % (seconds // size)
    return _("%d s ago") % seconds


@register.filter
def number(value: Any) -> str:
    """12,345: separators every three digits, in Chinese too (Django has four there); a dash for nothing."""
    if value in (None, ""):
        return "—"
    return f"{value:,}" if isinstance(value, (int, float, Decimal)) else str(value)


@register.filter
def yuan(fen: int | None) -> str:
    """Fen as yuan: 1234 → ¥12.34."""
    return "—" if fen is None else f"¥{fen / 100:,.2f}"


@register.simple_tag(takes_context=True)
def can(context: dict, right: str) -> bool:
    """Whether the person who reads this page has a right."""
    actor: Any = getattr(context.get("request"), "actor", None)
    return bool(actor and actor.can(right))


@register.simple_tag(takes_context=True)
def query(context: dict, **changes: Any) -> str:
    """The present query string with some parameters changed; None removes one, `after` is always dropped."""
    params = context["request"].GET.copy()
    params.pop("after", None)
    for key, value in changes.items():
        params.pop(key, None)
        if value not in (None, ""):
            params[key] = str(value)
    return "?" + params.urlencode()
