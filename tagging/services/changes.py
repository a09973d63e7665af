"""Tags put on and taken off in sets: the truth, its bitmap and the timeline in one statement.

Everything that changes who carries a tag goes through `put_on` and `take_off`. Which pairs of tag and contact
is told as a query (`Pairs`), so that a rule over a million people sends none of them through Python.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import connection

from contacts.models import EventType
from contacts.services.staging import numbers
from scrm import clock
from tagging.models import BITS, Dim
from tagging.services import bits, marks
from tenants.db.joins import joined_by_hash
from tenants.models import Brand


@dataclass(frozen=True)
class Pairs:
    """A query of `tag_id`, `contact_id` with its named parameters (not `brand` and `now`, which are given).

    Attributes:
        most: how many there can be, where that is known.
    """

    sql: str
    params: dict[str, Any] = field(default_factory=dict)
    most: int | None = None


def each(tag_ids: Iterable[int], contact_ids: Iterable[int]) -> Pairs:
    """Every one of some tags for every one of some contacts."""
    tags, contacts = list(tag_ids), list(contact_ids)
    return Pairs(
        "SELECT t AS tag_id, c AS contact_id FROM unnest(%(tag_ids)s::bigint[]) t,"
        " unnest(%(contact_ids)s::bigint[]) c",
        {"tag_ids": tags, "contact_ids": numbers(contacts)},
        len(tags) * len(contacts),
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


# What a query may give beside tag_id and contact_id; else the arguments hold for all pairs.
COLUMNS = {
    "source": "%(source)s::text",
    "staff_id": "%(staff_id)s::bigint",
    "at": "%(now)s::timestamptz",
    "expires_at": "%(expires_at)s::timestamptz",
    "act_id": "%(act_id)s::bigint",
}

# The database has no foreign keys of carried tags: their checks would cost as much as everything else. Of few pairs the
# rows are locked, so that nobody who ends meanwhile gets a tag; of many the nightly check takes what is nobody's.
# Of the tables only rows of these people and tags are read: joins of many are by hashing, which would read the brand's
# whole part of them. The brand in sub-selects: of one that is new Postgres knows nothing, so it plans for any of them.
_WANTED = """
    SELECT DISTINCT ON (tag_id, contact_id) * FROM (
        SELECT p.tag_id, p.contact_id, c.position::int AS position, {columns},
               t.name, g.name AS group_name, t.wecom_id <> '' AS is_corp
          FROM pairs p
          JOIN tagging_tag t ON t.brand_id = (SELECT %(brand)s) AND t.id = p.tag_id {present}
          JOIN tagging_taggroup g ON g.brand_id = (SELECT %(brand)s) AND g.id = t.group_id
          JOIN contacts_contact c ON c.brand_id = (SELECT %(brand)s) AND c.id = p.contact_id
           AND c.id = ANY (ARRAY(SELECT contact_id FROM pairs)) {lock}
    ) w ORDER BY tag_id, contact_id{last}
"""
_OF_WANTED = """
    ct.brand_id = (SELECT %(brand)s) AND ct.tag_id = ANY (ARRAY(SELECT DISTINCT tag_id FROM wanted))
      AND ct.contact_id = ANY (ARRAY(SELECT contact_id FROM wanted))
"""
_LOCKED = "ORDER BY p.tag_id, p.contact_id FOR KEY SHARE OF c"
_EVENTS = """
    told AS (
    INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)
    SELECT %(brand)s, %(now)s, d.contact_id, {kind}, {staff}, d.tag_id, left(split_part({source}, ':', 1), 20),
           jsonb_build_object('tag', w.name, 'group', w.group_name, 'why', {source})
      FROM done d JOIN wanted w USING (tag_id, contact_id) WHERE {where}
    ),
"""
_FOLDED = f"""
    folded AS MATERIALIZED (
        SELECT d.tag_id, w.position / {BITS} AS chunk, bit_or(set_bit(0::bit({BITS}), w.position %% {BITS}, 1)) AS bits
          FROM done d JOIN wanted w USING (tag_id, contact_id) WHERE {{where}} GROUP BY 1, 2
    )
"""  # noqa: S608
# How the bitmap follows. A few bits and many are noted, and written with everything else just before the commit
# (tagging/services/bits.py); in a transaction of one statement nobody can be waited for crosswise: at once.
_FEW = """
    folded AS (SELECT d.tag_id, w.position, NULL::text AS bits FROM done d JOIN wanted w USING (tag_id, contact_id)
                WHERE {where})
"""
_AT_ONCE = f"""
    {_FOLDED}, written AS (
        INSERT INTO tagging_dimbits AS b (brand_id, dim, val, chunk, bits)
        SELECT %(brand)s, {int(Dim.TAG)}, tag_id, chunk, bits FROM folded ORDER BY tag_id, chunk
        ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = b.bits | excluded.bits
    )
