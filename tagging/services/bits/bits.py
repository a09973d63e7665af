"""Bitmaps: who has a tag, a guide, a code, a flag, 8,192 contacts per row.

A change is noted when the truth is written and written itself just before the commit, by one statement in the order
(dim, val, chunk): two transactions cannot deadlock, and a row that everybody shares (`reachable` of the newest
contacts) is locked for the moment of the commit only. tagging/services/bits/bits_check.py compares with the truth.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from django.db import connection

from contacts.services.staging import numbers
from tagging.models import BITS, Dim, Flag
from tenants.models import Brand

ZERO = f"0::bit({BITS})"
WORD = 64


def of_positions(query: str) -> str:
    """Query of (chunk, bits) from one with a column `position`; to be executed with parameters. Rows are put together in
    words first: a bitmap of a kilobyte for each row takes five times as long."""
    return (
        f"SELECT w.word / {BITS // WORD} AS chunk,"  # noqa: S608
        f" bit_or(w.ones::bit({WORD})::bit({BITS}) >> (w.word %% {BITS // WORD} * {WORD})::int) AS bits"
        f" FROM (SELECT m.position / {WORD} AS word, bit_or(1::bigint << {WORD - 1} - (m.position %% {WORD})::int) AS ones"
        f" FROM ({query}) m GROUP BY 1) w GROUP BY 1"
    )


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


class Mask(NamedTuple):
    """Bits of one row, as a number whose highest bit is the first position of the chunk."""

    dim: int
    val: int
    chunk: int
    bits: int
    is_on: bool


def note_mask(dim: Dim, val: int, chunk: int, bits: int, is_on: bool) -> None:
    """Note bits of one row; see `Mask`."""
    connection.before_commit(_write, Mask(int(dim), val, chunk, bits, is_on))  # type: ignore[attr-defined]


def note_sets(brand: Brand, dim: Dim, rows: Iterable[tuple[int, str]], is_on: bool) -> None:
    """Note many bits: (val, positions as Postgres writes an array of them)."""
    for val, text in rows:
        positions = np.fromstring(text[1:-1], np.int64, sep=",")
        chunks = np.unique(positions // BITS)
        flat = np.zeros((len(chunks), BITS), bool)
        flat[np.searchsorted(chunks, positions // BITS), positions % BITS] = True
        for chunk, packed in zip(chunks.tolist(), np.packbits(flat, axis=1), strict=True):
            note_mask(dim, val, chunk, int.from_bytes(packed.tobytes()), is_on)


def note_positions(brand: Brand, dim: Dim, rows: Iterable[tuple[int, int]], is_on: bool) -> None:
    """Note single bits: (val, position)."""
    for val, position in rows:
        mask = 1 << (BITS - 1 - position % BITS)
        connection.before_commit(_write, Mask(int(dim), val, position // BITS, mask, is_on))  # type: ignore[attr-defined]


def contacts_changed(brand: Brand, contact_ids: Iterable[int]) -> None:
    """Note that flags, guides or codes of contacts may have changed; what is true then is read at the end."""
    if ids := list(contact_ids):
        connection.before_commit(_write, ids)  # type: ignore[attr-defined]


def flush() -> None:
    """Write what this transaction has noted; whoever reads bitmaps calls it first."""
    connection.write_last()  # type: ignore[attr-defined]


# Flags of a contact row `c`
FLAG_SQL = {
    Flag.EVERYBODY: "c.id IS NOT NULL",
    Flag.DO_NOT_CONTACT: "c.do_not_contact",
    Flag.REACHABLE: "c.n_follows > 0",
    Flag.LOST: "c.lost_at IS NOT NULL",
    Flag.MALE: "c.gender = 1",
    Flag.FEMALE: "c.gender = 2",
    Flag.WECOM: "c.kind = 2",
    Flag.NAMED: "c.name <> ''",
    Flag.MEMBER: "c.member_at IS NOT NULL",
}
FLAGS = f"(VALUES {', '.join(f'({int(flag)}, {sql})' for flag, sql in FLAG_SQL.items())})"

# what a fold may consist of; only what is there is asked for
_BITS = """
        SELECT e.dim, e.val, s.position, e.is_on
          FROM unnest(%(dims)s::int[], %(vals)s::bigint[], %(contacts)s::bigint[], %(on)s::bool[])
               AS e(dim, val, contact_id, is_on)
          JOIN contacts_contactstat s ON s.brand_id = (SELECT %(b)s) AND s.contact_id = e.contact_id"""
_CONTACTS = f"""
        SELECT {Dim.FLAG}, v.val, c.position::int, v.is_on
          FROM ids JOIN contacts_contact c ON c.brand_id = (SELECT %(b)s) AND c.id = ids.id, LATERAL {FLAGS} AS v(val, is_on)
        UNION ALL
        SELECT v.dim, v.val, s.position, v.is_on
          FROM ids JOIN contacts_follow f ON f.brand_id = (SELECT %(b)s) AND f.contact_id = ids.id
          JOIN contacts_contactstat s ON s.brand_id = (SELECT %(b)s) AND s.contact_id = ids.id,
               LATERAL (VALUES ({Dim.STAFF}, f.staff_id, f.ended_at IS NULL AND NOT f.is_pending),
                               ({Dim.CODE}, f.channel_code_id, true)) AS v(dim, val, is_on)
         WHERE v.val IS NOT NULL"""  # noqa: S608  # numbers of our own enums
_POSITIONS = """
        SELECT * FROM unnest(%(p_dims)s::int[], %(p_vals)s::bigint[], %(p_positions)s::int[], %(p_on)s::bool[])"""
_ROWS = f"""
            SELECT dim, val, chunk, ('x' || plus)::bit({BITS}), ('x' || minus)::bit({BITS})
              FROM unnest(%(m_dims)s::int[], %(m_vals)s::bigint[], %(m_chunks)s::int[], %(m_plus)s::text[],
                          %(m_minus)s::text[]) AS m(dim, val, chunk, plus, minus)"""  # noqa: S608
_SINGLE = f"""
            SELECT dim, val, position / {BITS}, set_bit({ZERO}, position %% {BITS}, is_on::int),
                   set_bit({ZERO}, position %% {BITS}, (NOT is_on)::int) FROM x"""  # noqa: S608
_SAME = "d.brand_id = (SELECT %(b)s) AND d.dim = m.dim AND d.val = m.val AND d.chunk = m.chunk"


@cache
def _statements(has_bits: bool, has_ids: bool, has_positions: bool, has_rows: bool) -> tuple[str, str]:
    """The fold of what is there: a change of rows that exist, which says whether some are missing, and how these are
    added."""
    single = [
        part
        for part, is_there in ((_BITS, has_bits), (_CONTACTS, has_ids), (_POSITIONS, has_positions))
        if is_there
    ]
    x = (
        "x(dim, val, position, is_on) AS (" + "\n        UNION ALL".join(single) + "\n    ),"
        if single
        else ""
    )
    whole = "\n             UNION ALL".join(([_SINGLE] if single else []) + ([_ROWS] if has_rows else []))
    masks = f"""
    WITH {"ids AS (SELECT unnest(%(ids)s::bigint[]) AS id)," if has_ids else ""} {x} masks AS MATERIALIZED (
        SELECT dim, val, chunk, bit_or(plus) AS plus, bit_or(minus) AS minus FROM ({whole}
        ) AS y(dim, val, chunk, plus, minus) GROUP BY 1, 2, 3
    )"""  # noqa: S608
    # all rows are locked in order before the first one is changed
    change = f"""
    {masks}, locked AS (
        SELECT d.dim, d.val, d.chunk, m.plus, m.minus FROM masks m JOIN tagging_dimbits d ON {_SAME}
         WHERE (m.plus & ~d.bits) <> {ZERO} OR (m.minus & d.bits) <> {ZERO}
         ORDER BY d.dim, d.val, d.chunk FOR NO KEY UPDATE OF d
    ), changed AS (
        UPDATE tagging_dimbits d SET bits = (d.bits & ~m.minus) | m.plus FROM locked m WHERE {_SAME}
    )
    SELECT EXISTS (SELECT 1 FROM masks m WHERE m.plus <> {ZERO}
                      AND NOT EXISTS (SELECT 1 FROM tagging_dimbits d WHERE {_SAME}))
    """  # noqa: S608
    add = f"""
    {masks}
    INSERT INTO tagging_dimbits AS d (brand_id, dim, val, chunk, bits)
    SELECT %(b)s, m.dim, m.val, m.chunk, m.plus FROM masks m
     WHERE m.plus <> {ZERO} AND NOT EXISTS (SELECT 1 FROM tagging_dimbits d WHERE {_SAME})
     ORDER BY m.dim, m.val, m.chunk
    ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = d.bits | excluded.bits
    """  # noqa: S608
    return change, add


def _write(brand_id: int, items: list[Any]) -> None:
    """Write noted changes: lists of contact ids to look at, masks, and (dim, val, contact ids, is on); of one bit the
    last word counts."""
    ids: set[int] = set()
    bits: dict[tuple[int, int, int], bool] = {}
    masks: dict[tuple[int, int, int], tuple[int, int]] = {}
    for item in items:
        if isinstance(item, list):
            ids.update(item)
        elif isinstance(item, Mask):
            plus, minus = masks.get(item[:3], (0, 0))
            on, off = (item.bits, 0) if item.is_on else (0, item.bits)
            masks[item[:3]] = (plus & ~off | on, minus & ~on | off)
        else:
            dim, val, contacts, is_on = item
            bits.update(((dim, val, contact), is_on) for contact in contacts)
    if len(masks) == 1 and not ids and not bits and _write_one(brand_id, *next(iter(masks.items()))):
        return
    params: dict[str, Any] = {
        "b": brand_id,
        "ids": numbers(sorted(ids)),
        "dims": [key[0] for key in bits],
        "vals": [key[1] for key in bits],
        "contacts": numbers(key[2] for key in bits),
        "on": list(bits.values()),
        **_mask_params(masks),
    }
    has = (bool(bits), bool(ids), bool(params["p_dims"]), bool(params["m_dims"]))
    if not any(has):
        return
    change, add = _statements(*has)
    with connection.cursor() as cursor:
        cursor.execute(change, params)
        (is_missing,) = cursor.fetchone()
        if is_missing:
            cursor.execute(add, params)


# what a person does on a page: one bit, by statements that each connection has prepared
_ONE_KINDS = {"b": "bigint", "dim": "smallint", "val": "bigint", "chunk": "int", "at": "int"}
_ONE_ON = f"""
    INSERT INTO tagging_dimbits AS d (brand_id, dim, val, chunk, bits)
    VALUES (%(b)s, %(dim)s, %(val)s, %(chunk)s, set_bit({ZERO}, %(at)s, 1))
    ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = set_bit(d.bits, %(at)s, 1)
     WHERE get_bit(d.bits, %(at)s) = 0
