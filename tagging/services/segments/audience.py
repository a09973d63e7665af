"""Who matches a condition: count, ids, bitmap, sample, rows of a temporary table, and why one person does or not.

Everything runs in the caller's transaction, sees what that transaction has written, and means the moment `now`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection

from contacts.models import CustomField
from contacts.services import positions
from contacts.services.staging import numbers
from org.models import Scope, Staff, Store
from scrm import clock
from tagging.conditions import Condition, leaves, parse, references
from tagging.models import BITS
from tagging.services.bits import bits
from tagging.services.segments import naming
from tagging.services.segments.compile import (
    Build,
    Plan,
    bits_query,
    conjunction,
    count_query,
    members_query,
    plan_of,
)
from tagging.services.segments.nesting import nested_segments
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

MANY = 8  # bitmaps, from which on it is worth a statement to have them read by the index
FEW = 2_000  # people whose own rows are read when they alone are asked about
LOOPED = 64  # up to so many of them Postgres may go from row to row
SMALL = 0.05  # up to this share of everybody members are looked up one by one


def read(brand: Brand, raw: Any) -> Condition:
    """Read a condition that a person or the API gives, names compared with what the brand has.

    Raises:
        ConditionError: with every problem.
    """
    return parse(raw, naming.known(raw))


class Audience:
    """The people of a condition in one brand at one moment.

    Args:
        condition: as `read` or a Segment's gives it.
        staff: only those whom this person may see by the role's scope, of present relations.
    """

    def __init__(
        self,
        brand: Brand,
        condition: Condition,
        *,
        now: datetime | None = None,
        staff: Staff | None = None,
    ) -> None:
        self.brand = brand
        self.condition = condition
        self.now = now or clock.now()
        self.staff = staff
        self.is_new = False  # Postgres does not know of the brand's people

    def _plan(self, only: Sequence[int] = ()) -> tuple[Plan, Build]:
        build = build_for(self.brand, self.condition, self.now)
        build.only = only
        plan = plan_of(self.condition, build)
        scope = _scope(self.staff)
        if scope is not None:
            plan = conjunction([plan, plan_of({"kind": "staff", "mode": "any", "ids": scope}, build)])
        bits.flush()
        if not plan.is_bits or build.converted or build.n_bitmaps > MANY:
            _make_room()
        if not only and (not plan.is_bits or build.converted):
            self._look()
        return plan, build

    def _look(self) -> None:
        """See whether Postgres knows of the brand's people: before they are joined."""
        self.is_new = positions.are_unknown(self.brand)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """For a statement over everybody: of a brand that counts as one row Postgres would compare each row with each."""
        with connection.cursor() as cursor, joined_by_hash(cursor) if self.is_new else nullcontext():
            yield cursor

    # who executes one of these takes the cursor of `positions.joined`

    def count_sql(self) -> tuple[str, dict[str, Any]]:
        """Query of one number, with its parameters."""
        plan, build = self._plan()
        return count_query(plan, build), build.params

    def members_sql(self) -> tuple[str, dict[str, Any]]:
        """Query of (contact_id, position), each member once, in no order."""
        plan, build = self._plan()
        return members_query(plan, build), build.params

    def bits_sql(self) -> tuple[str, dict[str, Any]]:
        """Query of (chunk, bits)."""
        plan, build = self._plan()
        return bits_query(plan, build), build.params

    def count(self) -> int:
        sql, params = self.count_sql()
        with self._cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchone()[0]

    def count_and_sample(self, n: int = 20) -> tuple[int, list[int]]:
        """How many, and the ids of the n newest of them; one evaluation for both."""
        plan, build = self._plan()
        if plan.is_bits:
            query = bits_query(plan, build)
            # the newest chunks that hold n members are enough
            sql = (
                f"WITH q AS MATERIALIZED ({query}), top AS (SELECT chunk, bits FROM (SELECT chunk, bits,"  # noqa: S608
                "     sum(bit_count(bits)) OVER (ORDER BY chunk DESC) - bit_count(bits) AS n_above"
                f"    FROM q WHERE bit_count(bits) > 0) x WHERE n_above < {int(n)}),"
                f" p AS (SELECT top.chunk * {BITS} + i AS position FROM top, generate_series(0, {BITS - 1}) i"
                f"   WHERE get_bit(top.bits, i) = 1 ORDER BY 1 DESC LIMIT {int(n)})"
                " SELECT (SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM q),"
                f"   ARRAY(SELECT c.id FROM p JOIN contacts_contact c ON c.brand_id = {self.brand.pk}"
                "      AND c.position = p.position ORDER BY p.position DESC)"
            )
        else:
            sql = (
                f"WITH m AS MATERIALIZED ({members_query(plan, build)})"  # noqa: S608
                f" SELECT (SELECT count(*) FROM m),"
                f" ARRAY(SELECT contact_id FROM m ORDER BY position DESC LIMIT {int(n)})"
            )
        with self._cursor() as cursor:
            cursor.execute(sql, build.params)
            n_found, ids = cursor.fetchone()
        return n_found, list(ids)

    def sample(self, n: int = 20) -> list[int]:
        """Ids of the n newest members."""
        return self.count_and_sample(n)[1]

    def page(self, *, after: int | None = None, size: int = 100) -> list[tuple[int, int]]:
        """(contact id, position) of the next members below a position, newest first."""
        sql, params = self._small_members()
        before = f" WHERE m.position < {int(after)}" if after is not None else ""
        with self._cursor() as cursor:
            cursor.execute(
                f"SELECT m.contact_id, m.position FROM ({sql}) m{before} ORDER BY m.position DESC LIMIT {int(size)}",  # noqa: S608
                params,
            )
            return cursor.fetchall()

    def ids(self) -> list[int]:
        """All ids, by position."""
        sql, params = self._small_members()
        with self._cursor() as cursor:
            cursor.execute(f"SELECT m.contact_id FROM ({sql}) m ORDER BY m.position", params)  # noqa: S608
            return [row[0] for row in cursor.fetchall()]

    def slices(self, size: int = 1_000) -> Iterator[list[int]]:
        """All ids by position, `size` at a time; every slice evaluates the condition of the same moment."""
        after: int | None = None
        while page := self.page(after=after, size=size):
            yield [contact_id for contact_id, _at in page]
            after = page[-1][1]

    def bitmap(self) -> dict[int, bytes]:
        """{chunk: 1,024 bytes}: bit i of byte k (the highest first) is position chunk × 8192 + 8k + i."""
        sql, params = self.bits_sql()
        with self._cursor() as cursor:
            # bit_send gives the length in four bytes and then the bits
            cursor.execute(
                f"SELECT chunk, substring(bit_send(bits) FROM 5) FROM ({sql}) q WHERE bit_count(bits) > 0",  # noqa: S608
                params,
            )
            return {chunk: bytes(packed) for chunk, packed in cursor.fetchall()}

    def packed(self) -> bytes:
        """Everybody in one run of bits: bit p % 8 of byte p / 8, the lowest first, is position p (`get_bit` of a bytea)."""
        chunks = self.bitmap()
        whole = np.zeros((max(chunks, default=-1) + 1, BITS // 8), np.uint8)
        for chunk, packed in chunks.items():
            whole[chunk] = np.frombuffer(packed, np.uint8)
        return np.packbits(np.unpackbits(whole), bitorder="little").tobytes()

    def insert_into(self, table: str, *, columns: Sequence[str] = ("contact_id", "position")) -> int:
        """Insert members into a (temporary) table that the caller has made; gives how many.

        Args:
            columns: of the table, for contact id and position; one name takes the ids alone.
        """
        sql, params = self._small_members()
        name = connection.ops.quote_name
        wanted = ", ".join(("m.contact_id", "m.position")[: len(columns)])
        with self._cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {name(table)} ({', '.join(map(name, columns))})"  # noqa: S608
                f" SELECT {wanted} FROM ({sql}) m ORDER BY m.position",
                params,
            )
            return cursor.rowcount

    def has(self, contact_ids: Iterable[int]) -> set[int]:
        """Those of some contacts who are members."""
        asked = sorted(set(contact_ids))
        if not asked:
            return set()
        plan, build = self._plan(asked if len(asked) <= FEW else ())
        sql = members_query(plan, build)
        with connection.cursor() as cursor, joined_by_hash(cursor, len(asked), above=LOOPED):
            cursor.execute(
                f"SELECT m.contact_id FROM ({sql}) m WHERE m.contact_id = ANY(%(asked)s::bigint[])",  # noqa: S608
                {**build.params, "asked": numbers(asked)},
            )
            return {row[0] for row in cursor.fetchall()}

    def _small_members(self) -> tuple[str, dict[str, Any]]:
        """`members_sql`, but few members of bitmaps are looked up by position instead of passing everybody."""
        plan, build = self._plan()
        if not plan.is_bits:
            return members_query(plan, build), build.params
        with self._cursor() as cursor:
            cursor.execute(count_query(plan, build), build.params)
            (n,) = cursor.fetchone()
        self._look()
        if n > SMALL * positions.n_taken(self.brand):
            return members_query(plan, build), build.params
        return (
            f"SELECT c.id AS contact_id, c.position FROM (SELECT q.chunk * {BITS} + i AS position"  # noqa: S608
            f"   FROM ({bits_query(plan, build)} OFFSET 0) q, generate_series(0, {BITS - 1}) i"
            f"   WHERE bit_count(q.bits) > 0 AND get_bit(q.bits, i) = 1) p"
            f" JOIN contacts_contact c ON c.brand_id = {self.brand.pk} AND c.position = p.position",
            build.params,
        )


def _make_room() -> None:
    """Hash tables of hundreds of thousands of people stay in memory, no statement waits for workers to start, and pages
    of indexes count as being in memory, which they are: for this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('work_mem', '64MB', true), set_config('max_parallel_workers_per_gather', '0', true),"
            " set_config('jit', 'off', true), set_config('random_page_cost', '1.1', true)"
        )


def _scope(staff: Staff | None) -> list[int] | None:
    """The guides whose customers a person may see; None: everybody's."""
    if staff is None or staff.sees_brand:
        return None
    if staff.scope == Scope.REGION and staff.region_id:
        return _guides_of("regions", [staff.region_id])[staff.region_id]
    if staff.scope == Scope.STORE and staff.store_id:
        return _guides_of("stores", [staff.store_id])[staff.store_id]
    return [staff.pk]


def _guides_of(source: str, ids: Iterable[int]) -> dict[int, list[int]]:
    """Place → its guides; a place without any has none."""
    found: dict[int, list[int]] = {n: [] for n in ids}
    if source == "stores":
        for pk, store_id in Staff.objects.filter(store__in=found).values_list("pk", "store_id"):
            if store_id:
                found[store_id].append(pk)
        return found
    stores = dict(Store.objects.filter(region__in=found).values_list("pk", "region_id"))
    rows = Staff.objects.filter(region__in=found) | Staff.objects.filter(store__in=stores)
    for pk, region_id, store_id in rows.values_list("pk", "region_id", "store_id"):
        for region, guides in found.items():
            if region in (region_id, stores.get(store_id or 0)):
                guides.append(pk)
    return found


def build_for(brand: Brand, condition: Condition, now: datetime) -> Build:
    """Everything that a compilation has to look up: nested segments, places, fields; one query for each that is
    there."""
    segments = nested_segments(condition)
    wanted: dict[str, set[int]] = {}
    keys: set[str] = set()
    for part in [condition, *(s for s in segments.values() if isinstance(s, dict))]:
        for source, ids in references(part).items():
            wanted.setdefault(source, set()).update(ids)
        keys |= _keys(part)
    fields = CustomField.objects.filter(key__in=keys) if keys else []
    return Build(
        brand_id=brand.pk,
        now=now,
        zone=brand.timezone,
        segments=segments,
        fields={f.key: (f.pk, f.column) for f in fields},
        stores=_guides_of("stores", wanted["stores"]) if "stores" in wanted else {},
        regions=_guides_of("regions", wanted["regions"]) if "regions" in wanted else {},
    )


def _keys(condition: Condition) -> set[str]:
    return {leaf["key"] for leaf in leaves(condition) if leaf["kind"] == "field"}


# ---- for other apps: one line each


def count(brand: Brand, condition: Condition, **kwargs: Any) -> int:
    return Audience(brand, condition, **kwargs).count()


def ids(brand: Brand, condition: Condition, **kwargs: Any) -> list[int]:
    return Audience(brand, condition, **kwargs).ids()


def bitmap(brand: Brand, condition: Condition, **kwargs: Any) -> dict[int, bytes]:
    return Audience(brand, condition, **kwargs).bitmap()


def sample(brand: Brand, condition: Condition, n: int = 20, **kwargs: Any) -> list[int]:
    return Audience(brand, condition, **kwargs).sample(n)


def members_sql(brand: Brand, condition: Condition, **kwargs: Any) -> tuple[str, dict[str, Any]]:
    return Audience(brand, condition, **kwargs).members_sql()


def insert_into(brand: Brand, condition: Condition, table: str, **kwargs: Any) -> int:
    return Audience(brand, condition, **kwargs).insert_into(table)
