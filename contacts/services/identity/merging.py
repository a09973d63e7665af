"""Two contacts become one: which rows of which tables go over, and the record by which it is taken back (parting.py)."""

import json
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from contacts import hooks
from contacts.models import Contact, EventType, Follow, Identity, Merge
from contacts.services import stats
from contacts.services.follow import recount
from contacts.services.identity import apart
from contacts.services.search import refresh_grams
from contacts.services.timeline import record_event
from scrm import clock
from tenants.models import Brand
from tenants.scoping import current_brand_id

NOW = object()  # stands for the moment of the merge in `Move.close`


@dataclass(frozen=True)
class Move:
    """How rows of one table go from the contact that ends to the one that stays.

    Attributes:
        column: column with the contact's id.
        clash: columns that, with the contact, may exist once only; what clashes is closed (`close`) or else
            deleted.
        live: SQL over `t.` that limits the clash to rows of this condition.
        array: the column is a list of contact ids.
        fold: what the row that stays (`k.`) takes over from the one that clashes (`t.`): column → SQL.
    """

    model: str
    column: str = "contact_id"
    clash: tuple[str, ...] = ()
    live: str = "true"
    close: dict[str, Any] = field(default_factory=dict)
    array: bool = False
    fold: dict[str, str] = field(default_factory=dict)


# Every table with a contact's id, of this app and of those above it (tests compare it with the models).
# Follow is dealt with by name.
MOVES: list[Move] = [
    Move("contacts.Identity"),
    Move("contacts.Event"),
    Move("contacts.CustomValue", clash=("field_id",)),
    Move("contacts.Reminder"),
    Move("commerce.Order"),
    Move("tagging.ContactTag", clash=("tag_id",)),
    Move("tagging.TagBefore", clash=("act_id", "tag_id")),
    Move(
        "campaigns.Enrolment",
        clash=("sop_id",),
        live="t.ended_at IS NULL",
        close={"ended_at": NOW, "next_run_at": None, "end_kind": "removed"},
    ),
    Move("campaigns.SopCall"),
    Move("campaigns.Touch"),
    Move("content.Visit"),
    Move("content.Visit", "from_contact_id"),
    Move(
        "content.LinkPerson",
        clash=("link_id",),
        fold={
            "n_opens": "k.n_opens + t.n_opens",
            "n_shared": "k.n_shared + t.n_shared",
            "seconds": "k.seconds + t.seconds",
            "depth": "greatest(k.depth, t.depth)",
            "first_at": "least(k.first_at, t.first_at)",
            "last_at": "greatest(k.last_at, t.last_at)",
            # of the one who opened it: the other one may only have passed it on
            "staff_id": "CASE WHEN k.n_opens = 0 THEN t.staff_id ELSE k.staff_id END",
            "via": "CASE WHEN k.n_opens = 0 THEN t.via ELSE k.via END",
        },
    ),
    Move("content.FormAnswer", clash=("content_id",)),
    Move("campaigns.StaffTask"),
    Move("campaigns.Alert"),
    Move("campaigns.Refusal", clash=("kind",)),
    Move("drift.Difference"),
    Move("campaigns.SendTask", "contact_ids", live="t.state IN ('planned', 'calling', 'handed')", array=True),
    Move("groups.GroupMember"),
    Move("handover.HandoverItem"),
    Move("guides.Lead"),
    Move("contacts.Merge"),  # of whom the one that ends had been joined with before
]