"""  # noqa: S608
_ONE_OFF = """
    UPDATE tagging_dimbits d SET bits = set_bit(d.bits, %(at)s, 0)
     WHERE d.brand_id = %(b)s AND d.dim = %(dim)s AND d.val = %(val)s AND d.chunk = %(chunk)s
       AND get_bit(d.bits, %(at)s) = 1
"""


def _write_one(brand_id: int, key: tuple[int, int, int], mask: tuple[int, int]) -> bool:
    """Write the only bit that has changed; False: there are more."""
    plus, minus = mask
    if plus.bit_count() + minus.bit_count() != 1:
        return False
    dim, val, chunk = key
    values = {
        "b": brand_id,
        "dim": dim,
        "val": val,
        "chunk": chunk,
        "at": BITS - (plus or minus).bit_length(),
    }
    with connection.cursor() as cursor:
        cursor.execute(*connection.prepared(_ONE_ON if plus else _ONE_OFF, _ONE_KINDS, values))  # type: ignore[attr-defined]
    return True


def _mask_params(masks: dict[tuple[int, int, int], tuple[int, int]]) -> dict[str, list]:
    """Masks of a few bits go as positions, others as text: a kilobyte of zeros for one bit is slow."""
    few, many = [], []
    for (dim, val, chunk), (plus, minus) in masks.items():
        if plus.bit_count() + minus.bit_count() > 8:
            many.append(
                (dim, val, chunk, *(f"{mask:0{BITS // 4}x}" if mask else "0" for mask in (plus, minus)))
            )
        else:
            for mask, is_on in ((plus, True), (minus, False)):
                while mask:
                    few.append((dim, val, chunk * BITS + BITS - mask.bit_length(), is_on))
                    mask &= ~(1 << (mask.bit_length() - 1))
    names = ("p_dims", "p_vals", "p_positions", "p_on")
    more = ("m_dims", "m_vals", "m_chunks", "m_plus", "m_minus")
    return {
        **{name: [row[n] for row in few] for n, name in enumerate(names)},
        **{name: [row[n] for row in many] for n, name in enumerate(more)},
    }


def contacts_joined(brand: Brand, *, keep_id: int, lose_id: int, bits: Iterable[tuple[int, int]]) -> None:
    """Two contacts become one: the one that stays has every bit of the other one, whose bits are cleared.

    Args:
        bits: (dim, val) of the one that ends, flags left out: no index leads to them, so they are read once
            (bits_parted.py).
    """
    flush()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.dim, d.val FROM contacts_contactstat s"  # noqa: S608
            f" JOIN tagging_dimbits d ON d.brand_id = %s AND d.dim = {Dim.FLAG} AND d.chunk = s.position / {BITS}"
            f" WHERE s.brand_id = %s AND s.contact_id = %s AND get_bit(d.bits, s.position %% {BITS}) = 1",
            [brand.pk, brand.pk, lose_id],
        )
        flags = cursor.fetchall()
    for dim, val in [*bits, *flags]:
        # the row of ContactStat that ends is deleted before the commit, so its bits are cleared at once
        if (dim, val) != (Dim.FLAG, Flag.EVERYBODY):
            set_bits(brand, Dim(dim), {val: [keep_id]})
        clear_bits(brand, Dim(dim), {val: [lose_id]})
    flush()
