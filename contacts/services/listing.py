"""Pages of the contact list, quick for every combination of filters and at any size of the brand.

Two ways to a page, newest first: walk the index of the newest contacts and look at each one's tags, guides
and name; or take all members of the smallest set that is asked for (carriers of a tag, customers of a
guide, members of a segment, names with a bigram …) and sort them. Postgres guesses which is shorter from how often a value
occurs, not from where: everybody of last year's code stands at the far end of the newest. So the sets are
counted first (up to SMALL); a small one leads, and beside large ones the walk ends after WINDOW contacts
and the smallest set leads after all.

In any other order nothing is walked: no index holds it, and none is wanted on rows that every order and every night
rewrites. The first of the narrow rows beside the contacts (ContactStat) are kept while all are read once; a small set
leads here too.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable, RawSQL

from contacts import hooks
from contacts.filters import Filters
from contacts.models import Contact, ContactQuerySet, ContactStat, Follow, visible_follows
from contacts.services import positions
from contacts.services.by_segment import Members
from contacts.services.by_segment import members as members_of
from contacts.services.search import Search
from contacts.sorting import EMPTY, Sort
from org.models import Staff
from scrm.keyset import Page, bad_page, beyond, keyset_page
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

SMALL = 20_000
WINDOW = 20_000
COUNTED = 10_000  # counts are exact up to here
NEWEST = ("-added_at", "-pk")


@dataclass(frozen=True)
class _Set:
    """Contacts that share something: as a test of one contact, and as a list of ids; or members of a segment, whose
    number is known."""

    test: Q | Combinable
    ids: QuerySet | None = None
    members: Members | None = None
    tags: tuple[int, ...] = ()  # carriers of one of these, whose bits can be asked for

    @property
    def all(self) -> Combinable:
        """The test for a query that begins with the set."""
        if self.members is not None:
            return self.members.all
        assert self.ids is not None
        return InArray(F("pk"), ArraySubquery(self.ids.order_by()))


@dataclass(frozen=True)
class _Asked:
    """What filters ask: of columns that the contact and its ContactStat both have, of the contact's other ones, of sets;
    and the order of the list when nobody chooses one."""

    both: Q
    own: Q
    sets: list[_Set]
    order: tuple[str, str]

    @property
    def plain(self) -> ContactQuerySet:
        return Contact.objects.filter(self.both, self.own)


class InArray(Func):
    """`column = ANY(ARRAY(subquery))`: the subquery is read first and as a whole, rows follow by their
    key."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()


class Looked(Func):
    """A test of one contact that stays one: made a join it would be of everybody, in a brand that Postgres does not know
    of each with each."""

    template = "coalesce(%(expressions)s, false)"
    output_field = BooleanField()


def page(
    brand: Brand,
    *,
    staff: Staff | None,
    filters: Filters,
    after: str | None = None,
    size: int = 50,
    base: ContactQuerySet | None = None,
    sort: Sort | None = None,
) -> Page:
    """One page of contacts that `staff` may see (None: all of the brand), newest first; lost ones latest
    loss first.

    Args:
        after: token of the previous page.
        base: limits the contacts by their own columns.
        sort: another order.

    Raises:
        InvalidError: bad token.
    """
    if sort is not None and (str(sort) != "-added" or filters.state == "lost"):
        return _sorted(brand, _parts(brand, staff, filters), base, sort, after, size)
    if base is None and (of_text := _of_text(brand, staff, filters)) is not None:
        return keyset_page(of_text, order=NEWEST, after=after, size=size)
    asked = _parts(brand, staff, filters)
    plain, sets, order = asked.plain, asked.sets, asked.order
    if base is not None:
        plain = plain & base
    if not sets:
        return keyset_page(plain, order=order, after=after, size=size)
    sizes = [_size(s, SMALL) for s in sets]
    if min(sizes) > SMALL:
        tested, near = plain.filter(*(Looked(s.test) for s in sets)), _nearest(plain, order, after)
        if near is None:
            return keyset_page(tested, order=order, after=after, size=size)
        found = keyset_page(tested.filter(near), order=order, after=after, size=size)
        if found.next:
            return found
        sizes = [_size(s, 10 * SMALL) for s in sets]
        if min(sizes) > 10 * SMALL and sets[sizes.index(min(sizes))].members is not None:
            # a bit is quicker asked of everybody than so many members are looked up
            return keyset_page(tested, order=order, after=after, size=size)
    smallest = min(range(len(sets)), key=sizes.__getitem__)
    others = [Looked(s.test) for n, s in enumerate(sets) if n != smallest]
    led = plain.filter(sets[smallest].all, *others)
    return keyset_page(led, order=order, after=after, size=size)


