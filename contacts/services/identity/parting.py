"""Two people who had been taken for one are two again: the undo of merging.py.

The one that ended comes back under its own id, with every row that was its own, and with what came since by an id of its own
(orders, groups, numbers) or through guides whom only it has. What cannot be told stays with the other one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts import hooks
from contacts.models import Contact, Event, EventType, Follow, Identity, Merge, Stage
from contacts.services import stats
from contacts.services.follow import recount
from contacts.services.identity import apart
from contacts.services.identity.merging import MOVES, Move, keys_of, row_of, table_of
from contacts.services.identity.rows_back import put_back
from contacts.services.search import refresh_grams
from contacts.services.timeline import record_event
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand

KEPT_FOR = timedelta(days=30)
BATCH = 1_000
# values of the contact that stays which a merge may have changed
VALUES = (
    "name", "avatar", "corp_name", "gender", "profile_at", "stage_id", "stage_at", "do_not_contact", "added_at", "member_at",
)  # fmt: skip
# what came after the merge and is surely of the one that comes back, by ids of its own: model → SQL over `t.`
BY_ID: list[tuple[str, str]] = [
    (
        "contacts.Follow",
        "t.external_userid = ANY(%(externals)s) AND NOT EXISTS (SELECT 1 FROM contacts_follow x"
        " WHERE x.brand_id = %(brand)s AND x.contact_id = %(lost)s AND x.staff_id = t.staff_id)",
    ),
    (
        "commerce.Order",
        "EXISTS (SELECT 1 FROM contacts_identity i WHERE i.brand_id = %(brand)s AND i.contact_id = %(lost)s"
        " AND i.kind = t.buyer_kind AND i.scope = t.buyer_scope AND i.value = t.buyer_value)",
    ),
    (
        "contacts.Event",
        "t.type IN (50, 51) AND EXISTS (SELECT 1 FROM commerce_order o"  # EventType.ORDER_PAID, ORDER_REFUNDED
        " WHERE o.brand_id = %(brand)s AND o.id = t.object_id AND o.contact_id = %(lost)s)",
    ),
    ("groups.GroupMember", "(t.userid = ANY(%(externals)s) OR (t.unionid <> '' AND t.unionid = ANY(%(unionids)s)))"),
    ("handover.HandoverItem", "t.external_userid = ANY(%(externals)s)"),
    ("guides.Lead", "t.phone = ANY(%(phones)s)"),
]  # fmt: skip
# … and through guides whom only that one has
BY_GUIDE: list[tuple[str, str]] = [
    ("contacts.Event", "t.at > %(at)s AND t.staff_id = ANY(%(guides)s::bigint[])"),
    ("campaigns.Touch", "t.at > %(at)s AND t.staff_id = ANY(%(guides)s::bigint[])"),
    ("campaigns.StaffTask", "t.created_at > %(at)s AND t.staff_id = ANY(%(guides)s::bigint[])"),
    ("campaigns.Alert", "t.at > %(at)s AND t.staff_id = ANY(%(guides)s::bigint[])"),
]
# … with the lists of messages that are planned or on their way
TASKS = (
    "UPDATE campaigns_sendtask t SET contact_ids[array_position(t.contact_ids, %(kept)s::bigint)] = %(lost)s"
    " WHERE t.brand_id = %(brand)s AND t.at > %(at)s AND t.staff_id = ANY(%(guides)s::bigint[])"
    " AND t.state IN ('planned', 'calling', 'handed') AND t.contact_ids @> ARRAY[%(kept)s::bigint]"
)
FOLLOWS = Move("contacts.Follow")
# what of a record people are told, in this order; the rest is told as one number
TOLD: list[tuple[str, Any]] = [
    ("contacts.Follow", gettext_lazy("Guides")),
    ("contacts.Identity", gettext_lazy("Identities")),
    ("tagging.ContactTag", gettext_lazy("Tags")),
    ("commerce.Order", gettext_lazy("Orders")),
    ("campaigns.Touch", gettext_lazy("Messages")),
    ("campaigns.StaffTask", gettext_lazy("Tasks")),
    ("campaigns.Enrolment", gettext_lazy("SOPs")),
    ("groups.GroupMember", gettext_lazy("Customer groups")),
    ("contacts.CustomValue", gettext_lazy("Own fields")),
    ("contacts.Event", gettext_lazy("Entries of the timeline")),
]


@dataclass(frozen=True)
class Preview:
    """What a parting would do.

    Attributes:
        goes: [(words, rows)] of what was the other one's.
        n_other: rows of further tables.
        n_since: entries of the timeline since the merge; most of them stay.
        until: it can be done until then.
    """

    merge: Merge
    goes: list[tuple[str, int]]
    n_other: int
    n_since: int
    until: Any


def open_merges(contact_id: int) -> list[Merge]:
    """Merges that can be taken back, newest first, without their rows."""
    rows = Merge.objects.filter(contact=contact_id, parted_at=None, at__gt=clock.now() - KEPT_FOR)
    return list(rows.only("contact", "lost_id", "lost_name", "at", "source", "why").order_by("-at", "-pk"))


def preview(contact_id: int, merge_id: int) -> Preview:
    """Raises NotFoundError, ConflictError: as `part`."""
    merge = _get(Merge.objects.filter(contact=contact_id), merge_id)
    n_of: dict[str, int] = {}
    for name, keys in merge.moved.items():
        model = ".".join(name.split(".")[:2])
        n_of[model] = n_of.get(model, 0) + len(keys)
    for model, rows in merge.dropped.items():
        mine = sum(row.get("contact_id") == merge.lost_id for row in rows)
        n_of[model] = n_of.get(model, 0) + mine
    told = dict(TOLD)
    return Preview(
        merge=merge,
        goes=[(str(words), n_of[model]) for model, words in TOLD if n_of.get(model)],
        n_other=sum(n for model, n in n_of.items() if model not in told),
        n_since=Event.objects.filter(contact_id=contact_id, at__gt=merge.at)
        .exclude(type=EventType.MERGED)
        .count(),
        until=merge.at + KEPT_FOR,
    )


def _get(rows: Any, merge_id: int) -> Merge:
    found = rows.filter(pk=merge_id).first()
    if found is None:
        raise NotFoundError()
    if found.parted_at is not None:
        raise ConflictError(_("This has been taken back already"))
    if found.at <= clock.now() - KEPT_FOR:
        raise ConflictError(
            _("This was more than %(n)s days ago and cannot be taken back") % {"n": KEPT_FOR.days}
        )
    return found


@transaction.atomic
def part(brand: Brand, *, contact_id: int, merge_id: int, by: Actor, for_good: bool = True) -> Contact:
    """They are not the same person: takes a merge back and gives the contact that is there again. Nothing joins the two any
    more, whatever their ids say, unless it was not said `for_good` (the import that joined them is taken back).

    Raises:
        NotFoundError: no such merge of this contact.
        ConflictError: taken back already, or too long ago.
    """
    hooks.keep_out_planners(
        brand
    )  # they would write messages and bitmaps of the one by what they have read of it
    # then the contact, as everybody who changes it: what comes for it at this moment waits
    keep = Contact.objects.select_for_update().filter(pk=contact_id).first()
    if keep is None:
        raise NotFoundError()
    merge = _get(Merge.objects.select_for_update(no_key=True).filter(contact=keep), merge_id)
    with connection.cursor() as cursor:
        present = row_of("contacts.Contact", keep.pk) or {}
        put_back(cursor, "contacts.Contact", [_lost_row(merge, present)])
        put_back(cursor, "contacts.ContactStat", [merge.lost["stat"]] if merge.lost["stat"] else [])
        for move in (FOLLOWS, *MOVES):
            _move_back(cursor, merge, move)
        for model, rows in merge.dropped.items():
            # a relation that the merge has dropped may have been of either
            put_back(cursor, model, [_of_one(row, merge) for row in rows])
        for move in MOVES:
            if move.fold and (pairs := merge.folded.get(move.model)):
                _unfold(cursor, merge, move, pairs)
        _what_came_since(cursor, merge)
    is_own = merge.kept["before"]["id"] == keep.pk
    if (
        is_own
    ):  # or else whom they were joined with has become one with somebody, whose own values and lists stay
        _values_back(keep, merge, present)
    ids = [keep.pk, merge.lost_id]
    apart.carry_back(brand, keep_id=keep.pk, lost_id=merge.lost_id)
    if for_good:
        apart.mark(brand, *ids, by=by)
    recount(brand, ids)
    stats.refresh(brand, ids)
    hooks.order_sums(brand, ids)
    came, own = merge.lost["bits"], merge.kept["bits"]
    hooks.contacts_parted(
        brand, keep_id=keep.pk, lose_id=merge.lost_id, came=came, own=own if is_own else [*own, *came]
    )
    refresh_grams(brand, ids)
    lost = Contact.objects.get(pk=merge.lost_id)
    keep.refresh_from_db()
    merge.parted_at, merge.parted_by = clock.now(), by.name
    merge.save(update_fields=["parted_at", "parted_by"])
    _tell(brand, keep, lost, by, "page" if by.staff else "api" if for_good else "import")
    return lost


def _lost_row(merge: Merge, present: dict[str, Any]) -> dict[str, Any]:
    """The contact as it was; a wish not to be contacted that came since may be theirs, so it holds for both."""
    row = dict(merge.lost["contact"])
    is_new_wish = present["do_not_contact"] and not merge.kept["after"]["do_not_contact"]
    return {**row, "do_not_contact": row["do_not_contact"] or is_new_wish}


def _of_one(row: dict[str, Any], merge: Merge) -> dict[str, Any]:
    """A row whose contact is the one that comes back or, whoever that was then, the one that stays."""
    if "contact_id" in row and row["contact_id"] != merge.lost_id:
        return {**row, "contact_id": merge.contact_id}
    return row


def _move_back(cursor: Any, merge: Merge, move: Move) -> None:
    """Rows of a table that went over and are still there."""
    keys = merge.moved.get(f"{move.model}.{move.column}")
    if not keys:
        return
    table, column = table_of(move.model), connection.ops.quote_name(move.column)
    if move.array:
        cursor.execute(
            f"UPDATE {table} t SET {column}[array_position({column}, %s::bigint)] = %s"  # noqa: S608
            f" WHERE t.brand_id = %s AND t.id = ANY(%s::bigint[]) AND {move.live} AND {column} @> ARRAY[%s::bigint]",
            [merge.contact_id, merge.lost_id, merge.brand_id, keys, merge.contact_id],
        )
        return
    names = keys_of(move)
    parts = ", ".join(f"(e->>{n})::bigint" for n in range(len(names)))
    rows = json.dumps([key if isinstance(key, list) else [key] for key in keys])
    cursor.execute(
        f"UPDATE {table} t SET {column} = %s WHERE t.brand_id = %s AND t.{column} = %s"  # noqa: S608
        f" AND ({', '.join('t.' + name for name in names)}) IN (SELECT {parts} FROM jsonb_array_elements(%s::jsonb) e)",
        [merge.lost_id, merge.brand_id, merge.contact_id, rows],
    )


def _unfold(cursor: Any, merge: Merge, move: Move, pairs: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Rows that had taken others in: counts without theirs, what nobody has changed since as it was."""
    table = table_of(move.model)
    for before, after in pairs:
        cursor.execute(
            f"SELECT to_jsonb(t)::text FROM {table} t WHERE t.brand_id = %s AND t.id = %s FOR NO KEY UPDATE",  # noqa: S608
            [merge.brand_id, before["id"]],
        )
        if not (found := cursor.fetchone()):
            continue
        present, values = json.loads(found[0]), {}
        for name, sql in move.fold.items():
            if present[name] == after[name]:
                values[name] = before[name]
            elif " + " in sql:
                values[name] = present[name] - (after[name] - before[name])
        if values:
            sets = ", ".join(f"{connection.ops.quote_name(name)} = %s" for name in values)
            cursor.execute(
                f"UPDATE {table} SET {sets} WHERE brand_id = %s AND id = %s",  # noqa: S608
                [*values.values(), merge.brand_id, before["id"]],
            )