@transaction.atomic
def merge(brand: Brand, *, keep: Contact, lose: Contact, why: dict[str, Any], source: str = "") -> Contact:
    """Join `lose` into `keep` (rows of this brand, both locked by the caller) and write MERGED with what
    was joined.

    Follows, identities, tags, enrolments, touches and events go over (`MOVES`); where both had the same
    one, the open and newer one stays. A `Merge` holds all of it, for parting.py to take the two apart again; the event's
    data tells in short.
    """
    if keep.pk == lose.pk or keep.brand_id != lose.brand_id:
        raise ValueError("two contacts of one brand are needed")
    data: dict[str, Any] = {
        **why,
        "contact_id": lose.pk,
        "position": lose.position,
        "name": lose.name,
        "added_at": lose.added_at.isoformat(),
        "do_not_contact": lose.do_not_contact,
        "follows": list(Follow.objects.filter(contact=lose).values_list("pk", flat=True)),
        "identities": list(Identity.objects.filter(contact=lose).values_list("kind", "value")),
        "dropped": {},
    }
    record = _begin(brand, keep, lose, why, source)
    with connection.cursor() as cursor:
        if dropped := _move_follows(cursor, record, keep, lose):
            data["dropped"]["follows"] = dropped
        stats.join(brand, keep_id=keep.pk, lose_id=lose.pk, bits=record.lost["bits"])
        for move in MOVES:
            if n := _move(cursor, record, move, keep.pk, lose.pk):
                data["dropped"][move.model] = n
    apart.carry_over(brand, keep_id=keep.pk, lose_id=lose.pk)
    for name in ("name", "avatar", "corp_name", "gender", "profile_at"):
        if not getattr(keep, name):
            setattr(keep, name, getattr(lose, name))
    if keep.stage_id is None:
        keep.stage_id, keep.stage_at = lose.stage_id, lose.stage_at
    keep.do_not_contact = keep.do_not_contact or lose.do_not_contact
    keep.added_at = min(keep.added_at, lose.added_at)
    keep.member_at = min(filter(None, (keep.member_at, lose.member_at)), default=None)
    keep.save(
        update_fields=[
            "name",
            "avatar",
            "corp_name",
            "gender",
            "profile_at",
            "stage",
            "stage_at",
            "do_not_contact",
            "added_at",
            "member_at",
        ]
    )
    with connection.cursor() as cursor:
        # plain SQL: the ORM's cascade would silently delete what MOVES has forgotten. Postgres refuses where it has a key;
        # relations, sums and tags have none (a test looks that nothing of theirs is left)
        cursor.execute(
            "DELETE FROM contacts_contactgram WHERE brand_id = %s AND contact_id = %s", [brand.pk, lose.pk]
        )
        cursor.execute("DELETE FROM contacts_contact WHERE brand_id = %s AND id = %s", [brand.pk, lose.pk])
    recount(brand, [keep.pk])
    stats.refresh(brand, [keep.pk])
    record.kept["after"] = row_of("contacts.Contact", keep.pk)
    record.save()
    refresh_grams(brand, [keep.pk])
    record_event(
        brand,
        contact_id=keep.pk,
        type=EventType.MERGED,
        at=clock.now(),
        object_id=lose.pk,
        source=source,
        key_source="merge",
        source_key=f"{lose.pk}:{record.pk}",  # who has come back may be joined with somebody else
        data=data,
    )
    keep.refresh_from_db()
    return keep


# ---- the record


def table_of(model: str) -> str:
    return connection.ops.quote_name(apps.get_model(model)._meta.db_table)


def keys_of(move: Move) -> tuple[str, ...]:
    """Columns that name a row of a table, besides the brand and the contact."""
    fields = {f.column for f in apps.get_model(move.model)._meta.local_fields}
    return ("id",) if "id" in fields else move.clash


def row_of(model: str, contact_id: int) -> dict[str, Any] | None:
    """The one row of a contact in a table, all of its columns as JSON."""
    column = "id" if model == "contacts.Contact" else "contact_id"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT to_jsonb(t)::text FROM {table_of(model)} t WHERE t.brand_id = %s AND t.{column} = %s",  # noqa: S608
            [current_brand_id(), contact_id],
        )
        found = cursor.fetchone()
    return json.loads(found[0]) if found else None


def _begin(brand: Brand, keep: Contact, lose: Contact, why: dict[str, Any], source: str) -> Merge:
    """The record, with both as they are before."""
    bits = hooks.bits_of(brand, [keep.pk, lose.pk])
    return Merge(
        contact=keep, lost_id=lose.pk, lost_name=lose.name, at=clock.now(), source=source[:20], why=why,
        lost={
            "contact": row_of("contacts.Contact", lose.pk), "stat": row_of("contacts.ContactStat", lose.pk),
            "bits": bits.get(lose.pk, []),
        },
        kept={"before": row_of("contacts.Contact", keep.pk), "bits": bits.get(keep.pk, [])},
    )  # fmt: skip


