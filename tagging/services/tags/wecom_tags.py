"""Tags that WeCom shows for relations, taken over into ours."""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction

from contacts.models import Follow
from org.models import Corp
from tagging.models import Tag
from tagging.services.tags.changes import Pairs, put_on, take_off
from tagging.services.tags.marks import on_the_way
from tenants.models import Brand


@transaction.atomic
def take_over(
    brand: Brand,
    *,
    corp: Corp,
    relations: Iterable[tuple[Follow, Iterable[str]]],
    read_at: datetime | None = None,
    source: str = "wecom",
) -> int:
    """Compare what WeCom shows with what it showed before; put on and take off the difference. Gives the
    changes.

    What we have queued for WeCom and it may not show yet counts as shown. Safe to repeat.

    Args:
        relations: live follows of this corp with their `staff`, and all of WeCom's tag ids of each.
        read_at: when WeCom was asked; what we have told it since is not in its answer. None: this moment.
    """
    pairs = [(follow, set(shown)) for follow, shown in relations]
    waiting = on_the_way(corp, [follow.external_userid for follow, _ in pairs], since=read_at)
    changes, rows = [], []
    for follow, shown in pairs:
        added, removed = waiting.get((follow.staff.userid, follow.external_userid), (set(), set()))
        now, before = (shown | added) - removed, set(follow.wecom_tag_ids)
        if now != before:
            follow.wecom_tag_ids = sorted(now)
            rows.append((follow.pk, " ".join(sorted(now))))
            changes.append((follow.contact_id, follow.staff_id, now - before, before - now))
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE contacts_follow f SET wecom_tag_ids = string_to_array(x.ids, ' ')::varchar[]"
                " FROM unnest(%s::bigint[], %s::text[]) AS x(id, ids) WHERE f.brand_id = %s AND f.id = x.id",
                [[pk for pk, _ in rows], [ids for _, ids in rows], brand.pk],
            )
    return mirror(brand, corp_id=corp.pk, changes=changes, source=source)


def mirror(
    brand: Brand,
    *,
    corp_id: int,
    changes: Iterable[tuple[int, int, Iterable[str], Iterable[str]]],
    source: str = "wecom",
) -> int:
    """Follow what WeCom says of relations: tags put on or taken off in the client. In the caller's
    transaction.

    A contact carries a tag as long as one live relation shows it. Tags we do not know (not synced, rule
    groups) are left alone.

    Args:
        changes: (contact id, staff id, WeCom tag ids added, removed) for each relation, after
            `Follow.wecom_tag_ids` was saved.
    """
    told = [(c, s, set(a), set(r)) for c, s, a, r in changes]
    names = {name for _c, _s, a, r in told for name in a | r}
    alive = Tag.objects.filter(wecom_id__in=names, group__corp=corp_id, deleted_at=None)
    known = dict(alive.values_list("wecom_id", "pk"))
    plus = {(known[w], c): s for c, s, a, _r in told for w in a if w in known}
    minus = [(c, w, s) for c, s, _a, r in told for w in r if w in known]
    still = _shown(corp_id, [c for c, _w, _s in minus]) if minus else {}
    gone = {(known[w], c): s for c, w, s in minus if w not in still.get(c, set())}
    n = 0
    for act, rows in ((take_off, gone), (put_on, plus)):
        if rows:
            n += act(brand, _of_staff(rows), source=source, own=("staff_id",), tell_wecom=False).n
    return n


def _of_staff(rows: dict[tuple[int, int], int]) -> Pairs:
    """Pairs of tag and contact, each with the staff member under whom it changed."""
    pairs = sorted(rows)
    return Pairs(
        "SELECT tag_id, contact_id, staff_id FROM unnest(%(tag_ids)s::bigint[], %(contact_ids)s::bigint[],"
        " %(staff_ids)s::bigint[]) AS x(tag_id, contact_id, staff_id)",
        {
            "tag_ids": [tag_id for tag_id, _c in pairs],
            "contact_ids": [contact_id for _t, contact_id in pairs],
            "staff_ids": [rows[pair] for pair in pairs],
        },
    )


def _shown(corp_id: int, contact_ids: list[int]) -> dict[int, set[str]]:
    shown: dict[int, set[str]] = {}
    follows = Follow.objects.filter(contact__in=contact_ids, corp=corp_id, ended_at=None)
    for contact_id, tag_ids in follows.values_list("contact_id", "wecom_tag_ids"):
        shown.setdefault(contact_id, set()).update(tag_ids)
    return shown
