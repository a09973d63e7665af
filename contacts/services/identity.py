"""身份: which outside ids are one person. Two contacts of one brand that share a unionid become one;
nothing is lost."""

from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from contacts import hooks
from contacts.models import Contact, EventType, Follow, Identity
from contacts.services import stats
from contacts.services.follow import TRIES, nobodys, recount
from contacts.services.search import refresh_grams
from contacts.services.timeline import record_event
from scrm import clock
from tenants.models import Brand

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
]


@transaction.atomic
def resolve(brand: Brand, *, contact: Contact, unionid: str, source: str = "") -> Contact:
    """Note the unionid of a contact; if another contact of the brand has it, both become the older one.

    Gives the contact that stays, its row locked. Safe to repeat and to run at once for both contacts. A phone
    number typed by a guide joins nobody but a member who waits (`join_member`).

    Raises:
        ConflictError: the unionid belongs to a contact that does not exist, also after `TRIES` looks at it.
    """
    if not unionid:
        return contact
    key = {"kind": Identity.Kind.UNIONID, "scope": "", "value": unionid}
    for _try in range(TRIES):
        # by insert-or-nothing the two contacts of one unionid meet here, whoever comes first
        Identity.objects.bulk_create([Identity(contact=contact, **key)], ignore_conflicts=True)
        other_id = Identity.objects.values_list("contact_id", flat=True).get(**key)
        pair = list(Contact.objects.select_for_update().filter(pk__in={contact.pk, other_id}).order_by("pk"))
        here = {row.pk for row in pair}
        if contact.pk not in here:  # it has just been joined with another one: go on with that
            contact = Contact.objects.get(pk=Identity.objects.get(**key).contact_id)
        elif other_id not in here:
            continue
        elif len(pair) == 1:
            hooks.identities_noted(brand, [pair[0].pk])
            return pair[0]
        elif Identity.objects.get(**key).contact_id == other_id:
            return merge(brand, keep=pair[0], lose=pair[1], why={"unionid": unionid}, source=source)
    raise nobodys(unionid)


@transaction.atomic
def join_member(brand: Brand, *, contact: Contact, phones: list[str], source: str = "") -> Contact:
    """A member of a list has added a guide: who waits with one of these phone numbers and is nobody else becomes one
    with the contact. Gives the contact that stays.

    Nobody else: no guide has or had them, no unionid and no external_userid is known of them, and the contact has not
    another member number.
    """
    owners = Identity.objects.filter(kind=Identity.Kind.PHONE, scope="", value__in=phones)
    waiting = Contact.objects.filter(
        pk__in=owners.values("contact"), member_at__isnull=False, n_follows=0, lost_at=None
    ).exclude(pk=contact.pk)
    known = [Identity.Kind.UNIONID, Identity.Kind.EXTERNAL_USERID]
    for pk in waiting.order_by("pk").values_list("pk", flat=True)[:5]:
        pair = list(Contact.objects.select_for_update().filter(pk__in={contact.pk, pk}).order_by("pk"))
        if len(pair) < 2:
            continue
        kinds = list(Identity.objects.filter(contact=pk).values_list("kind", flat=True))
        mine = Identity.objects.filter(contact=contact.pk, kind=Identity.Kind.MEMBER_NO)
        if set(kinds) & set(known) or (Identity.Kind.MEMBER_NO in kinds and mine.exists()):
            continue
        contact = merge(brand, keep=pair[0], lose=pair[1], why={"phone": True}, source=source)
        hooks.phones_noted(brand, [contact.pk])
    return contact


@transaction.atomic
def merge(brand: Brand, *, keep: Contact, lose: Contact, why: dict[str, Any], source: str = "") -> Contact:
    """Join `lose` into `keep` (rows of this brand, both locked by the caller) and write MERGED with what
    was joined.

    Follows, identities, tags, enrolments, touches and events go over (`MOVES`); where both had the same
    one, the open and newer one stays. The event's data holds the ended record, its ids and what clashed,
    enough to take the two apart again.
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
    if dropped := _move_follows(keep, lose):
        data["dropped"]["follows"] = dropped
    stats.join(brand, keep_id=keep.pk, lose_id=lose.pk)
    with connection.cursor() as cursor:
        for move in MOVES:
            if n := _move(cursor, brand, move, keep.pk, lose.pk):
                data["dropped"][move.model] = n
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
    refresh_grams(brand, [keep.pk])
    record_event(
        brand,
        contact_id=keep.pk,
        type=EventType.MERGED,
        at=clock.now(),
        object_id=lose.pk,
        source=source,
        key_source="merge",
        source_key=str(lose.pk),
        data=data,
    )
    keep.refresh_from_db()
    return keep


def _move_follows(keep: Contact, lose: Contact) -> list[dict[str, Any]]:
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
        worse.delete()
    Follow.objects.filter(contact=lose).update(contact=keep)
    return dropped


def _move(cursor: Any, brand: Brand, move: Move, keep_id: int, lose_id: int) -> int:
    """Run one Move; gives how many rows clashed. Names come from the table above, values are parameters."""
    table = connection.ops.quote_name(apps.get_model(move.model)._meta.db_table)
    column = connection.ops.quote_name(move.column)
    if move.array:
        cursor.execute(
            f"UPDATE {table} t SET {column} = array_replace({column}, %s::bigint, %s::bigint)"  # noqa: S608
            f" WHERE t.brand_id = %s AND {move.live} AND {column} @> ARRAY[%s::bigint]",
            [lose_id, keep_id, brand.pk, lose_id],
        )
        return 0
    n = 0
    if move.clash:
        same = " AND ".join(f"k.{name} = t.{name}" for name in move.clash)
        where = (
            f"t.brand_id = %s AND t.{column} = %s AND {move.live} AND EXISTS (SELECT 1 FROM {table} k"  # noqa: S608
            f" WHERE k.brand_id = %s AND k.{column} = %s AND {same} AND {move.live.replace('t.', 'k.')})"
        )
        params = [brand.pk, lose_id, brand.pk, keep_id]
        if move.fold:
            taken = ", ".join(f"{name} = {sql}" for name, sql in move.fold.items())
            pair = f"k.brand_id = %s AND k.{column} = %s AND t.brand_id = %s AND t.{column} = %s AND {same}"
            cursor.execute(
                f"UPDATE {table} k SET {taken} FROM {table} t WHERE {pair}",  # noqa: S608
                [brand.pk, keep_id, brand.pk, lose_id],
            )
        if move.close:
            sets = ", ".join(f"{name} = %s" for name in move.close)
            values = [clock.now() if value is NOW else value for value in move.close.values()]
            cursor.execute(f"UPDATE {table} t SET {sets} WHERE {where}", [*values, *params])  # noqa: S608
        else:
            cursor.execute(f"DELETE FROM {table} t WHERE {where}", params)  # noqa: S608
        n = cursor.rowcount
    cursor.execute(
        f"UPDATE {table} SET {column} = %s WHERE brand_id = %s AND {column} = %s",  # noqa: S608
        [keep_id, brand.pk, lose_id],
    )
    return n


def note_identities(
    brand: Brand, contact: Contact, kind: Identity.Kind, values: list[str], scope: str = ""
) -> None:
    """Keep further outside ids of a contact; one that belongs to somebody else already stays there."""
    rows = [Identity(contact=contact, kind=kind, scope=scope, value=value[:64]) for value in values if value]
    if rows:
        Identity.objects.bulk_create(rows, ignore_conflicts=True)
        hooks.identities_noted(brand, [contact.pk])
        if kind == Identity.Kind.PHONE:
            hooks.phones_noted(brand, [contact.pk])
