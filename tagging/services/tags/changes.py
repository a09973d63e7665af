"""Tags put on and taken off in sets: the truth, its bitmap and the timeline in one statement.

Everything that changes who carries a tag goes through `put_on` and `take_off`. Which pairs of tag and contact
is told as a query (`Pairs`), so that a rule over a million people sends none of them through Python.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction

from contacts.models import EventType
from contacts.services.staging import numbers
from scrm import clock
from tagging.models import Dim
from tagging.services.bits import bits
from tagging.services.tags import changes_sql as sql
from tagging.services.tags import marks
from tenants.db.joins import joined_by_hash
from tenants.models import Brand


@dataclass(frozen=True)
class Pairs:
    """A query of `tag_id`, `contact_id` with its named parameters (not `brand` and `now`, which are given).

    Attributes:
        most: how many there can be, where that is known.
        is_joined: the query puts tables together, each of which it bounds by itself: by hash, never from row to row.
        people: where they are every one of `tag_ids` for every one of some contacts, a query of `contact_id` alone.
    """

    sql: str
    params: dict[str, Any] = field(default_factory=dict)
    most: int | None = None
    people: str = ""
    is_joined: bool = False


def each(tag_ids: Iterable[int], contact_ids: Iterable[int]) -> Pairs:
    """Every one of some tags for every one of some contacts."""
    tags, contacts = list(tag_ids), list(contact_ids)
    return Pairs(
        "SELECT t AS tag_id, c AS contact_id FROM unnest(%(tag_ids)s::bigint[]) t,"
        " unnest(%(contact_ids)s::bigint[]) c",
        {"tag_ids": tags, "contact_ids": numbers(contacts)},
        len(tags) * len(contacts),
        "SELECT unnest(%(contact_ids)s::bigint[]) AS contact_id",
    )


def given(rows: Sequence[tuple[int, int]]) -> Pairs:
    """Rows (tag id, contact id)."""
    return Pairs(
        "SELECT tag_id, contact_id FROM unnest(%(tag_ids)s::bigint[], %(contact_ids)s::bigint[])"
        " AS x(tag_id, contact_id)",
        {"tag_ids": numbers(tag for tag, _ in rows), "contact_ids": numbers(contact for _, contact in rows)},
        len(rows),
    )


class Done(NamedTuple):
    """`n` pairs are different now; `n_later` carried the tag already and keep it longer than before; `by_act`: how
    many of both each act has changed, where the query gives acts."""

    n: int
    n_later: int = 0
    by_act: Mapping[int, int] = MappingProxyType({})


FEW = 64  # pairs


def put_on(
    brand: Brand,
    pairs: Pairs,
    *,
    source: str,
    staff_id: int | None = None,
    expires_at: datetime | None = None,
    act_id: int | None = None,
    own: Sequence[str] = (),
    timeline: bool = True,
    tell_wecom: bool = True,
    is_alone: bool = False,
) -> Done:
    """Put tags on in the caller's transaction. Safe to repeat.

    Who carries a tag for a time keeps it for the longer of the two times. Deleted tags, contacts that do not
    exist and other brands' are passed over. Writes TAGGED for each new pair and, for corp tags, queues what
    WeCom has to be told.

    Args:
        source: why, ≤ 40 characters: `channel_code:7`, `rule:3`, `wecom`, `page`, `api` …
        act_id: TagAct under which this can be taken back.
        own: of changes_sql.COLUMNS those that the query gives itself.
        timeline: False for what was there long before it was told.
        tell_wecom: False for what WeCom has told us.
        is_alone: the transaction does nothing else.
    """
    pairs = _fixed(brand, pairs, own)
    last = ", expires_at DESC NULLS FIRST" if "expires_at" in own else ""
    source_of, wanted = _wanted(pairs, own, present="AND t.deleted_at IS NULL", last=last, is_locked=True)
    columns = _columns(own)
    bitmap, noted = sql.BITMAPS[_way(pairs, is_alone=is_alone)]
    has_act = act_id is not None or "act_id" in own

    def statement(*, fresh: bool) -> str:
        return sql.PUT_ON.format(
            pairs=source_of,
            wanted=wanted,
            known=sql.KNOWN if has_act or fresh else "",
            before=sql.BEFORE_PUT_ON.format(**columns) if has_act else "",
            done=(sql.DONE_FRESH if fresh else sql.DONE).format(**columns),
            events=sql.EVENTS.format(kind=int(EventType.TAGGED), **columns) if timeline else "",
            bits=bitmap,
            corp=sql.CORP,
            noted=noted,
            by_act=sql.BY_ACT if "act_id" in own else "NULL::jsonb",
        )

    params = {
        **pairs.params, "brand": brand.pk, "source": source[:40], "staff_id": staff_id, "now": clock.now(),
        "expires_at": expires_at, "act_id": act_id,
    }  # fmt: skip
    told: dict[str, Any] = {"n_pairs": pairs.most or 0, "tell_wecom": tell_wecom, "is_on": True}
    if not is_few(pairs):
        # not when somebody else has just put one of them on: then each row has to ask
        with suppress(IntegrityError), transaction.atomic():
            return _run(brand, statement(fresh=True), params, **told)
    return _run(brand, statement(fresh=False), params, **told)


def take_off(
    brand: Brand,
    pairs: Pairs,
    *,
    source: str,
    staff_id: int | None = None,
    act_id: int | None = None,
    own: Sequence[str] = (),
    tell_wecom: bool = True,
) -> Done:
    """Take tags off in the caller's transaction; pairs that are not there are passed over. As `put_on`."""
    pairs = _fixed(brand, pairs, own)
    bitmap, noted = sql.BITMAPS[_way(pairs, is_alone=False)]
    source_of, wanted = _wanted(pairs, own)
    columns = _columns(own, ("source", "staff_id", "act_id"))
    statement = sql.TAKE_OFF.format(
        pairs=source_of,
        wanted=wanted,
        before=sql.BEFORE_TAKE_OFF.format(**columns) if act_id is not None or "act_id" in own else "",
        events=sql.EVENTS.format(kind=int(EventType.UNTAGGED), **columns),
        bits=bitmap,
        corp=sql.CORP,
        noted=noted,
        by_act=sql.BY_ACT if "act_id" in own else "NULL::json",
    )
    params = {
        **pairs.params, "brand": brand.pk, "source": source[:40], "staff_id": staff_id, "now": clock.now(),
        "act_id": act_id,
    }  # fmt: skip
    return _run(brand, statement, params, n_pairs=pairs.most or 0, tell_wecom=tell_wecom, is_on=False)


