"""Relations as WeCom lists them, merged into ours: a few statements for a thousand of them.

Only differences are written; what the sync writes on every relation is `synced_in`, by which it knows later
which ones WeCom does not list any more. What a guide or a code has changed here and WeCom may not show yet
(the outbox) is left alone.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from contacts.models import Follow, Identity
from contacts.services import stats
from contacts.services import sync_writes as write
from contacts.services.follow import SAME, recount
from contacts.services.profile import digits
from contacts.services.search import refresh_grams
from contacts.services.sync_types import Known, Merged, Plan, Row, person_of
from org.models import Corp
from tenants.models import Brand
from wecom.api.contacts import Relation


def rows_of(relations: Iterable[Relation], staff_ids: dict[str, int], seen_at: datetime) -> list[Row]:
    """Rows from WeCom's answer, each relation once; members whom we do not know are left out.

    Args:
        staff_ids: userid in lower case → our id.
    """
    rows: dict[tuple[int, str], Row] = {}
    for relation in relations:
        person, info = relation["external_contact"], relation["follow_info"]
        staff_id = staff_ids.get((info.get("userid") or "").lower())
        external_userid = person.get("external_userid") or ""
        if staff_id is None or not external_userid:
            continue
        rows[staff_id, external_userid] = Row(
            staff_id=staff_id,
            external_userid=external_userid[:64],
            name=_text(person.get("name"), 100),
            avatar=_text(person.get("avatar"), 500),
            gender=person.get("gender") or 0,
            kind=person.get("type") or 1,
            corp_name=_text(person.get("corp_full_name") or person.get("corp_name"), 100),
            unionid=_text(person.get("unionid"), 64),
            phones=tuple(sorted({digits(m) for m in info.get("remark_mobiles") or []} - {""})),
            remark=_text(info.get("remark"), 100),
            description=_text(info.get("description"), 200),
            added_at=datetime.fromtimestamp(info.get("createtime") or 0, UTC),
            add_way=info.get("add_way") or 0,
            state=_text(info.get("state"), 64),
            tag_ids=tuple(sorted({tag_id for tag_id in info.get("tag_id") or [] if tag_id})),
            seen_at=seen_at,
        )
    return list(rows.values())


def _text(value: Any, limit: int) -> str:
    return str(value or "").replace("\x00", "")[:limit]


def merge(brand: Brand, corp: Corp, rows: Sequence[Row], *, job_id: int) -> Merged:
    """Merge rows of one corp in the caller's transaction; safe to repeat.

    Raises:
        Conflict: roll back and try again.
    """
    _forget_plans()
    plan = _compare(brand, corp, rows)
    done = Merged(relations=len(rows))
    returns = [(row, known) for row, known in plan.known if _is_return(row, known)]
    back = [(row, known) for row, known in plan.known if _is_back(row, known)]
    renamed = _changed_profiles(plan)
    _lock({*renamed, *(c for _, c in plan.met), *(k.contact_id for _, k in returns + back)}, brand)

    made = write.make_contacts(brand, plan.strangers)
    done.new_contacts = len(set(made.values()))
    pairs = plan.met + [(row, made[person_of(row)]) for row in plan.strangers]
    to_join = write.note_identities(brand, corp, plan, pairs)
    write.write_profiles(brand, renamed)
    new = write.make_follows(brand, corp, pairs, job_id)
    changed = write.write_follows(brand, corp, plan.known, job_id)
    write.bring_back(brand, corp, returns, back)
    if plan.met:
        write.move_back_added(brand, plan.met)
        recount(brand, {contact_id for _, contact_id in plan.met})
    moved = {contact_id for _, contact_id in pairs} | set(renamed)
    stats.refresh(brand, moved)
    named = moved | changed
    if named:
        refresh_grams(brand, named)
    for contact_id, row in to_join:
        write.join(brand, contact_id, row)
    done.new_relations, done.returned = len(new), len(returns) + len(back)
    done.changed = len(renamed) + len(changed)
    return done


def _forget_plans() -> None:
    """Foreign keys are checked by plans that a connection keeps. One made while the tables were empty may
    walk the brand's part of any index; in a first import, that is every row for every row, until autovacuum
    has looked."""
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")


# ---- read and compare

_KNOWN = """
    SELECT f.staff_id, f.external_userid, f.id, f.contact_id, f.state, f.remark, f.description,
           f.wecom_tag_ids, f.add_way, f.is_pending, f.added_at, f.ended_at, f.end_kind,
           c.name, c.avatar, c.gender, c.kind, c.corp_name, c.profile_at IS NOT NULL
      FROM unnest(%s::bigint[], %s::text[]) AS x(staff_id, external_userid)
      JOIN contacts_follow f ON f.brand_id = %s AND f.staff_id = x.staff_id
                            AND f.external_userid = x.external_userid
      JOIN contacts_contact c ON c.brand_id = %s AND c.id = f.contact_id