def _what_came_since(cursor: Any, merge: Merge) -> None:
    """Rows since the merge that are told to be of the one that comes back."""
    ids: dict[str, list[str]] = {}
    for kind, value in Identity.objects.filter(contact=merge.lost_id).values_list("kind", "value"):
        ids.setdefault(kind, []).append(value)
    params: dict[str, Any] = {
        "brand": merge.brand_id,
        "lost": merge.lost_id,
        "kept": merge.contact_id,
        "at": merge.at,
        "externals": ids.get(Identity.Kind.EXTERNAL_USERID, []),
        "unionids": ids.get(Identity.Kind.UNIONID, []),
        "phones": ids.get(Identity.Kind.PHONE, []),
    }
    _go_along(cursor, BY_ID, params)
    theirs = set(Follow.objects.filter(contact=merge.lost_id).values_list("staff_id", flat=True))
    ours = set(Follow.objects.filter(contact=merge.contact_id).values_list("staff_id", flat=True))
    if guides := sorted(theirs - ours):
        _go_along(cursor, BY_GUIDE, {**params, "guides": guides})
        cursor.execute(TASKS, {**params, "guides": guides})


def _go_along(cursor: Any, rules: list[tuple[str, str]], params: dict[str, Any]) -> None:
    for model, which in rules:
        cursor.execute(
            f"UPDATE {table_of(model)} t SET contact_id = %(lost)s"  # noqa: S608
            f" WHERE t.brand_id = %(brand)s AND t.contact_id = %(kept)s AND {which}",
            params,
        )


