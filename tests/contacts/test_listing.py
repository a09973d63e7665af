"""Pages of the list: every filter says the same as a plain look at the rows, whichever way the page is
found."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections

from contacts.filters import STATES, Filters
from contacts.models import Contact, ContactStat, Follow
from contacts.services import by_segment, listing
from contacts.services.follow import recount
from contacts.services.search import refresh_grams
from contacts.sorting import SORTS, Sort, parse_sort
from org.access import SYSTEM
from org.models import Staff, Store
from scrm.errors import InvalidError, NotFoundError
from tagging.models import ContactTag, Tag
from tagging.services.segments.segments import create_list, create_segment
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_staff, make_tag, role

T = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def crowd(brand: Any, corp: Any) -> dict[str, Any]:
    """60 contacts of 3 guides in 2 stores, with tags, codes, names, losses, half adds."""
    dice = random.Random(3)
    with in_brand(brand):
        stores = [Store.objects.create(name=n) for n in "甲乙"]
        guides = [make_staff(brand, corp, store=stores[n % 2]) for n in range(3)]
        tags = [make_tag(brand) for _ in range(3)]
        people = []
        for n in range(60):
            name = "".join(dice.choices("王小明李", k=3))
            contact = make_contact(
                brand,
                name=name,
                added_at=T - timedelta(hours=dice.randrange(9) * n),
                do_not_contact=n % 7 == 0,
            )
            for guide in dice.sample(guides, k=dice.randrange(3)):
                ended = T + timedelta(hours=n) if dice.random() < 0.3 else None
                Follow.objects.create(
                    contact=contact,
                    staff=guide,
                    corp=corp,
                    external_userid=f"w{n}",
                    added_at=contact.added_at,
                    ended_at=ended,
                    is_pending=not ended and dice.random() < 0.2,
                    channel_code_id=dice.choice([None, 1, 2]),
                )
            people.append(contact)
            add_tags(brand, contacts=[contact], tags=[t for t in tags if dice.random() < 0.4], source="page")
        ids = [c.pk for c in people]
        recount(brand, ids)
        refresh_grams(brand, ids)
        named = {"all": [{"kind": "tags", "ids": [tags[0].pk]}, {"not": {"kind": "do_not_contact"}}]}
        segments = {
            create_segment(brand, by=SYSTEM, name="0", condition=named).pk: {
                c.pk for c in people if not c.do_not_contact and tags[0].pk in _tags_of(c)
            },
            create_list(brand, by=SYSTEM, name="每三人", contact_ids=ids[::3]).pk: set(ids[::3]),
            create_list(brand, by=SYSTEM, name="无人", contact_ids=[]).pk: set(),
        }
    return {"guides": guides, "stores": stores, "tags": tags, "people": people, "segments": segments}


def _tags_of(contact: Contact) -> set[int]:
    return set(ContactTag.objects.filter(contact=contact).values_list("tag_id", flat=True))


def expected(brand: Any, filters: Filters, staff: Staff | None, segments: dict[int, set[int]]) -> list[int]:
    """The same by looking at every row in Python."""
    since, before = filters.moments(brand.timezone)
    follows: dict[int, list[Follow]] = {}
    for f in Follow.objects.select_related("staff__store"):
        follows.setdefault(f.contact_id, []).append(f)
    tags: dict[int, set[int]] = {}
    for row in ContactTag.objects.all():
        tags.setdefault(row.contact_id, set()).add(row.tag_id)

    def between(moment: datetime) -> bool:
        return (not since or moment >= since) and (not before or moment < before)

    def relation(f: Follow) -> bool:
        states = {
            "": True,
            "lost": f.ended_at is not None,
            "reachable": f.ended_at is None and not f.is_pending,
            "pending": f.ended_at is None and f.is_pending,
            "member": False,  # who waits has no relation
        }
        return (
            filters.guide in (None, f.staff_id)
            and filters.store in (None, f.staff.store_id)
            and filters.code in (None, f.channel_code_id)
            and between(f.added_at)
            and states[filters.state]
        )

    def fits(c: Contact) -> bool:
        mine = follows.get(c.pk, [])
        if staff and not any(f.staff_id == staff.pk for f in mine):
            return False
        if filters.relation:
            if not any(relation(f) for f in mine):
                return False
        elif not between(c.added_at) or filters.state not in ("", c.state):
            return False
        has = tags.get(c.pk, set())
        if filters.tags and not (all if filters.all_tags else any)(t in has for t in filters.tags):
            return False
        if filters.segment and c.pk not in segments[filters.segment]:
            return False
        return (not filters.dnc or c.do_not_contact) and filters.q in c.name

    found = [c for c in Contact.objects.all() if fits(c)]
    if filters.state == "lost" and not filters.relation:
        found.sort(key=lambda c: (c.lost_at, c.pk), reverse=True)
    else:
        found.sort(key=lambda c: (c.added_at, c.pk), reverse=True)
    return [c.pk for c in found]


def all_pages(
    brand: Any, filters: Filters, staff: Staff | None, size: int, sort: Sort | None = None
) -> list[int]:
    found: list[int] = []
    after = None
    while True:
        page = listing.page(brand, staff=staff, filters=filters, after=after, size=size, sort=sort)
        found += [c.pk for c in page]
        if not page.next:
            return found
        after = page.next


def random_filters(crowd: dict[str, Any], dice: random.Random) -> Filters:
    def perhaps(value: Any, share: float = 0.35) -> Any:
        return value if dice.random() < share else None

    return Filters(
        q=perhaps(dice.choice(["王", "小明", "王小明", "李李", "明王小", "龘"])) or "",
        guide=perhaps(dice.choice(crowd["guides"]).pk, 0.2),
        store=perhaps(dice.choice(crowd["stores"]).pk, 0.2),
        code=perhaps(dice.choice([1, 2, 3]), 0.2),
        tags=tuple(t.pk for t in crowd["tags"] if dice.random() < 0.25),
        all_tags=dice.random() < 0.5,
        state=perhaps(dice.choice(STATES)) or "",
        since=perhaps(date(2026, 2, 20), 0.2),
        until=perhaps(date(2026, 2, 25), 0.2),
        dnc=dice.random() < 0.15,
        segment=perhaps(dice.choice(list(crowd["segments"]))),
    )


@pytest.mark.parametrize("limits", [(20_000, 20_000), (2, 7), (0, 3)], ids=["led", "mixed", "walked"])
def test_every_way_gives_the_same_pages(brand: Any, crowd: Any, monkeypatch: Any, limits: Any) -> None:
    monkeypatch.setattr(listing, "SMALL", limits[0])
    monkeypatch.setattr(listing, "WINDOW", limits[1])
    monkeypatch.setattr(by_segment, "FEW", limits[0])
    dice = random.Random(11)
    with in_brand(brand):
        own = crowd["guides"][0]
        own.role = role(brand, "guide")
        n_found = 0
        for n in range(120):
            filters, staff = random_filters(crowd, dice), own if n % 4 == 0 else None
            wanted = expected(brand, filters, staff, crowd["segments"])
            assert all_pages(brand, filters, staff, 5) == wanted, filters
            count = listing.count(brand, staff=staff, filters=filters)
            assert (count.n, count.is_exact) == (len(wanted), True)
            n_found += bool(wanted)
        assert n_found > 40


@pytest.mark.parametrize("small", [20_000, 2, 0], ids=["led", "mixed", "read once"])
def test_every_order_gives_the_same_people(brand: Any, crowd: Any, monkeypatch: Any, small: int) -> None:
    """Ties, people without a value, both directions, within any filter: pages are the whole list cut into pieces, and
    who has no value stands last."""
    monkeypatch.setattr(listing, "SMALL", small)
    monkeypatch.setattr(by_segment, "FEW", small)
    dice = random.Random(5)
    with in_brand(brand):
        own = crowd["guides"][0]
        own.role = role(brand, "guide")
        for contact in crowd["people"]:
            n = dice.randrange(4)
            ContactStat.objects.filter(contact=contact).update(
                n_orders=n,
                spent_fen=n * 100,
                last_order_at=T - timedelta(days=dice.randrange(3)) if n else None,
                value_score=dice.randrange(3) if n > 1 else None,
            )
        values = {row.contact_id: row for row in ContactStat.objects.all()}
        for n in range(120):
            filters, staff = random_filters(crowd, dice) if n % 6 else Filters(), own if n % 4 == 0 else None
            sort = parse_sort(dice.choice(["", "-"]) + dice.choice(list(SORTS)))
            assert sort is not None
            key = {pk: getattr(row, sort.column) for pk, row in values.items()}
            wanted = expected(brand, filters, staff, crowd["segments"])
            some = sorted(
                (pk for pk in wanted if key[pk] is not None),
                key=lambda pk: (key[pk], pk),
                reverse=sort.is_down,
            )
            none = sorted((pk for pk in wanted if key[pk] is None), reverse=sort.is_down)
            assert all_pages(brand, filters, staff, dice.randrange(1, 9), sort) == some + none, (
                filters,
                sort,
            )


def test_a_page_of_another_order_is_refused(brand: Any, crowd: Any) -> None:
    with in_brand(brand):
        token = listing.page(brand, staff=None, filters=Filters(), size=5, sort=parse_sort("-spent")).next
        assert token
        for other in ("spent", "-orders", "-added", "", "last_order"):
            with pytest.raises(InvalidError):
                listing.page(brand, staff=None, filters=Filters(), after=token, sort=parse_sort(other))
        for bad in ("-spent..", "-spent.x", "-spent..x", "x"):
            with pytest.raises(InvalidError):
                listing.page(brand, staff=None, filters=Filters(), after=bad, sort=parse_sort("-spent"))


def test_counts_beyond_the_limit(brand: Any, crowd: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(listing, "COUNTED", 10)
    with in_brand(brand):
        count = listing.count(brand, staff=None, filters=Filters())
        assert not count.is_exact and count.n >= 10


def test_how_many_of_a_segment(brand: Any, crowd: Any, monkeypatch: Any) -> None:
    """A segment alone is counted to the last one; with other filters beyond the limit a sample of its people tells."""
    monkeypatch.setattr(listing, "COUNTED", 10)
    (segment, people), *_rest = ((pk, ids) for pk, ids in crowd["segments"].items() if len(ids) == 20)
    with in_brand(brand):
        assert listing.count(brand, staff=None, filters=Filters(segment=segment)) == listing.Count(20, True)
        filters = Filters(segment=segment, until=date(2026, 3, 1))
        n = Contact.objects.filter(pk__in=people, added_at__lt=filters.moments(brand.timezone)[1]).count()
        assert n > 10
        assert listing.count(brand, staff=None, filters=filters) == listing.Count(n, False, is_estimate=True)
        monkeypatch.setattr(by_segment, "SAMPLE", 5)
        assert 10 < listing.count(brand, staff=None, filters=filters).n <= 20
        own = crowd["guides"][0]
        own.role = role(brand, "guide")
        mine = listing.count(brand, staff=own, filters=Filters(segment=segment)).n
        assert 0 < mine < 20


def test_who_came_after_the_segment_was_asked(brand: Any, monkeypatch: Any) -> None:
    """A position beyond the bits is no error: the customer was made meanwhile."""
    monkeypatch.setattr(by_segment, "FEW", 0)
    with in_brand(brand):
        people = [make_contact(brand) for _ in range(3)]
        segment = create_list(brand, by=SYSTEM, name="x", contact_ids=[people[0].pk, people[2].pk])
        members = by_segment.members(brand, segment.pk)
        Contact.objects.filter(pk=people[1].pk).update(position=8 * len(members.bits))
        assert set(Contact.objects.filter(members.test)) == {people[0], people[2]}


def test_other_brands_filters_find_nobody(brand: Any, other_brand: Any, crowd: Any) -> None:
    with in_brand(other_brand):
        make_contact(other_brand)
        for filters in (
            Filters(guide=crowd["guides"][0].pk),
            Filters(store=crowd["stores"][0].pk),
            Filters(tags=(crowd["tags"][0].pk,)),
            Filters(tags=(crowd["tags"][0].pk,), all_tags=True),
            Filters(code=1),
            Filters(q="王"),
        ):
            assert len(listing.page(other_brand, staff=None, filters=filters)) == 0
        for act in (listing.page, listing.count, listing.matching):
            with pytest.raises(NotFoundError):
                act(other_brand, staff=None, filters=Filters(segment=next(iter(crowd["segments"]))))
        assert len(listing.page(other_brand, staff=None, filters=Filters())) == 1


PLANS = {
    "all": (Filters(), ["contact_newest"]),
    "lost": (Filters(state="lost"), ["contact_lost"]),
    "pending": (Filters(state="pending"), ["contact_asked"]),
    "member": (Filters(state="member"), ["contact_waiting"]),
    "do-not-contact": (Filters(dnc=True), ["contact_dnc"]),
    "name": (Filters(q="王小"), ["contacts_contactgram_pkey", "contacts_contact_pkey"]),
    "guide": (Filters(guide=1), ["follow_staff|follow_external", "contacts_contact_pkey"]),
    "code": (Filters(code=1), ["follow_code", "contacts_contact_pkey"]),
    "tag": (Filters(tags=(1,)), ["tagging_contacttag_pkey", "contacts_contact_pkey"]),
    "segment": (Filters(segment=1), ["contact_position", "Sort"]),
    "large segment": (Filters(segment=1), ["contact_newest"]),
}
PEOPLE = """
    INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact,
    n_follows, added_at) SELECT {b}, i, '客户' || i, '', 0, 1, '', i % 50 = 0, (i % 30 > 0)::int,
    timestamptz '2026-01-01' + i * interval '1 minute' FROM generate_series(1, 6000) i; UPDATE
    contacts_contact SET lost_at = added_at WHERE brand_id = {b} AND n_follows = 0 AND position % 60 > 0;