def _columns(own: Sequence[str], names: Iterable[str] = tuple(sql.COLUMNS)) -> dict[str, str]:
    """Column → where it comes from: the row of `wanted`, or the argument that holds for all."""
    if unknown := set(own) - set(names):
        raise ValueError(f"unknown columns {unknown}")
    return {name: f"w.{name}" if name in own else sql.COLUMNS[name] for name in names}


def _wanted(
    pairs: Pairs, own: Sequence[str], *, present: str = "", last: str = "", is_locked: bool = False
) -> tuple[str, str]:
    """What `pairs` reads, and how each of them is met once."""
    if pairs.people and not is_few(pairs):
        return pairs.people, sql.WANTED_EACH.format(present=present)
    given = "".join(f", p.{name}" for name in own)
    lock = sql.LOCKED if is_locked and is_few(pairs) else ""
    return pairs.sql, sql.WANTED.format(own=given, present=present, last=last, lock=lock)


def _fixed(brand: Brand, pairs: Pairs, own: Sequence[str]) -> Pairs:
    """Pairs whose number is not known become rows: Postgres would guess a few, and compare each with each."""
    if pairs.most is not None:
        return pairs
    names = ("tag_id", "contact_id", *own)
    with connection.cursor() as cursor, joined_by_hash(cursor, None if pairs.is_joined else 0):
        cursor.execute(
            f"SELECT {', '.join(names)} FROM ({pairs.sql}) p",  # noqa: S608
            {**pairs.params, "brand": brand.pk, "now": clock.now()},
        )
        columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
    kinds = [sql.COLUMNS[name].rpartition("::")[2] if name in sql.COLUMNS else "bigint" for name in names]
    parts = ", ".join(f"%(fixed_{name})s::{kind}[]" for name, kind in zip(names, kinds, strict=True))
    params: dict[str, Any] = {
        # numbers as one text: read in a tenth of the time
        f"fixed_{name}": f"{{{','.join('NULL' if v is None else str(v) for v in values)}}}"
        if kind == "bigint"
        else list(values)
        for name, kind, values in zip(names, kinds, columns, strict=True)
    }
    query = f"SELECT * FROM unnest({parts}) AS x({', '.join(names)})"  # noqa: S608
    return Pairs(query, params, len(columns[0]))


def is_few(pairs: Pairs) -> bool:
    return pairs.most is not None and pairs.most <= FEW


def _way(pairs: Pairs, *, is_alone: bool) -> str:
    """How the bitmap follows: a key of BITMAPS."""
    if is_alone:
        return "at once"
    return "few" if is_few(pairs) else "many"


def _run(
    brand: Brand, statement: str, params: dict[str, Any], *, n_pairs: int, tell_wecom: bool, is_on: bool
) -> Done:
    with connection.cursor() as cursor:
        if n_pairs > FEW:
            cursor.execute("SET LOCAL work_mem = '64MB'")  # sorted and hashed in memory
        with joined_by_hash(cursor, n_pairs, above=FEW):
            cursor.execute(statement, params)
            row = cursor.fetchone()
        n, n_later, tag_ids, contact_ids, vals, places, by_act = row
    if vals and isinstance(places[0], int):
        bits.note_positions(brand, Dim.TAG, zip(vals, places, strict=True), is_on)
    elif vals:
        bits.note_sets(brand, Dim.TAG, zip(vals, places, strict=True), is_on)
    if tell_wecom and tag_ids:
        told = given(list(zip(tag_ids, contact_ids, strict=True)))
        marks.queue(brand, told.sql, told.params, add=is_on, n_pairs=len(tag_ids))
    return Done(n, n_later, {int(act): count for act, count in json.loads(by_act).items()} if by_act else {})
