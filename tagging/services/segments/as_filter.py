"""Segments as the customer list filters by them, through contacts/hooks.py."""

from collections.abc import Sequence

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from scrm.errors import NotFoundError
from tagging.models import Segment, Tag
from tagging.services.segments.audience import Audience
from tagging.services.segments.snapshots import condition_of
from tenants.models import Brand


def bits_of(brand: Brand, segment_id: int) -> bytes:
    """Who is in a segment now, as `Audience.packed`.

    Raises:
        NotFoundError: another brand's, or deleted; never taken to mean everybody.
        ConditionError: its condition cannot be read any more.
    """
    segment = _there([segment_id]).first()
    if segment is None:
        raise NotFoundError(_("This segment does not exist, or was deleted"))
    return Audience(brand, condition_of(segment)).packed()


def tag_bits(brand: Brand, tag_ids: Sequence[int]) -> bytes:
    """Who carries at least one of some tags, as `Audience.packed`; deleted tags and another brand's are carried by nobody."""
    alive = sorted(Tag.objects.filter(pk__in=tag_ids, deleted_at=None).values_list("pk", flat=True))
    return Audience(brand, {"kind": "tags", "mode": "any", "ids": alive}).packed() if alive else b""


def names_of(segment_ids: list[int]) -> dict[int, str]:
    return dict(_there(segment_ids).values_list("pk", "name"))


def choices() -> list[tuple[int, str]]:
    """(id, name) of all segments."""
    return list(Segment.objects.filter(deleted_at=None).order_by("name", "pk").values_list("pk", "name"))


def _there(segment_ids: list[int]) -> QuerySet[Segment]:
    return Segment.objects.filter(pk__in=segment_ids, deleted_at=None)