"""
THEIRS = """
    INSERT INTO contacts_follow (brand_id, contact_id, staff_id, corp_id, external_userid, state,
    channel_code_id, add_way, remark, description, wecom_tag_ids, is_pending, added_at, end_kind,
    changed_at) SELECT {b}, id, {s} + position % 100, {c}, 'w' || id, '', position % 100, 0, '', '', '{{}}',
    false, added_at, '', added_at FROM contacts_contact WHERE brand_id = {b}; INSERT INTO
    contacts_contactgram (brand_id, gram, contact_id) SELECT {b}, chr(20000 + (position % 100)::int) ||
    '小', id FROM contacts_contact WHERE brand_id = {b}; INSERT INTO tagging_contacttag (brand_id, tag_id,
    contact_id, source, at) SELECT {b}, {t} + position % 50, id, '', added_at FROM contacts_contact WHERE
    brand_id = {b}; INSERT INTO contacts_contactstat (brand_id, contact_id, position, n_follows, added_at, gender,
    do_not_contact, spent_fen, n_orders) SELECT brand_id, id, position, 0, added_at, 0, false, 0, 0 FROM contacts_contact
    WHERE brand_id = {b};
"""


def analyze() -> None:
    """As autovacuum would; the tables are the owner's."""
    with connections["owner"].cursor() as cursor:
        for table in ("contacts_contact", "contacts_follow", "contacts_contactgram", "tagging_contacttag"):
            cursor.execute(f"VACUUM ANALYZE {table}")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_indexes_serve_the_common_filters(brand: Any, corp: Any, monkeypatch: Any) -> None:
    """As the application's role, under row-level security, with real statistics: which index answers which
    filter."""
    with in_brand(brand), connection.cursor() as cursor:
        cursor.execute("SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False,)
        guides = Staff.objects.bulk_create(Staff(name="x", corp=corp, userid=f"g{n}") for n in range(100))
        group = make_tag(brand).group
        tags = Tag.objects.bulk_create(Tag(group=group, name=f"t{n}") for n in range(50))
        cursor.execute(PEOPLE.format(b=brand.pk))
    analyze()  # now, or the checks of the foreign keys scan what they think is a small table
    with in_brand(brand), connection.cursor() as cursor:
        cursor.execute(THEIRS.format(b=brand.pk, c=corp.pk, s=guides[0].pk, t=tags[0].pk))
    analyze()
    plans: list[str] = []
    real = listing.keyset_page

    def watched(queryset: Any, **kwargs: Any) -> Any:
        plans.append(queryset.order_by(*kwargs["order"])[:51].explain())
        return real(queryset, **kwargs)

    monkeypatch.setattr(listing, "keyset_page", watched)
    with in_brand(brand):
        ids = list(Contact.objects.order_by("pk").values_list("pk", flat=True))
        few, many = (create_list(brand, by=SYSTEM, name=f"{n}", contact_ids=ids[::n]).pk for n in (200, 2))
    known = {
        "guide": Filters(guide=guides[7].pk), "tag": Filters(tags=(tags[7].pk,)), "segment": Filters(segment=few),
        "large segment": Filters(segment=many),
    }  # fmt: skip
    for module, name in ((listing, "SMALL"), (by_segment, "FEW")):
        monkeypatch.setattr(module, name, 1_000)
    for name, (filters, indexes) in PLANS.items():
        with in_brand(brand):
            listing.page(brand, staff=None, filters=known.get(name, filters))
        for index in indexes:
            assert any(each in plans[-1] for each in index.split("|")), f"{name}: {plans[-1]}"
        assert "Seq Scan" not in plans[-1], f"{name}: {plans[-1]}"
        assert ("Sort" in plans[-1]) == (len(indexes) > 1), f"{name}: {plans[-1]}"
