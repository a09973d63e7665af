"""待生效标签: tags of people who are known by an identity only (a phone, a member number, a unionid) until they come."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from contacts.models import Identity
from contacts.services.staging import numbers
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import InvalidError
from tagging.models import WaitingTag
from tagging.services.tags.changes import Pairs, put_on
from tenants.models import Brand

# WeCom gives an external_userid only to who is a customer already: nobody waits with one
KINDS = (Identity.Kind.UNIONID, Identity.Kind.PHONE, Identity.Kind.MEMBER_NO, Identity.Kind.OPENID)
Key = tuple[str, str, str]  # kind, scope, value


def add(
    brand: Brand,
    *,
    keys: Iterable[Key],
    tag_ids: Sequence[int],
    source: str,
    staff_id: int | None = None,
    expires_at: datetime | None = None,
    act_id: int | None = None,
) -> int:
    """Note tags for identities that nobody has yet, in the caller's transaction; gives how many are new.

    Who has an identity already gets the tags at once by `attach_keys`: call it afterwards,
    so that a race with an arrival loses nothing.

    Raises:
        InvalidError: a kind that nobody waits with.
    """
    rows = sorted(set(keys))
    if bad := {kind for kind, _s, _v in rows} - set(KINDS):
        raise InvalidError(_("Nobody can wait with %(kind)s") % {"kind": ", ".join(sorted(bad))})
    if not rows or not tag_ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tagging_waitingtag AS w (brand_id, kind, scope, value, tag_id, source, staff_id, act_id, at,"
            " expires_at)"
            " SELECT %(brand)s, x.kind, x.scope, x.value, t, %(source)s, %(staff)s, %(act)s, %(now)s, %(expires)s"
            "   FROM unnest(%(kinds)s::text[], %(scopes)s::text[], %(values)s::text[]) AS x(kind, scope, value),"
            "        unnest(%(tags)s::bigint[]) t ORDER BY 2, 3, 4, 5"
            " ON CONFLICT (brand_id, kind, scope, value, tag_id) DO UPDATE"
            "   SET expires_at = excluded.expires_at, act_id = excluded.act_id, source = excluded.source"
            " WHERE w.expires_at IS NOT NULL AND (excluded.expires_at IS NULL OR excluded.expires_at > w.expires_at)"
            " RETURNING (xmax = 0)",
            {
                "brand": brand.pk,
                "source": source[:40],
                "staff": staff_id,
                "act": act_id,
                "now": clock.now(),
                "expires": expires_at,
                "kinds": [kind for kind, _s, _v in rows],
                "scopes": [scope for _k, scope, _v in rows],
                "values": [value[:64] for _k, _s, value in rows],
                "tags": sorted(set(tag_ids)),
            },
        )
        return sum(is_new for (is_new,) in cursor.fetchall())


_ANY_WAITS = "SELECT EXISTS (SELECT 1 FROM tagging_waitingtag WHERE brand_id = %s)"
# of a brand that is new Postgres knows nothing: it plans for any brand
_TAKEN = """
    DELETE FROM tagging_waitingtag w USING contacts_identity i
     WHERE w.brand_id = (SELECT %(brand)s) AND i.brand_id = (SELECT %(brand)s) AND w.kind = i.kind AND w.scope = i.scope
       AND w.value = i.value AND {which}
    RETURNING w.tag_id, i.contact_id, w.source, w.staff_id, w.at, w.expires_at, w.act_id
"""
_PAIRS = """
    SELECT * FROM unnest(%(tag_ids)s::bigint[], %(contact_ids)s::bigint[], %(sources)s::text[], %(staff_ids)s::bigint[],
                         %(ats)s::timestamptz[], %(ends)s::timestamptz[], %(act_ids)s::bigint[])
           AS x(tag_id, contact_id, source, staff_id, at, expires_at, act_id)
     WHERE expires_at IS NULL OR expires_at > %(now)s
"""


def attach(brand: Brand, contact_ids: Iterable[int]) -> int:
    """Put on what waits for identities of these contacts, in the caller's transaction; gives how many. Named in
    contacts/hooks.py: whoever writes identities calls it. Nobody waiting costs one statement."""
    ids = sorted(set(contact_ids))
    return _attach(brand, "i.contact_id = ANY(%(ids)s::bigint[])", {"ids": numbers(ids)}) if ids else 0


def attach_keys(brand: Brand, keys: Iterable[Key]) -> int:
    """The same for identities."""
    rows = sorted(set(keys))
    which = "(i.kind, i.scope, i.value) IN (SELECT * FROM unnest(%(kinds)s::text[], %(scopes)s::text[], %(values)s::text[]))"
    params = {
        "kinds": [k for k, _s, _v in rows],
        "scopes": [s for _k, s, _v in rows],
        "values": [v for _k, _s, v in rows],
    }
    return _attach(brand, which, params) if rows else 0


def _attach(brand: Brand, which: str, params: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_ANY_WAITS, [brand.pk])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_TAKEN.format(which=which), {**params, "brand": brand.pk})
        rows = cursor.fetchall()
    if not rows:
        return 0
    names = ("tag_ids", "contact_ids", "sources", "staff_ids", "ats", "ends", "act_ids")
    pairs = Pairs(_PAIRS, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    own = ("source", "staff_id", "at", "expires_at", "act_id")
    return put_on(brand, pairs, source="waiting", own=own).n


def waiting_with(value: str) -> QuerySet[WaitingTag]:
    """Waiting tags of an identity, exactly; of everybody for an empty one."""
    rows = WaitingTag.objects.select_related("tag__group")
    return rows.filter(kind__in=KINDS, scope="", value=value) if value else rows


def clean_value(text: str) -> str:
    """An identity as a filter takes it."""
    return text.replace("\x00", "").strip()[:64]


@transaction.atomic
def drop(brand: Brand, *, ids: Sequence[int], by: Actor) -> int:
    """Waiting tags that are not wanted any more."""
    rows = WaitingTag.objects.filter(pk__in=list(ids))
    n = rows.count()
    rows.delete()
    if n:
        audit.record(by, "waiting_tag.drop", after={"n": n})
    return n
