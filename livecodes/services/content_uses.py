"""Welcomes that say what stands in the library (content/hooks.py)."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from content.hooks import Use
from livecodes.models import Welcome
from tenants.models import Brand


def uses(brand: Brand, version_ids: Sequence[int]) -> list[Use]:
    rows = Welcome.objects.filter(content_id__in=version_ids).select_related("code").order_by("-pk")[:50]
    return [
        {
            "version_id": row.content_id or 0,
            "kind": _("Welcome message"),
            "name": row.code.name if row.code else _("Default welcome"),
            "url": f"/codes/{row.code_id}/" if row.code_id else f"/codes/welcomes/{row.pk}/",
            "is_live": row.code is None or row.code.deleted_at is None,
        }
        for row in rows
    ]
