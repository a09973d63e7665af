"""加好友名单: make a list, put numbers into it, change it, close it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from contacts.identities import normal
from contacts.models import Identity
from guides.models import Lead, LeadList
from guides.services.leads import duties
from guides.services.leads.who import STATE, who
from org import audit
from org.access import Actor
from org.models import Scope, Staff
from scrm import clock
from scrm.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tagging.models import Tag
from tenants.models import Brand

MOST_ROWS = 5_000  # of a pasted list
MAX_DAYS = 60
FIELDS = ["name", "words", "tag_ids", "due_days", "again_days"]
_SPLIT = re.compile(r"[\s,，;；|]+")
# a Chinese mobile however it is grouped, else any digits in a row
_NUMBER = re.compile(r"(?<!\d)(?:\+?86[ -]?)?1\d{2}[ -]?\d{4}[ -]?\d{4}(?!\d)|\+?\d[\d-]{5,20}")


@dataclass
class ListInput:
    """What a person says of a list.

    Attributes:
        due_days: how long a guide has for their share.
        again_days: what was not asked after so many days goes to somebody else; None: never.
    """

    name: str
    words: str = ""
    tag_ids: Sequence[int] = ()
    due_days: int = 3
    again_days: int | None = None


@dataclass
class LeadInput:
    phone: str
    name: str = ""
    note: str = ""
    tag_ids: Sequence[int] = ()
    staff_id: int | None = None  # for whom it is meant
    store_id: int | None = None
    region_id: int | None = None  # where it has no store


@dataclass
class Entered:
    """What became of rows: ids by phone of those that are new; `known`: of these, customers already."""

    new: dict[str, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    repeated: list[str] = field(default_factory=list)  # open in another list, or in this one
    bad: list[str] = field(default_factory=list)  # texts that are no numbers


def get_list(list_id: int, *, lock: bool = False) -> LeadList:
    """The list of the brand in scope. Raises NotFoundError: missing, or another brand's."""
    rows = LeadList.objects.select_for_update(no_key=True) if lock else LeadList.objects.all()
    found = rows.filter(pk=list_id).first()
    if found is None:
        raise NotFoundError()
    return found


def may_change(found: LeadList, staff: Staff | None) -> bool:
    """Whether all numbers of the list are within a person's sight: only then the whole list is theirs to change."""
    seen = Lead.objects.visible_to(staff)
    if staff is None or staff.sees_brand:
        return True
    return not Lead.objects.filter(list=found).exclude(pk__in=seen.values("pk")).exists()


def need_whole(found: LeadList, staff: Staff | None) -> None:
    """Raises ForbiddenError, see `may_change`."""
    if not may_change(found, staff):
        raise ForbiddenError(
            _(
                "This list also holds numbers of others: only somebody who sees all of them can change the list"
            )
        )


@dataclass(frozen=True)
class Place:
    """Where numbers belong that a person enters, and nobody has yet: at most one of the three."""

    store_id: int | None = None
    region_id: int | None = None
    staff_id: int | None = None


def place_of(staff: Staff) -> Place:
    """Whoever does not see the whole brand enters numbers for what they see: their region, their store, or themselves.
    It goes by the same scope as `Lead.objects.visible_to`, so that nobody enters what they do not see afterwards."""
    if staff.sees_brand:
        return Place()
    if staff.scope == Scope.REGION and staff.region_id:
        return Place(region_id=staff.region_id)
    if staff.scope == Scope.STORE and staff.store_id:
        return Place(store_id=staff.store_id)
    return Place(staff_id=staff.pk)


