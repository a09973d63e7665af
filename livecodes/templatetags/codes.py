"""How pages of channel codes show numbers and states."""

from collections.abc import Sequence
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from livecodes.models import CodeHours, Welcome
from livecodes.services.rotation import Duty
from scrm.templatetags.frame import badge

register = template.Library()


@register.filter
def percent(ratio: float | None) -> str:
    """0.875 → 87.5 %; a dash for nothing."""
    return "—" if ratio is None else f"{100 * ratio:.1f}".removesuffix(".0") + " %"


@register.simple_tag
def duty_badge(duty: Duty) -> SafeString | str:
    """Why the code leads to these guides, if it is not simply their turn."""
    from livecodes.views.lists import duty_words

    words, look = duty_words(duty)
    return format_html(" {}", badge(words, look=look)) if words else ""


@register.filter
def weekdays(days: Sequence[int]) -> str:
    """[1, 2, 3, 4, 5, 7] → Mon–Fri, Sun; nothing or all seven: every day."""
    from livecodes.views.edit import weekday_names

    names, wanted = weekday_names(), sorted(set(days))
    if not wanted or len(wanted) == 7:
        return _("every day")
    runs: list[list[int]] = []
    for day in wanted:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    parts = [
        "–".join(dict.fromkeys([names[run[0] - 1], names[run[-1] - 1]]))
        if len(run) != 2
        else f"{names[run[0] - 1]}, {names[run[1] - 1]}"
        for run in runs
    ]
    return ", ".join(parts)


@register.filter
def hours_words(row: CodeHours) -> str:
    """Mon–Fri 09:00–18:00, for a line of working hours."""
    if row.start == row.end:
        return f"{weekdays(row.weekdays)} {_('all day')}"
    return f"{weekdays(row.weekdays)} {row.start:%H:%M}–{row.end:%H:%M}"


@register.filter
def conditions(row: Welcome) -> list[str]:
    """For whom and when a welcome is meant; empty: for everybody at any time."""
    found: list[Any] = []
    if row.audience != Welcome.Audience.ALL:
        found.append(row.get_audience_display())
    if row.gender is not None:
        found.append({0: _("gender unknown"), 1: _("men"), 2: _("women")}.get(row.gender, ""))
    if row.weekdays:
        found.append(weekdays(row.weekdays))
    if row.start and row.end:
        found.append(f"{row.start:%H:%M}–{row.end:%H:%M}")
    return [str(words) for words in found if words]
