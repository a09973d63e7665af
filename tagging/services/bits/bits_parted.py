"""Bits of two people who had been taken for one."""

from collections.abc import Iterable, Sequence

from django.db import connection
from django.utils.module_loading import import_string

from tagging.models import BITS, Dim
from tagging.services.bits.bits import clear_bits, contacts_changed, flush, set_bits
from tagging.services.bits.bits_check import truth_of
from tenants.models import Brand

Bit = tuple[int, int]  # dim, val
MARK_TOUCHES = "campaigns.services.ledger.planes.mark_vals"  # an app above this one counts them
READ = (
    Dim.TAG,
    Dim.STAFF,
    Dim.CODE,
    Dim.GROUP,
)  # what rows say now; flags are read with each change of a contact


def bits_of(brand: Brand, contact_ids: Sequence[int]) -> dict[int, list[Bit]]:
    """Contact → (dim, val) of its bits, flags left out."""
    flush()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.contact_id, d.dim, d.val FROM contacts_contactstat s"  # noqa: S608
            f" JOIN tagging_dimbits d ON d.brand_id = %s AND d.chunk = s.position / {BITS}"
            " WHERE s.brand_id = %s AND s.contact_id = ANY(%s::bigint[]) AND d.dim <> %s"
            f" AND get_bit(d.bits, s.position %% {BITS}) = 1 ORDER BY 1, 2, 3",
            [brand.pk, brand.pk, list(contact_ids), int(Dim.FLAG)],
        )
        found: dict[int, list[Bit]] = {}
        for contact_id, dim, val in cursor.fetchall():
            found.setdefault(contact_id, []).append((dim, val))
        return found


def contacts_parted(
    brand: Brand, *, keep_id: int, lose_id: int, came: Iterable[Sequence[int]], own: Iterable[Sequence[int]]
) -> None:
    """The rows of both are as they are to be: tags, guides, codes and groups are read from them. Frozen lists go to
    whoever was in them. Touches of both count for both until the nightly count, so that nobody gets more than is allowed;
    whoever is in the way by them is looked up in the ledger.

    Args:
        came: bits that the one who was joined had; own: those of the other one, both before they were joined.
    """
    theirs, mine = {(d, v) for d, v in came}, {(d, v) for d, v in own}
    there = bits_of(brand, [keep_id])
    kept = set(there.get(keep_id, []))
    for dim, val in theirs:
        if dim == Dim.SEGMENT:
            set_bits(brand, Dim.SEGMENT, {val: [lose_id]})
        if dim == Dim.SEGMENT and (dim, val) not in mine:
            clear_bits(brand, Dim.SEGMENT, {val: [keep_id]})
    touched = {val for dim, val in theirs | kept if dim == Dim.TOUCH}
    set_bits(brand, Dim.TOUCH, {val: [lose_id] for val in touched})
    import_string(MARK_TOUCHES)(brand, touched, [keep_id, lose_id])
    for dim in READ:
        vals = sorted({val for d, val in theirs | mine | kept if d == dim})
        true = truth_of(brand, dim, vals, [keep_id, lose_id]) if vals else set()
        for val in vals:
            for contact_id in (keep_id, lose_id):
                note = set_bits if (contact_id, val) in true else clear_bits
                note(brand, dim, {val: [contact_id]})
    flush()
    contacts_changed(brand, [keep_id, lose_id])
