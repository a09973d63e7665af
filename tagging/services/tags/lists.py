"""Tags for the people of a list: a spreadsheet, a text file or pasted lines with phones, member numbers, unionids or
external_userids. Who is not here yet gets the tags when they come (waiting.py)."""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db import connection, transaction
from django.utils.translation import gettext as _

from contacts.identities import normal
from contacts.models import Contact, Identity
from org.access import Actor
from org.models import Corp, Job, Staff
from scrm import clock, sheets
from scrm.errors import InvalidError, NotFoundError
from tagging.models import TagAct
from tagging.services.tags import acts, mass, waiting
from tenants.models import Brand

MAX_ROWS = 50_000
PREVIEW_S = 3600
SHOWN = 200
K = Identity.Kind

# what people write above such a column
HEADINGS: dict[str, tuple[str, ...]] = {
    K.PHONE: ("phone", "mobile", "tel", "手机", "手机号", "手机号码", "电话", "联系电话"),
    K.MEMBER_NO: ("member_no", "member", "member number", "会员号", "会员编号", "会员卡号", "卡号"),
    K.UNIONID: ("unionid",),
    K.EXTERNAL_USERID: ("external_userid", "external userid", "外部联系人id", "客户id", "externaluserid"),
}
_PHONE = re.compile(r"^(?:\+?0{0,2}86)?[- ]?1\d{2}[- ]?\d{4}[- ]?\d{4}$")


@dataclass
class Found:
    """A list that has been read.

    Attributes:
        keys: (kind, value), each once; known and unknown people.
        bad: (row number, text, why).
        contact_ids: who is here, in sight of whoever asks.
        unknown: keys of nobody here.
        hidden: how many belong to somebody else's customers.
    """

    token: str = ""
    name: str = ""
    kind: str = ""  # words of the column
    n_rows: int = 0
    contact_ids: list[int] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    hidden: int = 0
    bad: list[tuple[int, str, str]] = field(default_factory=list)


def read(brand: Brand, *, data: bytes, name: str, staff: Staff) -> Found:
    """Read a list and look up its people; kept for an hour under its token.

    Raises:
        InvalidError: no list that can be read, too many rows, nobody in it.
    """
    rows = sheets.read(data, name, max_rows=MAX_ROWS)
    found = Found(token=secrets.token_urlsafe(12), name=name[:80])
    keys, found.bad, found.n_rows = _keys(rows)
    if not keys:
        raise InvalidError(_("No phone, member number, unionid or external_userid was found in this list"))
    _look_up(brand, found, keys, staff)
    cache.set(_key(brand, found.token), asdict(found), PREVIEW_S)
    return found


def _keys(
    rows: Sequence[tuple[int, list[str]]],
) -> tuple[list[tuple[str, str]], list[tuple[int, str, str]], int]:
    """Keys of a list (each once), rows that hold none, number of rows below the heading."""
    columns = _columns(rows[0][1]) if rows else {}
    body = rows[1:] if columns else rows
    keys: dict[tuple[str, str], None] = {}
    bad: list[tuple[int, str, str]] = []
    for number, cells in body:
        row_keys = [
            (kind, value)
            for index, kind in (columns or {0: ""}).items()
            if index < len(cells) and cells[index].strip()
            for kind, value in [_key_of(kind, cells[index])]
        ]
        good = [(kind, value) for kind, value in row_keys if value]
        if good:
            keys[good[0]] = None
        else:
            why = _("This cannot be a phone number") if row_keys else _("The row is empty here")
            bad.append((number, " ".join(cells)[:60], why))
    return list(keys), bad, len(body)


def _columns(headings: Iterable[str]) -> dict[int, str]:
    words = {word: str(kind) for kind, names in HEADINGS.items() for word in names}
    found = {
        index: words[key]
        for index, heading in enumerate(headings)
        if (key := heading.strip().lower().replace("（", "(").split("(")[0].rstrip("*").strip()) in words
    }
    # the surest one first: an external_userid is one person, a phone may be written in many ways
    order = [K.EXTERNAL_USERID, K.UNIONID, K.MEMBER_NO, K.PHONE]
    return dict(sorted(found.items(), key=lambda pair: order.index(K(pair[1]))))


def _key_of(kind: str, text: str) -> tuple[str, str]:
    value = text.strip()
    if not kind:  # no heading: what it looks like
        if _PHONE.match(value):
            kind = K.PHONE
        elif re.match(r"^w[mo][\w-]{20,}$", value):
            kind = K.EXTERNAL_USERID
        elif re.match(r"^o[\w-]{27}$", value):
            kind = K.UNIONID
        else:
            kind = K.MEMBER_NO
    return str(kind), normal(kind, value)[:64]