def _move_follows(cursor: Any, record: Merge, keep: Contact, lose: Contact) -> list[dict[str, Any]]:
    """Follows of `lose` go over; where one guide has both, the open, then the newer row stays. Gives what
    was dropped."""
    mine = {follow.staff_id: follow for follow in Follow.objects.filter(contact=keep)}
    dropped = []
    for theirs in Follow.objects.filter(contact=lose):
        ours = mine.get(theirs.staff_id)
        if ours is None:
            continue
        worse = min(ours, theirs, key=lambda f: (f.ended_at is None, not f.is_pending, f.changed_at))
        dropped.append(
            {
                "staff_id": worse.staff_id,
                "external_userid": worse.external_userid,
                "added_at": worse.added_at.isoformat(),
            }
        )
        cursor.execute(
            "DELETE FROM contacts_follow t WHERE brand_id = %s AND id = %s RETURNING to_jsonb(t)::text",
            [keep.brand_id, worse.pk],
        )
        record.dropped.setdefault("contacts.Follow", []).append(json.loads(cursor.fetchone()[0]))
    cursor.execute(
        "UPDATE contacts_follow SET contact_id = %s WHERE brand_id = %s AND contact_id = %s RETURNING id",
        [keep.pk, keep.brand_id, lose.pk],
    )
    _note_moved(record, "contacts.Follow.contact_id", cursor)
    return dropped


def _note_moved(record: Merge, name: str, cursor: Any) -> None:
    """Keys of rows that have just gone over: a number, or a list where the key has several columns."""
    if rows := cursor.fetchall():
        record.moved[name] = [row[0] if len(row) == 1 else list(row) for row in rows]


def _move(cursor: Any, record: Merge, move: Move, keep_id: int, lose_id: int) -> int:
    """Run one Move; gives how many rows clashed. Names come from the table above, values are parameters."""
    table, column = table_of(move.model), connection.ops.quote_name(move.column)
    brand_id, name = record.brand_id, f"{move.model}.{move.column}"
    if move.array:
        cursor.execute(
            f"UPDATE {table} t SET {column} = array_replace({column}, %s::bigint, %s::bigint)"  # noqa: S608
            f" WHERE t.brand_id = %s AND {move.live} AND {column} @> ARRAY[%s::bigint] RETURNING id",
            [lose_id, keep_id, brand_id, lose_id],
        )
        _note_moved(record, name, cursor)
        return 0
    n = 0
    if move.clash:
        same = " AND ".join(f"k.{name} = t.{name}" for name in move.clash)
        where = (
            f"t.brand_id = %s AND t.{column} = %s AND {move.live} AND EXISTS (SELECT 1 FROM {table} k"  # noqa: S608
            f" WHERE k.brand_id = %s AND k.{column} = %s AND {same} AND {move.live.replace('t.', 'k.')})"
        )
        params = [brand_id, lose_id, brand_id, keep_id]
        if move.fold:
            _fold(cursor, record, move, [brand_id, keep_id, brand_id, lose_id])
        if move.close:
            sets = ", ".join(f"{name} = %s" for name in move.close)
            values = [clock.now() if value is NOW else value for value in move.close.values()]
            cursor.execute(f"UPDATE {table} t SET {sets} WHERE {where}", [*values, *params])  # noqa: S608
            n = cursor.rowcount
        else:
            cursor.execute(f"DELETE FROM {table} t WHERE {where} RETURNING to_jsonb(t)::text", params)  # noqa: S608
            rows = [json.loads(row[0]) for row in cursor.fetchall()]
            n = len(rows)
            if rows:
                record.dropped.setdefault(move.model, []).extend(rows)
    keys = ", ".join(keys_of(move))
    cursor.execute(
        f"UPDATE {table} SET {column} = %s WHERE brand_id = %s AND {column} = %s RETURNING {keys}",  # noqa: S608
        [keep_id, brand_id, lose_id],
    )
    _note_moved(record, name, cursor)
    return n


def _fold(cursor: Any, record: Merge, move: Move, params: list[Any]) -> None:
    """Rows that stay take over from those that clash with them."""
    table, column = table_of(move.model), move.column
    same = " AND ".join(f"k.{name} = t.{name}" for name in move.clash)
    pair = f"k.brand_id = %s AND k.{column} = %s AND t.brand_id = %s AND t.{column} = %s AND {same}"
    cursor.execute(f"SELECT to_jsonb(k)::text FROM {table} k, {table} t WHERE {pair} ORDER BY k.id", params)  # noqa: S608
    before = [json.loads(row[0]) for row in cursor.fetchall()]
    if not before:
        return
    taken = ", ".join(f"{name} = {sql}" for name, sql in move.fold.items())
    cursor.execute(
        f"UPDATE {table} k SET {taken} FROM {table} t WHERE {pair} RETURNING to_jsonb(k)::text",  # noqa: S608
        params,
    )
    after = {row["id"]: row for row in (json.loads(one[0]) for one in cursor.fetchall())}
    record.folded[move.model] = [[row, after[row["id"]]] for row in before]