_HOW_MANY = (
    "SELECT count(*) FROM (SELECT FROM contacts_contactgram WHERE brand_id = %s AND gram = %s LIMIT %s) g"
)
_HAS_GRAM = (
    "contacts_contact.id = ANY (ARRAY("
    "SELECT contact_id FROM contacts_contactgram WHERE brand_id = %s AND gram = %s))"
)


def _of_text(brand: Brand, staff: Staff | None, filters: Filters) -> ContactQuerySet | None:
    """Whom a text of one or two characters finds: looked for most, and while it is typed, so it is put together without
    what the other filters need. None: something else is asked, or too many have it."""
    gram = Search(filters.q).plain
    if not 1 <= len(gram) <= 2 or filters != Filters(q=filters.q):
        return None
    if staff is not None and visible_follows(staff) is not None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_HOW_MANY, [brand.pk, gram, SMALL + 1])
        (n,) = cursor.fetchone()
    if n > SMALL:
        return None
    return Contact.objects.filter(RawSQL(_HAS_GRAM, [brand.pk, gram], BooleanField()))  # noqa: S611


def _size(of: _Set, limit: int) -> int:
    """How many rows a set has, counted up to `limit` + 1."""
    if of.members is not None:
        return of.members.n
    assert of.ids is not None
    return of.ids.order_by()[: limit + 1].count()


def _nearest(plain: ContactQuerySet, order: tuple[str, str], after: str | None) -> Q | None:
    """A condition that holds for the next WINDOW contacts only; None when there are no more than these."""
    name = order[0].lstrip("-")
    ahead = plain.filter(beyond(order, after)).order_by(*order).values_list(name, flat=True)
    last = ahead[WINDOW : WINDOW + 1].first()
    return None if last is None else Q(**{f"{name}__gte": last})


def matching(brand: Brand, *, staff: Staff | None, filters: Filters) -> ContactQuerySet:
    """All contacts of a filter, unordered: for counts and for work on everybody."""
    asked = _parts(brand, staff, filters)
    return asked.plain.filter(*(s.test for s in asked.sets))


def _sorted(
    brand: Brand, asked: _Asked, base: ContactQuerySet | None, sort: Sort, after: str | None, size: int
) -> Page:
    """A page in another order, read from the narrow rows. Who has no value stands last both ways: the page's token is
    `spent.` and the place among those who have one, or `spent..` and the place among the others."""
    prefix, sign = f"{sort}.", "-" if sort.is_down else ""
    if after and not after.startswith(prefix):
        raise bad_page()  # of another order
    token = (after or prefix).removeprefix(prefix)
    # no more than the order needs: an index that holds it is then enough
    rows, others = _stats(brand, asked, base).only("brand", "contact", sort.column), None
    if sort.name in EMPTY:
        rows, others = (rows.filter(**{f"{sort.column}__isnull": empty}) for empty in (False, True))
    found, following = [], token if token.startswith(".") else ""
    if following and others is None:
        raise bad_page()
    with connection.cursor() as cursor, joined_by_hash(cursor):
        if not following:
            first = keyset_page(
                rows, order=(f"{sign}{sort.column}", f"{sign}contact_id"), after=token, size=size
            )
            found, following = list(first), first.next
        if others is not None and len(found) < size and (not found or not following):
            rest = keyset_page(
                others, order=(f"{sign}contact_id",), after=following[1:], size=size - len(found)
            )
            found, following = found + list(rest), rest.next and f".{rest.next}"
        elif others is not None and not following and others.exists():
            following = "."
    people = Contact.objects.in_bulk([row.contact_id for row in found])
    contacts = [people[row.contact_id] for row in found if row.contact_id in people]
    return Page(contacts, following and prefix + following, after or "")


def _stats(brand: Brand, asked: _Asked, base: ContactQuerySet | None) -> QuerySet[ContactStat]:
    """The narrow rows of whom the filters hold; of large sets of tags everybody's bit is looked at, as of segments."""
    rows = ContactStat.objects.filter(asked.both)
    sizes = [_size(s, SMALL) for s in asked.sets]
    if sizes and min(sizes) <= SMALL:
        smallest = sizes.index(min(sizes))
        led = asked.plain.filter(asked.sets[smallest].all)
        led = led.filter(*(Looked(s.test) for n, s in enumerate(asked.sets) if n != smallest))
        led = led if base is None else led & base
        return ContactStat.objects.filter(
            InArray(F("contact_id"), ArraySubquery(led.order_by().values("pk")))
        )
    for each in asked.sets:
        members = Members(hooks.tag_bits(brand, each.tags)) if each.tags else each.members
        rows = rows.filter(members.test if members else Q(contact__in=each.ids))
    if asked.own or base is not None:
        own = Contact.objects.filter(asked.own)
        rows = rows.filter(contact__in=(own if base is None else own & base).order_by().values("pk"))
    return rows


