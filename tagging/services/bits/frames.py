"""Bitmaps of a brand's contacts in numpy: the chunks of tagging.DimBits as rows of 1,024 bytes.

A `Frame` names the chunks that a piece of work is about; every array of it has one row per chunk, bit `position % 8192`
counted from the highest bit of the first byte, as Postgres has it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from django.db import connection

from contacts.services.staging import numbers
from tagging.models import BITS, Dim, Flag
from tagging.services.bits import bits as stored
from tenants.db import statistics
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

Bits = np.ndarray[Any, np.dtype[np.uint8]]
BYTES = BITS // 8


class Frame:
    """Some chunks of a brand's contacts, in order."""

    def __init__(self, brand: Brand, chunks: Iterable[int]) -> None:
        self.brand = brand
        self.chunks = np.unique(np.fromiter(chunks, dtype=np.int64))

    @classmethod
    def whole(cls, brand: Brand) -> "Frame":
        """All contacts of the brand."""
        stored.flush()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT chunk FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val = %s",
                [brand.pk, int(Dim.FLAG), int(Flag.EVERYBODY)],
            )
            return cls(brand, (row[0] for row in cursor.fetchall()))

    def empty(self) -> Bits:
        return np.zeros((len(self.chunks), BYTES), dtype=np.uint8)

    def load(self, dim: Dim, first: int, last: int | None = None) -> Iterator[tuple[int, Bits]]:
        """(val, bits) of the values from `first` to `last` that have bits in these chunks, in order of val."""
        stored.flush()
        with connection.cursor() as cursor:
            # chunks between the ends: what lies outside is passed over
            cursor.execute(
                "SELECT val, chunk, bit_send(bits) FROM tagging_dimbits WHERE brand_id = %s AND dim = %s"
                " AND val BETWEEN %s AND %s AND chunk BETWEEN %s AND %s ORDER BY val, chunk",
                [self.brand.pk, int(dim), first, first if last is None else last, *self._ends()],
            )
            present: int | None = None
            bits = self.empty()
            for val, chunk, sent in cursor:
                if val != present:
                    if present is not None:
                        yield present, bits
                    present, bits = val, self.empty()
                if (row := self._row(chunk)) is not None:
                    bits[row] = np.frombuffer(sent, dtype=np.uint8, offset=4)  # after the length
            if present is not None:
                yield present, bits

    def one(self, dim: Dim, val: int) -> Bits:
        """The bits of one value."""
        return next((bits for _val, bits in self.load(dim, val)), self.empty())

    def of_positions(self, positions: Iterable[int]) -> Bits:
        """Bits of some positions; those outside of the frame are left out."""
        given = np.fromiter(positions, dtype=np.int64)
        rows = np.searchsorted(self.chunks, given // BITS)
        rows = np.minimum(rows, max(len(self.chunks) - 1, 0))
        inside = self.chunks[rows] == given // BITS if len(self.chunks) else np.zeros(len(given), bool)
        flat = np.zeros((len(self.chunks), BITS), dtype=bool)
        flat[rows[inside], given[inside] % BITS] = True
        return np.packbits(flat, axis=1)

    def of_chunks(self, chunks: Mapping[int, bytes]) -> Bits:
        """Bits of {chunk: 1,024 bytes}; chunks outside of the frame are left out."""
        bits = self.empty()
        for chunk, sent in chunks.items():
            if (row := self._row(chunk)) is not None:
                bits[row] = np.frombuffer(sent, dtype=np.uint8)
        return bits

    def select(self, sql: str, params: Sequence[Any], *, joins_all: bool = False) -> Bits:
        """Bits of the positions that a statement gives; `joins_all`: it puts tables of the whole brand together."""
        n_rows = None if joins_all else 0
        with connection.cursor() as cursor, joined_by_hash(cursor, n_rows, work_mem="64MB"):
            cursor.execute(sql, params)
            return self.of_positions(row[0] for row in cursor)

    def select_people(self, sql: str, params: Sequence[Any]) -> Bits:
        """Bits of the contacts that a statement gives as `contact_id`, be it nobody or half of the brand."""
        found = (
            f"SELECT s.position FROM ({sql}) x"  # noqa: S608
            " JOIN contacts_contactstat s ON s.brand_id = %s AND s.contact_id = x.contact_id"
        )
        with connection.cursor() as cursor, joined_by_hash(cursor, work_mem="64MB"):
            cursor.execute(found, [*params, self.brand.pk])
            return self.of_positions(row[0] for row in cursor)

    def positions(self, bits: Bits) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Positions of the bits that are set, in order."""
        rows, places = np.nonzero(np.unpackbits(bits, axis=1))
        return self.chunks[rows] * BITS + places

    def rows(self, bits: Bits) -> Iterator[tuple[int, str]]:
        """(chunk, text that Postgres casts to bit(8192)) of the chunks that have bits."""
        for row in np.flatnonzero(bits.any(axis=1)):
            yield int(self.chunks[row]), "x" + bits[row].tobytes().hex()

    def _row(self, chunk: int) -> int | None:
        row = int(np.searchsorted(self.chunks, chunk))
        return row if row < len(self.chunks) and self.chunks[row] == chunk else None

    def _ends(self) -> tuple[int, int]:
        return (int(self.chunks[0]), int(self.chunks[-1])) if len(self.chunks) else (0, -1)


def count(bits: Bits) -> int:
    """Number of bits that are set."""
    return int(np.bitwise_count(bits).sum())


MANY = 1_000
_TOGETHER = "SELECT position, contact_id FROM contacts_contactstat WHERE brand_id = %(b)s AND contact_id = ANY(%(ids)s::bigint[])"
_EACH = """
    SELECT s.position, s.contact_id FROM unnest(%(ids)s::bigint[]) AS i(id) CROSS JOIN LATERAL (
        SELECT position, contact_id FROM contacts_contactstat
         WHERE brand_id = (SELECT %(b)s) AND contact_id = i.id OFFSET 0) s
"""


def frame_of(brand: Brand, contact_ids: Iterable[int]) -> tuple[Frame, dict[int, int]]:
    """The frame that holds some contacts, and {position: contact}."""
    ids = list(contact_ids)
    if not ids:
        return Frame(brand, ()), {}
    # of thousands, neighbours are found together; one by one in a brand that Postgres would rather read as a whole
    together = len(ids) >= MANY and statistics.believes(brand, "contacts_contactstat", 2 * len(ids))
    with connection.cursor() as cursor:
        cursor.execute(
            _TOGETHER if together else _EACH,
            {"b": brand.pk, "ids": numbers(ids)},
        )
        places = dict(cursor.fetchall())
    return Frame(brand, {position // BITS for position in places}), places


def contacts_at(brand: Brand, frame: Frame, bits: Bits, limit: int | None = None) -> list[int]:
    """Contacts of the bits that are set, by position."""
    positions = frame.positions(bits)[:limit]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id FROM unnest(%s::bigint[]) AS p(position) CROSS JOIN LATERAL (SELECT id FROM contacts_contact"
            " WHERE brand_id = (SELECT %s) AND position = p.position OFFSET 0) c ORDER BY p.position",
            [numbers(positions), brand.pk],
        )
        return [row[0] for row in cursor.fetchall()]
