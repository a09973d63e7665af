"""Tags of the back office (`{% load platform %}`)."""

from typing import Any

from django import template
from django.utils.translation import gettext_lazy as lazy

register = template.Library()

# words of BrandHealth.problem, written by insights/services/health.py
PROBLEMS: dict[str, Any] = {
    "app_asleep": lazy("WeCom has put the app to sleep"),
    "corp_checks": lazy("The WeCom set-up has problems"),
    "inbox_late": lazy("Callbacks wait for longer than a minute"),
    "inbox_dead": lazy("Callbacks need a person"),
    "contact_quota": lazy("The contact quota is used up"),
    "contact_quota_near": lazy("The contact quota is nearly used up"),
    "staff_quota": lazy("The log-in quota is used up"),
}


@register.filter
def problem_words(problem: str) -> str:
    """`inbox_dead,staff_quota` in the reader's language."""
    return " · ".join(str(PROBLEMS.get(word, word)) for word in problem.split(",") if word)
