"""Who of some people fulfils a condition: a few are looked up, many are tested in the bitmap of everybody."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import connection

from campaigns.services.ledger.touches import array
from tagging.models import BITS
from tagging.services.segments.audience import Audience
from tenants.models import Brand

FEW = 500


def holds_for(brand: Brand, condition: Any, contact_ids: Collection[int], *, now: datetime) -> set[int]:
    """Those for whom a condition holds at `now`.

    Raises:
        SCRMError: it cannot be read any more (a segment was deleted).
    """
    if not contact_ids:
        return set()
    audience = Audience(brand, condition, now=now)
    if len(contact_ids) <= FEW:
        return audience.has(contact_ids)
    chunks = audience.bitmap()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT contact_id, position FROM contacts_contactstat WHERE brand_id = %s AND contact_id = ANY(%s::bigint[])",
            [brand.pk, array(contact_ids)],
        )
        return {contact_id for contact_id, position in cursor.fetchall() if _bit(chunks, position)}


def _bit(chunks: dict[int, bytes], position: int) -> int:
    packed = chunks.get(position // BITS)
    place = position % BITS
    return packed[place >> 3] >> (7 - (place & 7)) & 1 if packed else 0