"""
_OWNERS = """
    SELECT i.kind, i.value, i.contact_id,
           c.name, c.avatar, c.gender, c.kind, c.corp_name, c.profile_at IS NOT NULL
      FROM unnest(%s::text[], %s::text[], %s::text[]) AS x(kind, scope, value)
      JOIN contacts_identity i ON i.brand_id = %s AND i.kind = x.kind AND i.scope = x.scope
                              AND i.value = x.value
      JOIN contacts_contact c ON c.brand_id = %s AND c.id = i.contact_id
"""


def _compare(brand: Brand, corp: Corp, rows: Sequence[Row]) -> Plan:
    plan = Plan()
    with connection.cursor() as cursor:
        cursor.execute(
            _KNOWN,
            [[r.staff_id for r in rows], [r.external_userid for r in rows], brand.pk, brand.pk],
        )
        known = {tuple(found[:2]): _known(found) for found in cursor.fetchall()}
        unknown = [row for row in rows if (row.staff_id, row.external_userid) not in known]
        keys = {(Identity.Kind.UNIONID.value, "", row.unionid) for row in rows if row.unionid}
        keys |= {(Identity.Kind.EXTERNAL_USERID.value, corp.corpid, row.external_userid) for row in unknown}
        cursor.execute(
            _OWNERS,
            [*_columns(sorted(keys), 3), brand.pk, brand.pk],
        )
        owners: dict[str, int] = {}
        for kind, value, contact_id, *profile in cursor.fetchall():
            (plan.unionids if kind == Identity.Kind.UNIONID else owners)[value] = contact_id
            plan.profiles[contact_id] = tuple(profile)
    for row in rows:
        if found := known.get((row.staff_id, row.external_userid)):
            plan.known.append((row, found))
            plan.profiles[found.contact_id] = found.profile
        elif contact_id := owners.get(row.external_userid) or plan.unionids.get(row.unionid):
            plan.met.append((row, contact_id))
        else:
            plan.strangers.append(row)
    return plan


def _known(found: tuple) -> Known:
    return Known(*found[2:13], found[13:])  # type: ignore[call-arg]  # a row of _KNOWN


def _columns(rows: Sequence[tuple], n: int) -> list[list]:
    return [[row[i] for row in rows] for i in range(n)]


def _is_return(row: Row, known: Known) -> bool:
    """A newer adding than the one we know: confirmed by the guide, or added again without our hearing of
    it."""
    if known.ended_at:
        return row.added_at > known.ended_at
    return known.is_pending or row.added_at > known.added_at + SAME


def _is_back(row: Row, known: Known) -> bool:
    """A relation that WeCom did not list for a while (e.g. outside the visible range), and lists again."""
    return known.ended_at is not None and known.end_kind == Follow.End.GONE and row.added_at <= known.ended_at


def _changed_profiles(plan: Plan) -> dict[int, Row]:
    """Contacts whose profile differs from what WeCom says → the row that says it."""
    pairs = [(row, known.contact_id) for row, known in plan.known] + plan.met
    return {contact_id: row for row, contact_id in pairs if plan.profiles[contact_id] != row.profile()}


def _lock(contact_ids: set[int], brand: Brand) -> None:
    """In one order everywhere: whoever changes relations of a contact holds its row (services/follow.py)."""
    if contact_ids:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM contacts_contact WHERE brand_id = %s AND id = ANY(%s) ORDER BY id"
                " FOR NO KEY UPDATE",
                [brand.pk, sorted(contact_ids)],
            )
