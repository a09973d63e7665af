"""Channel codes that give a tag: told to the tag library before a tag is deleted or merged
(tagging/services/tags/references.py)."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from livecodes.models import CodeTag
from tagging.services.tags.references import Use
from tenants.models import Brand


def tag_uses(brand: Brand, tag_ids: Sequence[int]) -> list[Use]:
    """The codes that give one of some tags."""
    rows = CodeTag.objects.filter(tag__in=list(tag_ids), code__deleted_at=None).select_related("code")
    return [
        Use(row.tag_id, _("Channel code"), row.code.name, f"/codes/{row.code_id}/")
        for row in rows.order_by("code__name")
    ]


def replace_tag(brand: Brand, old_id: int, new_id: int) -> int:
    """Codes give another tag from now on; gives how many codes."""
    rows = CodeTag.objects.filter(tag=old_id)
    n = rows.count()
    rows.filter(code__in=CodeTag.objects.filter(tag=new_id).values("code")).delete()
    CodeTag.objects.filter(tag=old_id).update(tag=new_id)
    return n