def _values_back(keep: Contact, merge: Merge, present: dict[str, Any]) -> None:
    """What the contact that stays had taken over and nobody has changed since."""
    before, after = merge.kept["before"], merge.kept["after"]
    values = {
        name: before[name]
        for name in VALUES
        if name in before and before[name] != after.get(name) == present.get(name)
    }
    others = Merge.objects.filter(contact=keep, parted_at=None).exclude(pk=merge.pk)
    if others.filter(lost__contact__do_not_contact=True).exists():
        values.pop("do_not_contact", None)  # it is the wish of somebody else, too
    if values.get("stage_id") and not Stage.objects.filter(pk=values["stage_id"]).exists():
        values["stage_id"] = None
    if values:
        Contact.objects.filter(pk=keep.pk).update(**values)


def _tell(brand: Brand, keep: Contact, lost: Contact, by: Actor, source: str) -> None:
    now = clock.now()
    for one, other in ((keep, lost), (lost, keep)):
        record_event(
            brand,
            contact_id=one.pk,
            type=EventType.PARTED,
            at=now,
            staff_id=by.staff.pk if by.staff else None,
            object_id=other.pk,
            source=source,
            data={"name": other.name, "by": by.name},
        )
        audit.record(by, "contact.part", one, after={"other": other.pk})


def forget_old(brand: Brand) -> int:
    """What cannot be taken back any more is not kept; gives how many records."""
    before = clock.now() - KEPT_FOR - timedelta(days=1)
    n = 0
    while True:
        with transaction.atomic():
            ids = list(
                Merge.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:BATCH]
            )
            Merge.objects.filter(pk__in=ids).delete()
        n += len(ids)
        if len(ids) < BATCH:
            return n