def _checked(given: ListInput) -> dict[str, Any]:
    problems = {}
    name = " ".join(given.name.split())
    if not 0 < len(name) <= 80:
        problems["name"] = _("1 to 80 characters")
    if len(given.words) > 200:
        problems["words"] = _("At most %(n)s characters") % {"n": 200}
    if not 1 <= given.due_days <= MAX_DAYS:
        problems["due_days"] = _("%(a)s to %(b)s") % {"a": 1, "b": MAX_DAYS}
    if given.again_days is not None and not 1 <= given.again_days <= MAX_DAYS:
        problems["again_days"] = _("%(a)s to %(b)s") % {"a": 1, "b": MAX_DAYS}
    tag_ids = sorted(set(given.tag_ids))
    if Tag.objects.filter(pk__in=tag_ids, deleted_at=None).count() != len(tag_ids):
        problems["tag_ids"] = _("There is no such tag")
    if problems:
        raise InvalidError(next(iter(problems.values())), fields=problems)
    return {
        "name": name, "words": given.words.strip(), "tag_ids": tag_ids, "due_days": given.due_days,
        "again_days": given.again_days,
    }  # fmt: skip


@transaction.atomic
def create_list(
    brand: Brand, *, by: Actor, given: ListInput, source: str, file_id: int | None = None
) -> LeadList:
    """A list without numbers yet. Raises InvalidError."""
    found = LeadList.objects.create(**_checked(given), source=source, file_id=file_id, created_by=by.name)
    audit.record(by, "lead_list.create", found, after=audit.snapshot(found, FIELDS))
    return found


@transaction.atomic
def edit_list(brand: Brand, *, by: Actor, staff: Staff | None, list_id: int, given: ListInput) -> LeadList:
    """Raises InvalidError; NotFoundError; ForbiddenError: it holds numbers out of sight of `staff`."""
    found = get_list(list_id, lock=True)
    need_whole(found, staff)
    before = audit.snapshot(found, FIELDS)
    for name, value in _checked(given).items():
        setattr(found, name, value)
    found.save(update_fields=FIELDS)
    audit.record(by, "lead_list.edit", found, before=before, after=audit.snapshot(found, FIELDS))
    return found


@transaction.atomic
def close_list(brand: Brand, *, by: Actor, staff: Staff | None, list_id: int) -> int:
    """Nothing of it is to be added any more: what is open is taken out. Gives how many; a second time none.

    Raises:
        ForbiddenError: it holds numbers out of sight of `staff`.
    """
    found = get_list(list_id, lock=True)
    need_whole(found, staff)
    if found.closed_at is not None:
        return 0
    found.closed_at = clock.now()
    found.save(update_fields=["closed_at"])
    n = Lead.objects.filter(list=found, state__in=Lead.OPEN).update(
        state=Lead.State.CLOSED, ended_at=found.closed_at
    )
    duties.drop(brand, found, by=by)
    audit.record(by, "lead_list.close", found, after={"n": n})
    return n


