"""What the forms of this app share."""

from typing import Any

from django import forms

from scrm.errors import SCRMError

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
