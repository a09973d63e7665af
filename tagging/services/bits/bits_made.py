"""Bits of a hundred thousand new contacts: one number per contact is read, the rows of the bitmaps are folded here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db import connection

from tagging.models import BITS, Dim
from tagging.services.bits.bits import FLAG_SQL, note_mask
from tenants.models import Brand

# every position of the range as one byte, in order; bit k is flag k, an empty position is 0
_BYTES = f"""
    SELECT string_agg(lpad(to_hex(coalesce({" + ".join(f"(({sql})::int << {flag})" for flag, sql in FLAG_SQL.items())}, 0)),
                      4, '0'), '' ORDER BY g.position)
      FROM generate_series(%s::bigint, %s::bigint) AS g(position)
      LEFT JOIN (SELECT * FROM contacts_contact WHERE brand_id = (SELECT %s::bigint) AND position >= %s AND position <= %s) c
             ON c.position = g.position
"""  # noqa: S608  # expressions of our own table
_WRITE = f"""
    INSERT INTO tagging_dimbits AS d (brand_id, dim, val, chunk, bits)
    SELECT %s, {int(Dim.FLAG)}, m.val, m.chunk, ('x' || m.bits)::bit({BITS})
      FROM unnest(%s::bigint[], %s::int[], %s::text[]) AS m(val, chunk, bits) ORDER BY m.val, m.chunk
    ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = d.bits | excluded.bits
"""  # noqa: S608


def contacts_made(brand: Brand, first: int, n: int) -> None:
    """Note that contacts are new at `n` positions from `first` on; their flags are written before the commit."""
    if n > 0:
        connection.before_commit(_write, (first, n))  # type: ignore[attr-defined]


def relations_made(brand: Brand, rows: Sequence[tuple[int, int | None, Sequence[int]]]) -> None:
    """Note the guides and codes of contacts that are new: (staff id, code id, positions) of their relations."""
    masks: dict[tuple[Dim, int, int], int] = {}
    for staff_id, code_id, positions in rows:
        chunks: dict[int, int] = {}
        for position in positions:
            chunk = position // BITS
            chunks[chunk] = chunks.get(chunk, 0) | 1 << (BITS - 1 - position % BITS)
        for dim, val in ((Dim.STAFF, staff_id), (Dim.CODE, code_id or 0)):
            for chunk, bits in chunks.items() if val else ():
                masks[dim, val, chunk] = masks.get((dim, val, chunk), 0) | bits
    for (dim, val, chunk), bits in masks.items():
        note_mask(dim, val, chunk, bits, True)


def _write(brand_id: int, items: list[Any]) -> None:
    for first, n in items:
        last = first + n - 1
        with connection.cursor() as cursor:
            cursor.execute(_BYTES, [first, last, brand_id, first, last])
            numbers = np.frombuffer(bytes.fromhex(cursor.fetchone()[0]), ">u2")
            rows = list(_rows(first, numbers))
            if rows:
                cursor.execute(_WRITE, [brand_id, *map(list, zip(*rows, strict=True))])


def _rows(first: int, numbers: np.ndarray) -> Any:
    """(flag, chunk, bits as text) of all chunks that have a bit."""
    start = first // BITS * BITS
    size = -(-(first + len(numbers) - start) // BITS) * BITS
    for flag in FLAG_SQL:
        bits = np.zeros(size, np.uint8)
        bits[first - start : first - start + len(numbers)] = (numbers >> int(flag)) & 1
        for chunk, part in enumerate(bits.reshape(-1, BITS), start // BITS):
            if part.any():
                yield int(flag), chunk, np.packbits(part).tobytes().hex()


_CLEAR = f"""
    WITH masks AS MATERIALIZED (
        SELECT (p / {BITS})::int AS chunk, bit_or(set_bit(0::bit({BITS}), (p %% {BITS})::int, 1)) AS mask
          FROM unnest(%s::bigint[]) p GROUP BY 1
    ), locked AS (
        SELECT d.dim, d.val, d.chunk, m.mask FROM masks m JOIN tagging_dimbits d ON d.brand_id = %s AND d.chunk = m.chunk
         WHERE (d.bits & m.mask) <> 0::bit({BITS}) ORDER BY d.dim, d.val, d.chunk FOR NO KEY UPDATE OF d
    )
    UPDATE tagging_dimbits d SET bits = d.bits & ~l.mask FROM locked l
     WHERE d.brand_id = %s AND d.dim = l.dim AND d.val = l.val AND d.chunk = l.chunk
"""  # noqa: S608


def contacts_gone(brand: Brand, positions: list[int]) -> None:
    """Contacts at these positions are removed in this transaction: all their bits go at once."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR, [positions, brand.pk, brand.pk])