@contextmanager
def _one_open() -> Iterator[None]:
    """A number is open in one list: another one may get it at this moment."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        raise ConflictError(_("One of its numbers has just come into another open list; try again")) from None


@transaction.atomic
def open_list(brand: Brand, *, by: Actor, staff: Staff | None, list_id: int) -> int:
    """Undo of `close_list`: who had what has it again, and the tasks with it. Gives how many; numbers that are open in
    another list meanwhile stay out.

    Raises:
        ForbiddenError: it holds numbers out of sight of `staff`.
    """
    found = get_list(list_id, lock=True)
    need_whole(found, staff)
    if found.closed_at is None:
        return 0
    with _one_open(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE guides_lead l SET ended_at = NULL, state = CASE WHEN asked_at IS NOT NULL THEN 'asked'"
            " WHEN given_at IS NOT NULL THEN 'given' ELSE 'waiting' END"
            " WHERE brand_id = %(brand)s AND list_id = %(list)s AND state = 'closed' AND ended_at = %(at)s"
            "   AND NOT EXISTS (SELECT 1 FROM guides_lead o WHERE o.brand_id = %(brand)s AND o.phone = l.phone"
            "     AND o.state IN ('waiting', 'given', 'asked'))",
            {"brand": brand.pk, "list": found.pk, "at": found.closed_at},
        )
        n = cursor.rowcount
    duties.resume(brand, found, by=by)
    found.closed_at = None
    found.save(update_fields=["closed_at"])
    audit.record(by, "lead_list.open", found, after={"n": n})
    return n


# ---- numbers


def read_text(text: str) -> tuple[list[LeadInput], list[str]]:
    """Rows of a pasted list and the lines that cannot be read: a number, then a name, then a note, with tabs, commas or
    blanks between; the number may come after the name. Raises InvalidError: none, or too many."""
    rows: list[LeadInput] = []
    bad: list[str] = []
    for line in text.replace("\x00", "").splitlines():
        if not (plain := line.strip()):
            continue
        found = _NUMBER.search(plain)
        phone = normal(Identity.Kind.PHONE, found.group()) if found else ""
        if found is None or not phone:
            bad.append(plain[:60])
            continue
        rest = [w for w in _SPLIT.split(f"{plain[: found.start()]}\t{plain[found.end() :]}") if w]
        rows.append(LeadInput(phone, rest[0][:100] if rest else "", " ".join(rest[1:])[:300]))
    if not rows and not bad:
        raise InvalidError(_("Paste at least one number"), fields={"rows": _("Paste at least one number")})
    if len(rows) > MOST_ROWS:
        text = _("At most %(n)s numbers at a time; import a file instead") % {"n": f"{MOST_ROWS:,}"}
        raise InvalidError(text, fields={"rows": text})
    return rows, bad


_ENTER = f"""
    INSERT INTO guides_lead (brand_id, list_id, phone, name, note, tag_ids, store_id, region_id, staff_id, state,
                             contact_id, said, n_given, created_at)
    SELECT %(brand)s, %(list)s, r.phone, r.name, r.note, (SELECT coalesce(array_agg(t::bigint), '{{}}')
             FROM regexp_split_to_table(nullif(r.tags, ''), ' ') t), r.store_id, r.region_id, r.staff_id,
           {STATE}, c.id, '', 0, %(now)s
      FROM unnest(%(phones)s::text[], %(names)s::text[], %(notes)s::text[], %(tags)s::text[], %(stores)s::bigint[],
                  %(regions)s::bigint[], %(guides)s::bigint[])
                  WITH ORDINALITY AS r(phone, name, note, tags, store_id, region_id, staff_id, n)
      {who("r.phone")}
     ORDER BY r.n ON CONFLICT DO NOTHING RETURNING id, phone, state
"""  # noqa: S608  parts of our own


@transaction.atomic
def add_leads(brand: Brand, *, by: Actor, list_id: int, rows: Iterable[LeadInput]) -> Entered:
    """Numbers into a list. Who is a customer already is noted as such and not given out. Safe to repeat.

    Raises:
        ConflictError: the list is closed.
    """
    found = get_list(list_id, lock=True)
    if found.closed_at is not None:
        raise ConflictError(_("This list is closed"))
    done, wanted = Entered(), {}
    for row in rows:
        phone = normal(Identity.Kind.PHONE, row.phone)
        if not phone:
            done.bad.append(row.phone)
        elif phone in wanted:
            done.repeated.append(phone)
        else:
            wanted[phone] = row
    given = list(wanted.items())
    with connection.cursor() as cursor:
        cursor.execute(
            _ENTER,
            {
                "brand": brand.pk, "list": found.pk, "now": clock.now(), "phones": list(wanted),
                "names": [row.name.replace("\x00", "").strip()[:100] for _phone, row in given],
                "notes": [row.note.replace("\x00", "").strip()[:300] for _phone, row in given],
                "tags": [" ".join(str(int(t)) for t in sorted(set(row.tag_ids))) for _phone, row in given],
                "stores": [row.store_id for _phone, row in given], "guides": [row.staff_id for _phone, row in given],
                "regions": [row.region_id for _phone, row in given],
            },
        )  # fmt: skip
        for lead_id, phone, state in cursor:
            done.new[phone] = lead_id
            if state == Lead.State.KNOWN:
                done.known.add(phone)
    done.repeated += [phone for phone in wanted if phone not in done.new]
    if done.new:
        audit.record(by, "lead_list.add", found, after={"n": len(done.new), "known": len(done.known)})
    return done