_OWNERS = """
    SELECT x.kind, x.value, array_agg(DISTINCT i.contact_id) FILTER (WHERE i.contact_id IS NOT NULL)
      FROM unnest(%(kinds)s::text[], %(values)s::text[]) AS x(kind, value)
      LEFT JOIN contacts_identity i ON i.brand_id = %(brand)s AND i.kind = x.kind AND i.value = x.value
            AND i.scope = ANY(%(scopes)s)
     GROUP BY 1, 2
"""


def _look_up(brand: Brand, found: Found, keys: list[tuple[str, str]], staff: Staff) -> None:

    scopes = ["", *Corp.objects.values_list("corpid", flat=True)]
    owners: dict[tuple[str, str], list[int]] = {}
    for start in range(0, len(keys), 5_000):
        part = keys[start : start + 5_000]
        with connection.cursor() as cursor:
            params: dict[str, Any] = {
                "brand": brand.pk,
                "scopes": scopes,
                "kinds": [k for k, _v in part],
                "values": [v for _k, v in part],
            }
            cursor.execute(_OWNERS, params)
            owners |= {(kind, value): ids or [] for kind, value, ids in cursor.fetchall()}
    everybody = sorted({i for ids in owners.values() for i in ids})
    seen: set[int] = set()
    for start in range(0, len(everybody), 5_000):
        part_ids = everybody[start : start + 5_000]
        seen |= set(Contact.objects.visible_to(staff).filter(pk__in=part_ids).values_list("pk", flat=True))
    found.contact_ids = sorted(seen)
    found.hidden = sum(bool(ids) and not seen & set(ids) for ids in owners.values())
    found.unknown = [key for key in keys if not owners[key]]


def can_wait(found: Found, staff: Staff) -> list[tuple[str, str]]:
    """The unknown ones who may wait for their tags: not external_userids, and only for who sees the whole brand."""
    if not staff.sees_brand:
        return []
    return [key for key in found.unknown if key[0] in waiting.KINDS]


def recall(brand: Brand, token: str) -> Found:
    """A list that was read within the last hour.

    Raises:
        NotFoundError.
    """
    stored = cache.get(_key(brand, token))
    if stored is None:
        raise NotFoundError(_("This preview is too old; upload the file again"))
    stored["unknown"] = [(kind, value) for kind, value in stored["unknown"]]
    return Found(**stored)


@transaction.atomic
def start(
    brand: Brand,
    *,
    by: Actor,
    staff: Staff,
    token: str,
    add: Iterable[int] = (),
    remove: Iterable[int] = (),
    days: int | None = None,
    wait: bool = False,
) -> Job | TagAct:
    """Tag the people of a list: a job for those who are here; the others wait, if so wished.

    Raises:
        InvalidError, NotFoundError.
    """
    found = recall(brand, token)
    waiters = can_wait(found, staff) if wait else []
    title = _("List “%(name)s”") % {"name": found.name}
    if not found.contact_ids and not waiters:
        raise InvalidError(_("Nobody of this list is here"))
    job: Job | None = None
    if found.contact_ids:
        who = mass.Who.of_ids(found.contact_ids)
        job = mass.start(
            brand, kind=TagAct.Kind.FILE, title=title, by=by, who=who, add=add, remove=remove, days=days
        )
        act = TagAct.objects.get(pk=job.params["act_id"])
    else:
        tags = [tag.pk for tag in mass.alive(add)]
        act = acts.begin(brand, kind=TagAct.Kind.FILE, title=title, by=by, add=tags)
    if waiters and act.add_tag_ids:
        n = waiting.add(
            brand,
            keys=[(kind, "", value) for kind, value in waiters],
            tag_ids=act.add_tag_ids,
            source=f"file:{act.pk}",
            staff_id=by.staff.pk if by.staff else None,
            expires_at=clock.now() + timedelta(days=days) if days else None,
            act_id=act.pk,
        )
        acts.count(act, waiting=n)
    forget(brand, found)
    act.refresh_from_db()
    return job or act


def forget(brand: Brand, found: Found) -> None:
    """A list that was used is not used a second time."""
    cache.delete(_key(brand, found.token))


def _key(brand: Brand, token: str) -> str:
    return f"tag_list:{brand.pk}:{token}"
