"""Bitmaps beside their truth: compare, repair, rebuild."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction
from django.utils.module_loading import import_string

from contacts.services import ownerless
from tagging.models import BITS, ContactTag, Dim
from tagging.services.bits import bits
from tagging.services.bits.bits import FLAGS, ZERO
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

log = logging.getLogger(__name__)

VALS = 50  # values of a dimension in one statement

# dim → SQL of (val, position) of everybody for whom it is true; %(b)s is the brand, %(vals)s the values
TRUTHS: dict[Dim, str] = {
    Dim.TAG: """
        SELECT t.tag_id AS val, s.position FROM tagging_contacttag t
          JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = t.contact_id
         WHERE t.brand_id = %(b)s AND t.tag_id = ANY(%(vals)s)""",
    Dim.STAFF: """
        SELECT f.staff_id AS val, s.position FROM contacts_follow f
          JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = f.contact_id
         WHERE f.brand_id = %(b)s AND f.staff_id = ANY(%(vals)s) AND f.ended_at IS NULL AND NOT f.is_pending""",
    Dim.CODE: """
        SELECT f.channel_code_id AS val, s.position FROM contacts_follow f
          JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = f.contact_id
         WHERE f.brand_id = %(b)s AND f.channel_code_id = ANY(%(vals)s)""",
    Dim.FLAG: f"""
        SELECT v.val, c.position::int FROM contacts_contact c, LATERAL {FLAGS} AS v(val, is_on)
         WHERE c.brand_id = %(b)s AND v.is_on AND v.val = ANY(%(vals)s)""",  # noqa: S608
}
# dim → dotted paths of such an SQL text and of one of all values, of apps above this one
TRUTHS_ABOVE: dict[Dim, tuple[str, str]] = {
    Dim.GROUP: ("groups.services.bits.TRUTH", "groups.services.bits.VALUES"),
}

_VALUES: dict[Dim, str] = {
    Dim.TAG: "SELECT id FROM tagging_tag WHERE brand_id = %(b)s",
    Dim.STAFF: "SELECT id FROM org_staff WHERE brand_id = %(b)s",
    Dim.CODE: "SELECT DISTINCT channel_code_id FROM contacts_follow WHERE brand_id = %(b)s AND channel_code_id > 0",
    Dim.FLAG: f"SELECT generate_series(0, {max(bits.Flag)})",
}


def dims() -> list[Dim]:
    """Dimensions whose truth is known here."""
    return [*TRUTHS, *TRUTHS_ABOVE]


def _truth(dim: Dim) -> str:
    found = TRUTHS.get(dim) or import_string(TRUTHS_ABOVE[dim][0])
    return (
        f"SELECT val, position / {BITS} AS chunk, bit_or(set_bit({ZERO}, position %% {BITS}, 1)) AS bits"  # noqa: S608
        f" FROM ({found}) x GROUP BY 1, 2"
    )


def truth_of(brand: Brand, dim: Dim, vals: Sequence[int], contact_ids: Sequence[int]) -> set[tuple[int, int]]:
    """(contact id, val) of what is true of some contacts."""
    found = TRUTHS.get(dim) or import_string(TRUTHS_ABOVE[dim][0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT c.contact_id, x.val FROM ({found}) x JOIN contacts_contactstat c ON c.brand_id = %(b)s"  # noqa: S608
            " AND c.position = x.position WHERE c.contact_id = ANY(%(ids)s::bigint[])",
            {"b": brand.pk, "vals": list(vals), "ids": list(contact_ids)},
        )
        return {(contact_id, val) for contact_id, val in cursor.fetchall()}


def _batches(brand: Brand, dim: Dim) -> list[list[int]]:
    """All values that have bits or might have some."""
    known = _VALUES.get(dim) or import_string(TRUTHS_ABOVE[dim][1])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT val FROM tagging_dimbits WHERE brand_id = %(b)s AND dim = %(dim)s"  # noqa: S608
            f" UNION {known} ORDER BY 1",
            {"b": brand.pk, "dim": int(dim)},
        )
        vals = [row[0] for row in cursor.fetchall()]
    return [vals[i : i + VALS] for i in range(0, len(vals), VALS)]


def compare(brand: Brand, dim: Dim, vals: Sequence[int]) -> list[tuple[int, int, int]]:
    """Where bitmaps and truth differ: (val, chunk, number of bits). In the caller's transaction."""
    bits.flush()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT val, chunk, bit_count(coalesce(t.bits, {ZERO}) # coalesce(d.bits, {ZERO})) AS n"  # noqa: S608
            f" FROM ({_truth(dim)}) t FULL JOIN (SELECT val, chunk, bits FROM tagging_dimbits"
            f"   WHERE brand_id = %(b)s AND dim = %(dim)s AND val = ANY(%(vals)s)) d USING (val, chunk)"
            f" WHERE t.bits IS DISTINCT FROM d.bits"
            f"   AND coalesce(t.bits, {ZERO}) <> coalesce(d.bits, {ZERO}) ORDER BY 1, 2",
            {"b": brand.pk, "dim": int(dim), "vals": list(vals)},
        )
        return cursor.fetchall()