"""  # noqa: S608
_NOTHING_NOTED = "NULL::bigint[], NULL::int[], NULL::text[]"
_NOTED = (
    "(SELECT array_agg(tag_id) FROM folded), (SELECT array_agg({place}) FROM folded),"
    " (SELECT array_agg(bits::text) FROM folded)"
)
_BY_ACT = """
    (SELECT jsonb_object_agg(act_id, n) FROM (
        SELECT w.act_id, count(*) AS n FROM done d JOIN wanted w USING (tag_id, contact_id)
         WHERE w.act_id IS NOT NULL GROUP BY 1) a)
"""
FEW = 64  # pairs
# What WeCom has to be told, as rows: after the change the query may give others.
_CORP = "(SELECT array_agg(tag_id) FROM wanted WHERE is_corp), (SELECT array_agg(contact_id) FROM wanted WHERE is_corp)"
# A row that is there already is only changed when it would end earlier; `xmax` tells the two apart.
_PUT_ON = """
    WITH pairs AS MATERIALIZED ({pairs}), wanted AS MATERIALIZED ({wanted}),
    {before}
    done AS (
        INSERT INTO tagging_contacttag AS ct (brand_id, tag_id, contact_id, source, staff_id, at, expires_at, act_id)
        SELECT %(brand)s, tag_id, contact_id, source, staff_id, at, expires_at, act_id
          FROM wanted ORDER BY tag_id, contact_id
        ON CONFLICT (brand_id, tag_id, contact_id) DO UPDATE
           SET source = excluded.source, staff_id = excluded.staff_id, expires_at = excluded.expires_at,
               act_id = excluded.act_id
         WHERE ct.expires_at IS NOT NULL AND (excluded.expires_at IS NULL OR excluded.expires_at > ct.expires_at)
        RETURNING tag_id, contact_id, (xmax = 0) AS is_new
    ),
    {events}
    {bits}
    SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), {corp}, {noted}, {by_act} FROM done
"""
# OFFSET 0: what has an end has an index, which looks small as long as nobody has counted
_BEFORE_PUT_ON = f"""
    before AS (
        INSERT INTO tagging_tagbefore (brand_id, act_id, tag_id, contact_id, source, staff_id, at, expires_at,
                                       before_act_id)
        SELECT ct.brand_id, w.act_id, ct.tag_id, ct.contact_id, ct.source, ct.staff_id, ct.at, ct.expires_at, ct.act_id
          FROM wanted w JOIN (SELECT * FROM tagging_contacttag ct WHERE {_OF_WANTED} OFFSET 0) ct
            ON ct.tag_id = w.tag_id AND ct.contact_id = w.contact_id
         WHERE w.act_id IS NOT NULL
           AND ct.expires_at IS NOT NULL AND (w.expires_at IS NULL OR w.expires_at > ct.expires_at)
        ON CONFLICT DO NOTHING
    ),
"""  # noqa: S608
_TAKE_OFF = """
    WITH pairs AS MATERIALIZED ({pairs}), wanted AS MATERIALIZED ({wanted}),
    locked AS MATERIALIZED (
        SELECT ct.tag_id, ct.contact_id FROM tagging_contacttag ct JOIN wanted w USING (tag_id, contact_id)
         WHERE {of_wanted} ORDER BY ct.tag_id, ct.contact_id FOR UPDATE OF ct
    ),
    done AS (
        DELETE FROM tagging_contacttag ct USING locked l
         WHERE {of_wanted} AND ct.tag_id = l.tag_id AND ct.contact_id = l.contact_id
        RETURNING ct.*
    ),
    {before}
    {events}
    {bits}
    SELECT count(*), 0, {corp}, {noted}, {by_act} FROM done
"""
_BEFORE_TAKE_OFF = """
    before AS (
        INSERT INTO tagging_tagbefore (brand_id, act_id, tag_id, contact_id, source, staff_id, at, expires_at,
                                       before_act_id)
        SELECT d.brand_id, w.act_id, d.tag_id, d.contact_id, d.source, d.staff_id, d.at, d.expires_at, d.act_id
          FROM done d JOIN wanted w USING (tag_id, contact_id) WHERE w.act_id IS NOT NULL
        ON CONFLICT DO NOTHING
    ),
