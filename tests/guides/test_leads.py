"""Numbers to add: given out, asked, matched by phone, moved on; tasks and notices that go with them."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_tasks
from campaigns.tasks import staff_tasks_of_brand
from contacts.models import Event, EventType, Follow, Identity
from contacts.services import profile
from contacts.services.follow import record_follow
from guides.models import Lead, LeadList
from guides.services.leads import asking, giving, lists, matching, numbers
from guides.services.leads.giving import Choice
from guides.services.leads.lists import LeadInput, ListInput, read_text
from guides.tasks import tick_brand
from org.access import SYSTEM, Actor
from org.models import AuditEntry, Staff, Store
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tagging.models import ContactTag
from tests.factories import in_brand, make_contact, make_staff, make_tag
from wecom.models import OutboundCall

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
PHONES = ["13800138001", "13800138002", "13800138003", "13800138004", "13800138005", "13800138006"]


@pytest.fixture(autouse=True)
def no_calls(monkeypatch: Any) -> None:
    monkeypatch.setattr("wecom.services.outbound.start", lambda *_args: None)


@pytest.fixture
def house(brand: Any, corp: Any, staff: Any) -> SimpleNamespace:
    """Guides `a` and `b` of two stores, a list of six numbers with a tag."""
    with in_brand(brand):
        one, two = Store.objects.create(name="一店"), Store.objects.create(name="二店")
        staff.store = one
        staff.save()
        b = make_staff(brand, corp, store=two)
        tag, own_tag = make_tag(brand), make_tag(brand)
        found = lists.create_list(
            brand, by=SYSTEM, given=ListInput("秋季展会", words="{name}您好", tag_ids=[tag.pk]), source="page"
        )
        rows = [LeadInput(phone, f"客{n}") for n, phone in enumerate(PHONES)]
        rows[0].tag_ids = [own_tag.pk]
        lists.add_leads(brand, by=SYSTEM, list_id=found.pk, rows=rows)
    return SimpleNamespace(
        brand=brand, corp=corp, a=staff, b=b, one=one, two=two, found=found, tag=tag, own_tag=own_tag
    )


def give_all(house: SimpleNamespace, **over: Any) -> Any:
    choice = Choice([house.a.pk, house.b.pk], **over)
    return giving.give_out(house.brand, by=SYSTEM, staff=None, list_id=house.found.pk, choice=choice)


def arrive(house: SimpleNamespace, staff: Any, external: str, phones: list[str]) -> None:
    record_follow(
        house.brand, corp=house.corp, staff=staff, external_userid=external, at=clock.now(), source="callback"
    )
    customer: Any = {
        "external_contact": {"external_userid": external, "name": "微信名", "type": 1},
        "follow_user": [{"userid": staff.userid, "remark_mobiles": phones}],
    }
    profile.keep(house.brand, corp=house.corp, customer=customer, read_at=clock.now(), source="callback")


def states() -> list[str]:
    return list(Lead.objects.order_by("pk").values_list("state", flat=True))


def owners() -> list[tuple[Any, ...]]:
    """All that says whose each number is and since when."""
    fields = ("pk", "state", "staff", "given_at", "asked_at", "n_given")
    return list(Lead.objects.order_by("pk").values_list(*fields))


def noon() -> datetime:
    """Of tomorrow where the brand is: guides are told by day."""
    return (clock.now().astimezone(ZoneInfo("Asia/Shanghai")) + DAY).replace(hour=12, minute=0)


def of(staff: Any) -> list[Lead]:
    return list(Lead.objects.filter(staff=staff).order_by("pk"))


# ---- a list


def test_a_pasted_list_is_read() -> None:
    rows, bad = read_text(
        "13800138001 张三 老客介绍 爱喝茶\n+86 138-0013-8002,李四\n王五\t138 0013 8003\n\n没有号码\n0571-88886666\n"
        "13800138004 2026年1月 到店\n"
    )
    assert [(r.phone, r.name, r.note) for r in rows] == [
        ("13800138001", "张三", "老客介绍 爱喝茶"),
        ("13800138002", "李四", ""),
        ("13800138003", "王五", ""),
        ("057188886666", "", ""),
        ("13800138004", "2026年1月", "到店"),
    ]
    assert bad == ["没有号码"]
    with pytest.raises(InvalidError):
        read_text(" \n")
    with pytest.raises(InvalidError):
        read_text("\n".join(f"138{n:08d}" for n in range(5_001)))


def test_customers_are_recognised_and_a_number_is_open_once(house: SimpleNamespace, other_brand: Any) -> None:
    with in_brand(house.brand):
        customer, member = make_contact(house.brand, house.a), make_contact(house.brand)
        quiet = make_contact(house.brand, do_not_contact=True)
        for contact, phone in ((customer, "13900000001"), (member, "13900000002"), (quiet, "13900000003")):
            Identity.objects.create(contact=contact, kind="phone", value=phone)
        other = lists.create_list(house.brand, by=SYSTEM, given=ListInput("另一份"), source="page")
        texts = ["+86 139 0000 0001", "13900000002", "13900000003", PHONES[0], "13900000002", "x"]
        done = lists.add_leads(house.brand, by=SYSTEM, list_id=other.pk, rows=[LeadInput(t) for t in texts])
        assert done.known == {"13900000001", "13900000003"} and len(done.new) == 3
        assert sorted(done.repeated) == [PHONES[0], "13900000002"] and done.bad == ["x"]
        leads = dict(Lead.objects.filter(list=other).values_list("phone", "state"))
        assert leads == {"13900000001": "known", "13900000002": "waiting", "13900000003": "known"}
        assert Lead.objects.get(phone="13900000002").contact_id == member.pk
        again = lists.add_leads(house.brand, by=SYSTEM, list_id=other.pk, rows=[LeadInput(t) for t in texts])
        assert not again.new
    with in_brand(other_brand):  # another brand may ask the same number
        theirs = lists.create_list(other_brand, by=SYSTEM, given=ListInput("x"), source="page")
        assert lists.add_leads(other_brand, by=SYSTEM, list_id=theirs.pk, rows=[LeadInput(PHONES[0])]).new
        with pytest.raises(NotFoundError):
            lists.get_list(house.found.pk)


def test_bad_words_of_a_list(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        for given in (
            ListInput(" "), ListInput("x" * 81), ListInput("x", due_days=0), ListInput("x", again_days=99),
            ListInput("x", tag_ids=[987]),
        ):  # fmt: skip
            with pytest.raises(InvalidError):
                lists.create_list(house.brand, by=SYSTEM, given=given, source="page")


# ---- given out


def test_given_out_evenly_once_with_a_task_each(house: SimpleNamespace) -> None:
    with clock.at(noon()), in_brand(house.brand):
        shares = give_all(house)
        assert {guide: len(ids) for guide, ids in shares.of.items()} == {house.a.pk: 3, house.b.pk: 3}
        assert give_all(house).n == 0  # a double click
        tasks = list(StaffTask.objects.order_by("staff"))
        assert [(t.staff_id, t.kind, t.state) for t in tasks] == [
            (house.a.pk, "add", "open"), (house.b.pk, "add", "open")
        ]  # fmt: skip
        assert "秋季展会" in tasks[0].title
        assert numbers.of_guide(house.a) == {"given": 3, "asked": 0}
    with clock.at(noon() + timedelta(minutes=3)):
        staff_tasks_of_brand.run(brand_id=house.brand.pk)
    with in_brand(house.brand):
        told = OutboundCall.objects.filter(kind="notice")
        assert {c.payload["userid"] for c in told} == {house.a.userid, house.b.userid}


def test_by_store_bound_and_for_whom_it_is_meant(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        leads = list(Lead.objects.order_by("pk"))
        Lead.objects.filter(pk__in=[x.pk for x in leads[:4]]).update(store=house.one)
        Lead.objects.filter(pk=leads[4].pk).update(staff=house.b)
        shares = give_all(house, by_store=True, most=3)
        assert shares.of[house.a.pk] == [x.pk for x in leads[:3]]
        assert set(shares.of[house.b.pk]) == {leads[4].pk, leads[5].pk} and shares.left == [leads[3].pk]
        with pytest.raises(InvalidError):
            give_all(house, most=0)
        with pytest.raises(InvalidError):
            choice = Choice([make_staff(house.brand).pk])  # no guide
            giving.give_out(house.brand, by=SYSTEM, staff=None, list_id=house.found.pk, choice=choice)


def test_who_became_a_customer_meanwhile_is_not_given_out(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        contact = make_contact(house.brand, house.a)
        Identity.objects.create(contact=contact, kind="phone", value=PHONES[2])
        assert give_all(house).n == 5
        assert Lead.objects.get(phone=PHONES[2]).state == "known"


def test_taken_back_moved_taken_out_and_closed(house: SimpleNamespace) -> None:
    brand, common = house.brand, {"by": SYSTEM, "staff": None, "list_id": house.found.pk}
    with in_brand(brand):
        give_all(house)
        first = of(house.a)[0]
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=first.pk, act="asked")
        assert giving.take_back(brand, **common, guide_id=house.a.pk) == 2  # what is asked stays
        assert StaffTask.objects.get(staff=house.a).state == "done"
        assert giving.move(brand, **common, to_id=house.a.pk, guide_id=house.b.pk) == 3
        assert StaffTask.objects.get(staff=house.b).state == "cancelled"
        assert StaffTask.objects.filter(staff=house.a, state="open").count() == 1
        assert giving.take_out(brand, **common, ids=[of(house.a)[1].pk]) == 1
        before = owners()
        assert lists.close_list(brand, **common) == 5
        assert lists.close_list(brand, **common) == 0
        assert not StaffTask.objects.filter(state="open").exists()
        with pytest.raises(ConflictError):
            give_all(house)
        assert lists.open_list(brand, **common) == 5
        assert owners() == before  # who had what has it again
        assert sorted(states()) == ["asked", "closed", "given", "given", "waiting", "waiting"]
        assert StaffTask.objects.get(state="open").staff_id == house.a.pk
        actions = set(AuditEntry.objects.values_list("action", flat=True))
        wanted = {
            f"lead_list.{verb}"
            for verb in ("create", "add", "give", "take", "move", "take_out", "close", "open")
        }
        assert wanted <= actions


# ---- the guide


def test_a_guide_asks_and_undoes(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        mine = of(house.a)
        by = Actor("甲", staff=house.a)
        for _ in range(2):  # a double tap
            asking.mark(brand, staff=house.a, by=by, lead_id=mine[0].pk, act="asked", said="周末再试")
        asking.mark(brand, staff=house.a, by=by, lead_id=mine[1].pk, act="not_found")
        assert StaffTask.objects.get(staff=house.a).state == "open"
        asking.mark(brand, staff=house.a, by=by, lead_id=mine[2].pk, act="refused")
        task = StaffTask.objects.get(staff=house.a)
        assert task.state == "done" and "3" in task.result
        asking.mark(brand, staff=house.a, by=by, lead_id=mine[2].pk, act="back")
        assert StaffTask.objects.filter(staff=house.a, state="open").count() == 1  # it goes on
        assert AuditEntry.objects.filter(action="lead.asked").count() == 1
        assert Lead.objects.get(pk=mine[0].pk).said == "周末再试"
        with pytest.raises(NotFoundError):
            asking.mark(brand, staff=house.b, by=by, lead_id=mine[0].pk, act="asked")
        figures = numbers.of_guides(house.found.pk, staff=None)[house.a.pk]
        assert (figures.n_given, figures.n_asked, figures.n_not_found, figures.n_out) == (1, 1, 1, 3)


# ---- they appear


def test_an_arrival_with_the_number_counts_as_added_with_tags_and_timeline(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        give_all(house)
        lead = Lead.objects.get(phone=PHONES[0])
        guide = Staff.objects.get(pk=lead.staff_id)
        for _ in range(2):
            arrive(house, guide, "wm1", ["+86 138-0013-8001"])
        lead.refresh_from_db()
        contact = Identity.objects.get(kind="phone").contact
        assert (lead.state, lead.contact_id, lead.added_staff_id) == ("added", contact.pk, guide.pk)
        tags = set(ContactTag.objects.filter(contact=contact).values_list("tag_id", flat=True))
        assert tags == {house.tag.pk, house.own_tag.pk}
        event = Event.objects.get(type=EventType.LEAD_ADDED)
        assert event.data == {"title": "秋季展会"} and event.staff_id == guide.pk
        with pytest.raises(ConflictError):
            asking.mark(house.brand, staff=guide, by=SYSTEM, lead_id=lead.pk, act="refused")


def test_a_waiting_member_and_a_refused_number_too(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        member = make_contact(house.brand, member_at=clock.now())
        Identity.objects.create(contact=member, kind="phone", value=PHONES[0])
        give_all(house)
        lead = Lead.objects.get(phone=PHONES[0])
        asking.mark(house.brand, staff=lead.staff, by=SYSTEM, lead_id=lead.pk, act="refused")  # type: ignore[arg-type]
        colleague = house.b if lead.staff_id == house.a.pk else house.a
        arrive(house, colleague, "wm1", [PHONES[0]])
        lead.refresh_from_db()
        assert (lead.state, lead.added_staff_id) == ("added", colleague.pk)
        assert numbers.of_lists([house.found.pk], staff=None)[house.found.pk].n_elsewhere == 1


def test_who_comes_back_with_a_number_known_before_is_found_by_the_hour(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        contact = make_contact(house.brand)
        Identity.objects.create(contact=contact, kind="phone", value=PHONES[0])
        assert matching.sweep(house.brand) == 0  # nobody has added anybody
        give_all(house)
        Follow.objects.create(
            contact=contact, staff=house.a, corp=house.corp, external_userid="wm1", added_at=clock.now()
        )
    tick_brand.run(brand_id=house.brand.pk)
    with in_brand(house.brand):
        assert Lead.objects.get(phone=PHONES[0]).state == "added"
        assert matching.sweep(house.brand) == 0


def test_a_guide_says_who_it_is(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        give_all(house)
        mine = of(house.a)
        arrive(house, house.a, "wm1", [])
        arrive(house, house.a, "wm2", ["13911112222"])
        [follow] = asking.candidates(mine[0], house.a)
        assert follow.external_userid == "wm1"
        lead = asking.name_contact(
            house.brand, staff=house.a, by=SYSTEM, lead_id=mine[0].pk, contact_id=follow.contact_id
        )
        assert (lead.state, lead.contact_id) == ("added", follow.contact_id)
        assert Identity.objects.filter(contact=follow.contact_id, kind="phone", value=lead.phone).exists()
        foreign = make_contact(house.brand, house.b)
        with pytest.raises(NotFoundError):
            asking.name_contact(
                house.brand, staff=house.a, by=SYSTEM, lead_id=mine[1].pk, contact_id=foreign.pk
            )


# ---- moved on


def test_what_is_not_asked_in_time_goes_to_somebody_else(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        LeadList.objects.update(again_days=2)
        give_all(house)
        mine = of(house.a)
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=mine[0].pk, act="asked")
    with clock.at(clock.now() + 3 * DAY):
        tick_brand.run(brand_id=brand.pk)
    with in_brand(brand):
        assert {x.pk for x in of(house.b) if x.n_given == 2} == {mine[1].pk, mine[2].pk}
        assert [x.pk for x in of(house.a) if x.state == "asked"] == [mine[0].pk]
    for days in (6, 9, 12):  # nobody asks: at last they wait for a person
        with clock.at(clock.now() + days * DAY):
            tick_brand.run(brand_id=brand.pk)
    with in_brand(brand):
        assert Lead.objects.filter(state="waiting", staff=None).count() == 5
        assert not StaffTask.objects.filter(state="open").exists()


def test_many_late_ones_go_in_slices_to_whoever_has_the_least(
    house: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    brand = house.brand
    monkeypatch.setattr(giving, "MOST", 2)
    with in_brand(brand):
        c, d = make_staff(brand, house.corp), make_staff(brand, house.corp)
        LeadList.objects.update(again_days=2, guide_ids=[house.a.pk, house.b.pk, c.pk, d.pk])
        Lead.objects.update(staff=house.a, state="given", given_at=clock.now(), n_given=1)
        other = lists.create_list(brand, by=SYSTEM, given=ListInput("另一份"), source="page")
        Lead.objects.create(list=other, phone="13700000000", staff=d, state="given", given_at=clock.now())
    with clock.at(clock.now() + 3 * DAY), in_brand(brand):
        assert giving.move_on(brand) == 6
        moved = Lead.objects.filter(list=house.found)
        assert [moved.filter(staff=guide).count() for guide in (house.a, house.b, c, d)] == [0, 3, 2, 1]


def test_numbers_of_a_leaver_go_to_the_others(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=of(house.a)[0].pk, act="asked")
        Staff.objects.filter(pk=house.a.pk).update(state="left")
        staff_tasks.rehome(brand)  # leaves the task of numbers alone
    tick_brand.run(brand_id=brand.pk)
    with in_brand(brand):
        assert len(of(house.b)) == 6 and {x.state for x in of(house.b)} == {"given"}
        assert not StaffTask.objects.filter(staff=house.a, state="open").exists()
        Staff.objects.filter(pk=house.b.pk).update(state="left")
    tick_brand.run(brand_id=brand.pk)
    with in_brand(brand):
        assert states() == ["waiting"] * 6


def test_reminding_tells_each_guide_once_an_hour(house: SimpleNamespace) -> None:
    begun = noon()
    with in_brand(house.brand):
        give_all(house)

        def remind(after: timedelta) -> int:
            with clock.at(begun + after):
                return giving.remind(house.brand, by=SYSTEM, staff=None, list_id=house.found.pk)

        assert remind(timedelta(minutes=50)) == 2
        assert remind(timedelta(minutes=51)) == 0
        assert remind(timedelta(minutes=70)) == 0  # another hour of the clock, but not an hour later
        assert remind(timedelta(minutes=110)) == 2
        assert "/g/leads/" in OutboundCall.objects.filter(kind="notice").first().payload["url"]  # type: ignore[union-attr]