def _parts(brand: Brand, staff: Staff | None, filters: Filters) -> _Asked:
    both, own, order = Q(), Q(), NEWEST
    sets: list[_Set] = []
    since, before = filters.moments(brand.timezone)
    if staff is not None and (mine := visible_follows(staff)) is not None:
        sets.append(_follow_set(mine))
    if filters.relation:
        sets.append(_follow_set(_relation(filters, since, before)))
    else:
        if filters.state == "reachable":
            both &= Q(n_follows__gt=0)
        elif filters.state == "lost":
            both, order = both & Q(lost_at__isnull=False), ("-lost_at", "-pk")
        elif filters.state == "pending":
            both, own = both & Q(n_follows=0, lost_at=None), own & Q(member_at=None)
        elif filters.state == "member":
            both, own = both & Q(n_follows=0, lost_at=None), own & Q(member_at__isnull=False)
        both &= Q(**_between("added_at", since, before))
    if filters.dnc:
        both &= Q(do_not_contact=True)
    if filters.segment:
        members = members_of(brand, filters.segment)
        sets.append(_Set(members.test, members=members))
    groups = [(n,) for n in filters.tags] if filters.all_tags else [filters.tags]
    for (test, ids), tags in zip(
        hooks.tag_sets(filters.tags, all_tags=filters.all_tags), groups, strict=False
    ):
        sets.append(_Set(test, ids, tags=tags))
    if filters.q:
        search = Search(filters.q)
        if (found := search.by_identity()) is not None:
            own &= Q(pk__in=found)
        else:
            sets += [_Set(*gram) for gram in search.gram_sets()]
            own &= search.recheck()
    return _Asked(both, own, sets, order)


def _relation(filters: Filters, since: datetime | None, before: datetime | None) -> QuerySet[Follow]:
    follows = Follow.objects.filter(**_between("added_at", since, before))
    if filters.guide:
        follows = follows.filter(staff=filters.guide)
    if filters.store:
        follows = follows.filter(staff__in=Staff.objects.filter(store=filters.store).values("pk"))
    if filters.code:
        follows = follows.filter(channel_code_id=filters.code)
    if filters.state == "member":
        return follows.filter(pk=0)  # who waits has no relation
    if filters.state == "lost":
        return follows.filter(ended_at__isnull=False)
    if filters.state:
        return follows.filter(ended_at=None, is_pending=filters.state == "pending")
    return follows


def _follow_set(follows: QuerySet[Follow]) -> _Set:
    return _Set(Q(Exists(follows.filter(contact=OuterRef("pk")))), follows.values("contact_id"))


def _between(name: str, since: datetime | None, before: datetime | None) -> dict[str, Any]:
    return {f"{name}{op}": value for op, value in (("__gte", since), ("__lt", before)) if value}


@dataclass(frozen=True)
class Count:
    """How many; beyond COUNTED an estimate, rounded, or only that there are more (`n` is COUNTED then). Of a segment
    alone it is exact."""

    n: int
    is_exact: bool
    is_estimate: bool = False


def count(brand: Brand, *, staff: Staff | None, filters: Filters) -> Count:
    """How many contacts a filter holds, without ever counting all of a large one."""
    asked = _parts(brand, staff, filters)
    plain, sets = asked.plain, asked.sets
    members = next((s.members for s in sets if s.members is not None), None)
    if members is not None and len(sets) == 1 and filters == Filters(segment=filters.segment):
        return Count(members.n, is_exact=True)
    rows = plain.filter(*(s.test for s in sets)).order_by()
    is_new = any(s.members is None for s in sets) and positions.are_unknown(brand)
    with connection.cursor() as cursor, joined_by_hash(cursor, None if is_new else 0):
        n = rows[: COUNTED + 1].count()
    if n <= COUNTED:
        return Count(n, is_exact=True)
    guess = _planned_rows(rows) if members is None else _shared(plain, sets, members)
    if guess <= COUNTED:
        return Count(COUNTED, is_exact=False)
    digits = 10 ** (len(str(guess)) - 2)
    return Count(guess // digits * digits, is_exact=False, is_estimate=True)


def _shared(plain: ContactQuerySet, sets: list[_Set], members: Members) -> int:
    """How many members the other filters hold, by a sample of them."""
    of_sample, n = members.sample()
    others = [Looked(s.test) for s in sets if s.members is None]
    return plain.filter(of_sample, *others).count() * members.n // n


def _planned_rows(rows: QuerySet) -> int:
    plan = json.loads(rows.values("pk").explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])
