"""What the forms of this app share."""

from collections.abc import Collection
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from org.access import RIGHTS
from org.services.roles import GROUPS
from scrm.errors import SCRMError
from scrm.responses import flash

# the zones that brands are likely to live in; any IANA name works in the data
ZONES = [
    (name, name)
    for name in (
        "Asia/Shanghai", "Asia/Urumqi", "Asia/Hong_Kong", "Asia/Macau", "Asia/Taipei", "Asia/Singapore",
        "Asia/Kuala_Lumpur", "Asia/Bangkok", "Asia/Jakarta", "Asia/Tokyo", "Asia/Seoul", "Asia/Dubai",
        "Europe/London", "Europe/Paris", "Australia/Sydney", "America/New_York", "America/Los_Angeles", "UTC",
    )
]  # fmt: skip


def add_errors(form: forms.Form, error: SCRMError) -> None:
    """Puts a service's refusal beside the fields that it names (`details["fields"]`), or above the form."""
    fields: dict[str, Any] = error.details.get("fields", {})
    for name, text in fields.items():
        form.add_error(name if name in form.fields else None, str(text))
    if not fields:
        form.add_error(None, str(error.message))


def is_for_saving(request: Any, form: forms.Form) -> bool:
    """Whether a form was sent to be saved and can be. What somebody had typed when their session ended comes back by the
    same way (frontend/static/kept.js): that is drawn and not saved, and said."""
    if "brought_back" in request.POST:
        flash(request, _("What you wrote before you were signed out is back. It is not saved yet."), "info")
        return False
    return request.method == "POST" and form.is_valid()


class RightsField(forms.MultipleChoiceField):
    """Rights as checkboxes in groups; the page draws them from `right_groups`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=gettext_lazy("Rights"),
            choices=list(RIGHTS.items()),
            required=False,
            widget=forms.CheckboxSelectMultiple,
            **kwargs,
        )


def right_groups(
    chosen: Collection[str], *, allowed: Collection[str]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Groups of {right, text, on, may}; `may`: the person who edits has it and can give it."""
    names = {
        "overview": _("Overview"),
        "contacts": _("Customers"),
        "segments": _("Tags and segments"),
        "orders": _("Products and orders"),
        "codes": _("Channel codes"),
        "sops": _("SOPs, broadcasts and touches"),
        "tasks": _("Tasks of guides"),
        "content": _("Content library"),
        "groups": _("Groups and hand-overs"),
        "files": _("Imports and exports"),
        "wecom": _("WeCom"),
        "brand": _("Administration"),
    }
    return [
        (
            names[key],
            [{"right": r, "text": RIGHTS[r], "on": r in chosen, "may": r in allowed} for r in rights],
        )
        for key, rights in GROUPS
    ]
