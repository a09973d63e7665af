"""Tags that lists of numbers give: told before a tag is deleted or merged (tagging/services/tags/references.py)."""

from collections.abc import Sequence

from django.db import connection
from django.utils.translation import gettext as _

from guides.models import Lead, LeadList
from tagging.named import swapped
from tagging.services.tags.references import Use
from tenants.models import Brand


def tag_uses(brand: Brand, tag_ids: Sequence[int]) -> list[Use]:
    """The open lists that give one of some tags, to all or to some of their numbers."""
    wanted = set(tag_ids)
    lists = LeadList.objects.filter(closed_at=None)
    found = {row.pk: wanted & set(row.tag_ids) for row in lists.filter(tag_ids__overlap=list(wanted))}
    own = Lead.objects.filter(list__in=lists, state__in=Lead.MATCHED, tag_ids__overlap=list(wanted))
    for list_id, ids in own.values_list("list_id", "tag_ids").distinct():
        found.setdefault(list_id, set()).update(wanted & set(ids))
    return [
        Use(tag_id, _("List of numbers"), row.name, f"/leads/{row.pk}/")
        for row in lists.filter(pk__in=found).order_by("-pk")
        for tag_id in sorted(found[row.pk])
    ]


def replace_tag(brand: Brand, old_id: int, new_id: int) -> int:
    """Lists, and numbers with tags of their own, give another tag from now on; gives how many lists."""
    lists = list(LeadList.objects.filter(tag_ids__contains=[old_id]).select_for_update(no_key=True))
    for row in lists:
        row.tag_ids = swapped(row.tag_ids, old_id, new_id)
        row.save(update_fields=["tag_ids"])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE guides_lead SET tag_ids = CASE WHEN tag_ids @> %(new)s::bigint[]"
            " THEN array_remove(tag_ids, %(old_id)s::bigint) ELSE"
            " array_replace(tag_ids, %(old_id)s::bigint, %(new_id)s::bigint) END"
            " WHERE brand_id = %(brand)s AND tag_ids @> %(old)s::bigint[]",
            {"brand": brand.pk, "old": [old_id], "new": [new_id], "old_id": old_id, "new_id": new_id},
        )
    return len(lists)