"""


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
        own: of COLUMNS those that the query gives itself.
        timeline: False for what was there long before it was told.
        tell_wecom: False for what WeCom has told us.
        is_alone: the transaction does nothing else.
    """
    pairs = _fixed(brand, pairs, own)
    told = {"kind": int(EventType.TAGGED), "staff": "w.staff_id", "source": "w.source", "where": "d.is_new"}
    wanted = {
        "columns": _columns(own),
        "present": "AND t.deleted_at IS NULL",
        "last": ", expires_at DESC NULLS FIRST" if "expires_at" in own else "",
        "lock": _LOCKED if is_few(pairs) else "",
    }
    shape, noted = _bits(pairs, is_alone=is_alone)
    sql = _PUT_ON.format(
        pairs=pairs.sql,
        wanted=_WANTED.format(**wanted),
        before=_BEFORE_PUT_ON if act_id is not None or "act_id" in own else "",
        events=_EVENTS.format(**told) if timeline else "",
        bits=shape.format(where="d.is_new"),
        corp=_CORP,
        noted=noted,
        by_act=_BY_ACT if "act_id" in own else "NULL::jsonb",
    )
    params = {
        **pairs.params, "brand": brand.pk, "source": source[:40], "staff_id": staff_id, "now": clock.now(),
        "expires_at": expires_at, "act_id": act_id,
    }  # fmt: skip
    return _run(brand, sql, params, n_pairs=pairs.most or 0, tell_wecom=tell_wecom, is_on=True)


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
    told = {"kind": int(EventType.UNTAGGED), "staff": "w.staff_id", "source": "w.source", "where": "true"}
    shape, noted = _bits(pairs, is_alone=False)
    sql = _TAKE_OFF.format(
        pairs=pairs.sql,
        wanted=_WANTED.format(
            columns=_columns(own, ("source", "staff_id", "act_id")), present="", last="", lock=""
        ),
        of_wanted=_OF_WANTED,
        before=_BEFORE_TAKE_OFF if act_id is not None or "act_id" in own else "",
        events=_EVENTS.format(**told),
        bits=shape.format(where="true"),
        corp=_CORP,
        noted=noted,
        by_act=_BY_ACT if "act_id" in own else "NULL::json",
    )
    params = {
        **pairs.params, "brand": brand.pk, "source": source[:40], "staff_id": staff_id, "now": clock.now(),
        "act_id": act_id,
    }  # fmt: skip
    return _run(brand, sql, params, n_pairs=pairs.most or 0, tell_wecom=tell_wecom, is_on=False)


def _columns(own: Sequence[str], names: Iterable[str] = tuple(COLUMNS)) -> str:
    if unknown := set(own) - set(names):
        raise ValueError(f"unknown columns {unknown}")
    return ", ".join(f"p.{name}" if name in own else f"{COLUMNS[name]} AS {name}" for name in names)


def _fixed(brand: Brand, pairs: Pairs, own: Sequence[str]) -> Pairs:
    """Pairs whose number is not known become rows: Postgres would guess a few, and compare each with each."""
    if pairs.most is not None:
        return pairs
    names = ("tag_id", "contact_id", *own)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(names)} FROM ({pairs.sql}) p",  # noqa: S608
            {**pairs.params, "brand": brand.pk, "now": clock.now()},
        )
        columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
    kinds = [COLUMNS[name].rpartition("::")[2] if name in COLUMNS else "bigint" for name in names]
    parts = ", ".join(f"%(fixed_{name})s::{kind}[]" for name, kind in zip(names, kinds, strict=True))
    params: dict[str, Any] = {
        # numbers as one text: read in a tenth of the time
        f"fixed_{name}": f"{{{','.join('NULL' if v is None else str(v) for v in values)}}}"
        if kind == "bigint"
        else list(values)
        for name, kind, values in zip(names, kinds, columns, strict=True)
    }
    sql = f"SELECT * FROM unnest({parts}) AS x({', '.join(names)})"  # noqa: S608
    return Pairs(sql, params, len(columns[0]))


def is_few(pairs: Pairs) -> bool:
    return pairs.most is not None and pairs.most <= FEW


def _bits(pairs: Pairs, *, is_alone: bool) -> tuple[str, str]:
    """How the bitmap follows: the part of the statement, and what it gives to be noted."""
    if is_alone:
        return _AT_ONCE, _NOTHING_NOTED
    if is_few(pairs):
        return _FEW, _NOTED.format(place="position")
    return _FOLDED, _NOTED.format(place="chunk")


def _run(
    brand: Brand, sql: str, params: dict[str, Any], *, n_pairs: int, tell_wecom: bool, is_on: bool
) -> Done:
    with connection.cursor() as cursor:
        if n_pairs > FEW:
            cursor.execute("SET LOCAL work_mem = '64MB'")  # sorted and hashed in memory
        with joined_by_hash(cursor, n_pairs, above=FEW):
            cursor.execute(sql, params)
            row = cursor.fetchone()
        n, n_later, tag_ids, contact_ids, vals, places, masks, by_act = row
    if vals and masks[0] is None:
        bits.note_positions(brand, Dim.TAG, zip(vals, places, strict=True), is_on)
    elif vals:
        bits.note_masks(brand, Dim.TAG, zip(vals, places, masks, strict=True), is_on)
    if tell_wecom and tag_ids:
        told = given(list(zip(tag_ids, contact_ids, strict=True)))
        marks.queue(brand, told.sql, told.params, add=is_on)
    return Done(n, n_later, {int(act): count for act, count in json.loads(by_act).items()} if by_act else {})
