"""Bitmaps: who has a tag, a guide, a code, a flag, 8,192 contacts per row.

A change is noted when the truth is written and written itself just before the commit, by one statement in the order
(dim, val, chunk): two transactions cannot deadlock, and a row that everybody shares (`reachable` of the newest
contacts) is locked for the moment of the commit only. tagging/services/bits_check.py compares with the truth.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection

from tagging.models import BITS, Dim, Flag
from tenants.models import Brand

ZERO = f"0::bit({BITS})"


def set_bits(brand: Brand, dim: Dim, who: Mapping[int, Iterable[int]]) -> None:
    """Note that contacts have a value: {val: contact ids}. In the transaction that makes it true."""
    _note(dim, who, True)


def clear_bits(brand: Brand, dim: Dim, who: Mapping[int, Iterable[int]]) -> None:
    """Note that contacts have a value no more: {val: contact ids}."""
    _note(dim, who, False)


def _note(dim: Dim, who: Mapping[int, Iterable[int]], is_on: bool) -> None:
    for val, ids in who.items():
        if ids := list(ids):
            connection.before_commit(_write, (int(dim), val, ids, is_on))  # type: ignore[attr-defined]


def contacts_changed(brand: Brand, contact_ids: Iterable[int]) -> None:
    """Note that flags, guides or codes of contacts may have changed; what is true then is read at the end."""
    if ids := list(contact_ids):
        connection.before_commit(_write, ids)  # type: ignore[attr-defined]


def flush() -> None:
    """Write what this transaction has noted; whoever reads bitmaps calls it first."""
    connection.write_last()  # type: ignore[attr-defined]


# Flags of a contact row `c`
FLAGS = f"""(VALUES
    ({Flag.EVERYBODY}, true), ({Flag.DO_NOT_CONTACT}, c.do_not_contact), ({Flag.REACHABLE}, c.n_follows > 0),
    ({Flag.LOST}, c.lost_at IS NOT NULL), ({Flag.MALE}, c.gender = 1), ({Flag.FEMALE}, c.gender = 2),
    ({Flag.WECOM}, c.kind = 2), ({Flag.NAMED}, c.name <> ''))"""

_MASKS = f"""
    WITH ids AS (SELECT unnest(%(ids)s::bigint[]) AS id), x AS (
        SELECT e.dim, e.val, s.position, e.is_on
          FROM unnest(%(dims)s::int[], %(vals)s::bigint[], %(contacts)s::bigint[], %(on)s::bool[])
               AS e(dim, val, contact_id, is_on)
          JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = e.contact_id
        UNION ALL
        SELECT {Dim.FLAG}, v.val, c.position::int, v.is_on
          FROM ids JOIN contacts_contact c ON c.brand_id = %(b)s AND c.id = ids.id, LATERAL {FLAGS} AS v(val, is_on)
        UNION ALL
        SELECT {Dim.STAFF}, f.staff_id, s.position, f.ended_at IS NULL AND NOT f.is_pending
          FROM ids JOIN contacts_follow f ON f.brand_id = %(b)s AND f.contact_id = ids.id
          JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = ids.id
        UNION ALL
        SELECT {Dim.CODE}, f.channel_code_id, s.position, true
          FROM ids JOIN contacts_follow f ON f.brand_id = %(b)s AND f.contact_id = ids.id
          JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = ids.id
         WHERE f.channel_code_id IS NOT NULL
    ), masks AS MATERIALIZED (
        SELECT dim, val, position / {BITS} AS chunk,
               bit_or(set_bit({ZERO}, position %% {BITS}, is_on::int)) AS plus,
               bit_or(set_bit({ZERO}, position %% {BITS}, (NOT is_on)::int)) AS minus
          FROM x GROUP BY 1, 2, 3
    )"""  # noqa: S608  # numbers of our own enums
_SAME = "d.brand_id = %(b)s AND d.dim = m.dim AND d.val = m.val AND d.chunk = m.chunk"
# all rows are locked in order before the first one is changed; says whether rows are missing
_CHANGE = f"""
    {_MASKS}, locked AS (
        SELECT d.dim, d.val, d.chunk, m.plus, m.minus FROM masks m JOIN tagging_dimbits d ON {_SAME}
         WHERE (m.plus & ~d.bits) <> {ZERO} OR (m.minus & d.bits) <> {ZERO}
         ORDER BY d.dim, d.val, d.chunk FOR NO KEY UPDATE OF d
    ), changed AS (
        UPDATE tagging_dimbits d SET bits = (d.bits & ~m.minus) | m.plus FROM locked m WHERE {_SAME}
    )
    SELECT EXISTS (SELECT 1 FROM masks m WHERE m.plus <> {ZERO}
                      AND NOT EXISTS (SELECT 1 FROM tagging_dimbits d WHERE {_SAME}))
"""  # noqa: S608
_ADD = f"""
    {_MASKS}
    INSERT INTO tagging_dimbits AS d (brand_id, dim, val, chunk, bits)
    SELECT %(b)s, m.dim, m.val, m.chunk, m.plus FROM masks m
     WHERE m.plus <> {ZERO} AND NOT EXISTS (SELECT 1 FROM tagging_dimbits d WHERE {_SAME})
     ORDER BY m.dim, m.val, m.chunk
    ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = d.bits | excluded.bits
"""  # noqa: S608


def _write(brand_id: int, items: list[Any]) -> None:
    """Write noted changes: lists of contact ids to look at, and (dim, val, contact ids, is on); of one bit the last
    word counts."""
    ids: set[int] = set()
    bits: dict[tuple[int, int, int], bool] = {}
    for item in items:
        if isinstance(item, list):
            ids.update(item)
        else:
            dim, val, contacts, is_on = item
            bits.update(((dim, val, contact), is_on) for contact in contacts)
    params: dict[str, Any] = {
        "b": brand_id,
        "ids": sorted(ids),
        "dims": [key[0] for key in bits],
        "vals": [key[1] for key in bits],
        "contacts": [key[2] for key in bits],
        "on": list(bits.values()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_CHANGE, params)
        (is_missing,) = cursor.fetchone()
        if is_missing:
            cursor.execute(_ADD, params)


def contacts_joined(brand: Brand, *, keep_id: int, lose_id: int) -> None:
    """Two contacts become one: the one that stays has every bit of the other one, whose bits are cleared."""
    flush()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.dim, d.val FROM contacts_contactstat s"  # noqa: S608
            f" JOIN tagging_dimbits d ON d.brand_id = %s AND d.chunk = s.position / {BITS}"
            f" WHERE s.brand_id = %s AND s.contact_id = %s AND get_bit(d.bits, s.position %% {BITS}) = 1",
            [brand.pk, brand.pk, lose_id],
        )
        rows = cursor.fetchall()
    for dim, val in rows:
        # the row of ContactStat that ends is deleted before the commit, so its bits are cleared at once
        if (dim, val) != (Dim.FLAG, Flag.EVERYBODY):
            set_bits(brand, Dim(dim), {val: [keep_id]})
        clear_bits(brand, Dim(dim), {val: [lose_id]})
    flush()