def repair(brand: Brand, dim: Dim, vals: Iterable[int]) -> int:
    """Make the bitmaps of some values agree with the truth; gives how many rows were wrong. One short transaction.

    Rows are made and locked first and the truth is read afterwards, so that nothing written meanwhile is lost: a
    transaction that has changed the truth and not its bits yet waits for the lock and changes them after us.
    """
    params: dict[str, Any] = {"b": brand.pk, "dim": int(dim), "vals": sorted(vals)}
    where = "d.brand_id = %(b)s AND d.dim = %(dim)s AND d.val = ANY(%(vals)s)"
    truth = _truth(dim)
    bits.flush()
    # a brand that counts as one row would have its truth put together once for each bitmap
    with transaction.atomic(), connection.cursor() as cursor, joined_by_hash(cursor):
        cursor.execute(
            "INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits)"  # noqa: S608
            f" SELECT %(b)s, %(dim)s, val, chunk, {ZERO} FROM ({truth}) t"
            " WHERE NOT EXISTS (SELECT 1 FROM tagging_dimbits d WHERE d.brand_id = %(b)s AND d.dim = %(dim)s"
            "   AND d.val = t.val AND d.chunk = t.chunk)"
            " ORDER BY val, chunk ON CONFLICT DO NOTHING",
            params,
        )
        cursor.execute(
            f"SELECT 1 FROM tagging_dimbits d WHERE {where} ORDER BY val, chunk FOR NO KEY UPDATE",  # noqa: S608
            params,
        )
        cursor.execute(
            f"UPDATE tagging_dimbits d SET bits = coalesce(t.bits, {ZERO})"  # noqa: S608
            f" FROM (SELECT val, chunk FROM tagging_dimbits d WHERE {where}) k"
            f" LEFT JOIN ({truth}) t USING (val, chunk)"
            f" WHERE {where} AND d.val = k.val AND d.chunk = k.chunk AND d.bits <> coalesce(t.bits, {ZERO})",
            params,
        )
        return cursor.rowcount


def rebuild(brand: Brand, dim: Dim | None = None) -> int:
    """All bitmaps of a brand anew, value by value in short transactions; call it outside of any. Gives the rows
    changed."""
    return sum(
        repair(brand, each, vals)
        for each in (dims() if dim is None else [dim])
        for vals in _batches(brand, each)
    )


def drop_ownerless(brand: Brand) -> int:
    """Carried tags of contacts who have ended in the very moment of a mass act; see `changes.put_on`. Gives how many."""
    return sum(ownerless.drop(brand, [ContactTag]).values())


def check(brand: Brand) -> dict[str, int]:
    """Compare everything and repair what differs; gives {dimension: bits that were wrong}, empty when all is well.

    A difference is a mistake of code, so it is logged as an error.
    """
    wrong: dict[str, int] = {}
    for dim in dims():
        for vals in _batches(brand, dim):
            with transaction.atomic():
                found = compare(brand, dim, vals)
            if found:
                wrong[dim.name.lower()] = wrong.get(dim.name.lower(), 0) + sum(n for _v, _c, n in found)
                repair(brand, dim, {val for val, _c, _n in found})
    if wrong:
        log.error("bitmaps of brand %s differed from the truth and were repaired: %s", brand.pk, wrong)
    return wrong
