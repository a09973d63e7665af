"""Numbers to be added: deadlines, undo, and two who act at once."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils.translation import override

from campaigns.models import StaffTask
from contacts.models import Contact, Identity
from datafiles.models import ImportFile
from guides.files import undo
from guides.models import Lead, LeadList
from guides.services.leads import asking, giving, lists, named, numbers
from guides.tasks import tick_brand
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from scrm.errors import ConflictError
from tests.factories import in_brand, make_contact
from tests.guides.test_leads import DAY, PHONES, arrive, give_all, house, no_calls, of, states
from tests.threads import meanwhile

__all__ = ["house", "no_calls"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_an_undo_does_not_postpone_the_share(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        StaffTask.objects.update(reminded_at=clock.now(), told_at=clock.now())
        task, mine = StaffTask.objects.get(staff=house.a), of(house.a)
        with clock.at(clock.now() + DAY):
            asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=mine[0].pk, act="asked")
            asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=mine[0].pk, act="back")
            same = StaffTask.objects.get(staff=house.a)
            assert (same.due_at, same.reminded_at) == (task.due_at, task.reminded_at)
            giving.move(
                brand, by=SYSTEM, staff=None, list_id=house.found.pk, to_id=house.a.pk, guide_id=house.b.pk
            )
        more = StaffTask.objects.get(staff=house.a)  # new ones come with a new deadline
        assert more.due_at > task.due_at
        assert more.reminded_at is None and more.told_at is None


def test_an_undo_after_the_last_number_brings_back_the_task_as_it_was(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        StaffTask.objects.update(reminded_at=clock.now(), told_at=clock.now())
        task, mine = StaffTask.objects.get(staff=house.a), of(house.a)
        for hours, lead in enumerate(mine, start=20):
            with clock.at(clock.now() + timedelta(hours=hours)):
                asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="asked")
        assert StaffTask.objects.get(staff=house.a).state == "done"
        with clock.at(clock.now() + timedelta(hours=23)):
            for lead in mine[1:]:
                asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="back")
        same = StaffTask.objects.get(staff=house.a)
        assert (same.pk, same.state, same.result) == (task.pk, "open", "")
        assert (same.due_at, same.reminded_at, same.told_at) == (task.due_at, task.reminded_at, task.told_at)


def test_an_undo_days_later_is_a_task_of_its_own(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        mine = of(house.a)
        for lead in mine:
            asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="asked")
        with clock.at(clock.now() + 2 * DAY):
            asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=mine[0].pk, act="back")
        assert sorted(StaffTask.objects.filter(staff=house.a).values_list("state", flat=True)) == [
            "done",
            "open",
        ]


def test_whoever_had_been_asked_counts_as_asked_again(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        lead = of(house.a)[0]

        def mark(act: str) -> Lead:
            return asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act=act)

        asked_at = mark("asked").asked_at
        assert mark("refused").ended_at is not None
        again = mark("back")
        assert (again.state, again.asked_at, again.ended_at) == ("asked", asked_at, None)
        assert (mark("back").state, Lead.objects.get(pk=lead.pk).asked_at) == ("given", None)


def test_titles_and_results_are_in_the_brands_language(house: SimpleNamespace) -> None:
    with in_brand(house.brand), override("en"):
        give_all(house)
        mine = of(house.a)
        for lead in mine:
            asking.mark(house.brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="asked")
        task = StaffTask.objects.get(staff=house.a)
        assert "号" in task.title and "号" in task.result


def test_a_number_does_not_come_back_into_a_list_that_is_closed_meanwhile(house: SimpleNamespace) -> None:
    brand, refused = house.brand, []
    with in_brand(brand):
        give_all(house)
        lead = of(house.a)[0]
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="refused")

    def back() -> None:
        with in_brand(brand):
            try:
                asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="back")
            except ConflictError as error:
                refused.append(error)

    with in_brand(brand):
        lists.close_list(brand, by=SYSTEM, staff=None, list_id=house.found.pk)
        thread = meanwhile(back)
    thread.join()
    with in_brand(brand):
        assert refused and Lead.objects.get(pk=lead.pk).state == "refused"


def test_a_list_opened_days_later_gives_its_guides_a_task(house: SimpleNamespace) -> None:
    brand, common = house.brand, {"by": SYSTEM, "staff": None, "list_id": house.found.pk}
    with in_brand(brand):
        give_all(house)
        due_at = StaffTask.objects.get(staff=house.a).due_at
        lists.close_list(brand, **common)
        lists.open_list(brand, **common)
        assert StaffTask.objects.get(staff=house.a, state="open").due_at == due_at  # the same one
        lists.close_list(brand, **common)
        with clock.at(clock.now() + 5 * DAY):
            assert lists.open_list(brand, **common) == 6
            assert StaffTask.objects.get(staff=house.a, state="open").due_at > clock.now()
        assert states() == ["given"] * 6


def test_what_waits_again_belongs_to_the_store_of_who_had_it(house: SimpleNamespace) -> None:
    common = {"by": SYSTEM, "staff": None, "list_id": house.found.pk}
    with in_brand(house.brand):
        give_all(house)
        mine = [lead.pk for lead in of(house.a)]
        Lead.objects.filter(pk=mine[0]).update(store=house.two)
        giving.take_back(house.brand, **common, guide_id=house.a.pk)
        rows = Lead.objects.filter(pk__in=mine).order_by("pk")
        assert [x.store_id for x in rows] == [house.two.pk, house.one.pk, house.one.pk]
        Staff.objects.update(state="left")
    tick_brand.run(brand_id=house.brand.pk)
    with in_brand(house.brand):
        assert Lead.objects.filter(state="waiting", store=house.two).count() == 4


def test_who_came_without_being_given_out_is_counted_apart(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        arrive(house, house.a, "wm1", [PHONES[0]])  # nobody had the number
        give_all(house)
        lead = of(house.a)[0]
        arrive(house, house.a, "wm2", [lead.phone])
        n = numbers.of_lists([house.found.pk], staff=None)[house.found.pk]
        assert (n.n, n.n_out, n.n_added, n.n_alone, n.n_tried) == (6, 5, 2, 1, 1)
        assert n.added_ratio == n.asked_ratio == 1 / 5
        back = next(lead for lead in of(house.a) if lead.state == "given")
        common = {"by": SYSTEM, "staff": None, "list_id": house.found.pk}
        giving.take_back(house.brand, **common, guide_id=house.a.pk)
        arrive(house, house.a, "wm3", [back.phone])  # it had been given before
        n = numbers.of_lists([house.found.pk], staff=None)[house.found.pk]
        assert (n.n_added, n.n_alone) == (3, 1)


def test_who_became_a_customer_meanwhile_is_not_moved(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        contact = make_contact(house.brand, house.a)
        Identity.objects.create(contact=contact, kind="phone", value=PHONES[2])
        ids = list(Lead.objects.values_list("pk", flat=True))
        common = {"by": SYSTEM, "staff": None, "list_id": house.found.pk}
        assert giving.move(house.brand, **common, to_id=house.b.pk, ids=ids) == 5
        assert Lead.objects.get(phone=PHONES[2]).state == "known"


def test_words_with_nul_and_who_it_is_twice(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        lead = of(house.a)[0]
        marked = asking.mark(
            brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="asked", said="周末\x00再试"
        )
        assert marked.said == "周末再试"
        Lead.objects.filter(pk=lead.pk).update(
            state="added", given_at=None
        )  # meant for the guide, came alone
        lead.refresh_from_db()
        with pytest.raises(ConflictError):
            asking.candidates(lead, house.a)
        other = make_contact(brand, house.a)
        with pytest.raises(ConflictError):
            asking.name_contact(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, contact_id=other.pk)


def test_two_tap_the_last_two_numbers_at_once(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        one, two, three = of(house.a)
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=three.pk, act="asked")

    def tap(lead: Lead) -> None:
        with in_brand(brand):
            asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, act="asked")

    with in_brand(brand):
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=one.pk, act="asked")
        thread = meanwhile(lambda: tap(two))
    thread.join()
    with in_brand(brand):
        assert StaffTask.objects.get(staff=house.a).state == "done"


def test_what_is_asked_while_late_ones_move_on_stays(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        LeadList.objects.update(again_days=2)
        give_all(house)
        mine = of(house.a)

    def move_on() -> None:
        with clock.at(clock.now() + 3 * DAY):
            tick_brand.run(brand_id=brand.pk)

    with in_brand(brand):
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=mine[0].pk, act="asked")
        thread = meanwhile(move_on)
    thread.join()
    with in_brand(brand):
        lead = Lead.objects.get(pk=mine[0].pk)
        assert (lead.state, lead.staff_id, lead.n_given) == ("asked", house.a.pk, 1)


def test_what_is_asked_while_its_import_is_taken_back_stays(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        mine = of(house.a)
    undone: list[Any] = []

    def take_back() -> None:
        with in_brand(brand), connection.cursor() as cursor:
            undone.append(undo.remove(brand, ImportFile(kind="leads"), cursor, [lead.pk for lead in mine]))

    with in_brand(brand):
        asking.mark(brand, staff=house.a, by=SYSTEM, lead_id=mine[0].pk, act="asked")
        thread = meanwhile(take_back)
    thread.join()
    with in_brand(brand):
        assert [lead.pk for lead in of(house.a)] == [mine[0].pk]
        assert undone[0].removed == 2 and [row[0] for row in undone[0].kept] == [mine[0].pk]


def test_tags_of_single_numbers_count_as_used(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        uses = named.tag_uses(house.brand, [house.tag.pk, house.own_tag.pk])
        assert sorted((use.tag_id, use.name) for use in uses) == sorted(
            [(house.tag.pk, "秋季展会"), (house.own_tag.pk, "秋季展会")]
        )
        lists.close_list(house.brand, by=SYSTEM, staff=None, list_id=house.found.pk)
        assert named.tag_uses(house.brand, [house.tag.pk, house.own_tag.pk]) == []


def test_an_arrival_and_a_guide_who_names_the_customer_do_not_stop_each_other(house: SimpleNamespace) -> None:
    brand = house.brand
    with in_brand(brand):
        give_all(house)
        lead, contact = of(house.a)[0], make_contact(brand, house.a)

    def name() -> None:
        with in_brand(brand):
            asking.name_contact(brand, staff=house.a, by=SYSTEM, lead_id=lead.pk, contact_id=contact.pk)

    with in_brand(brand):
        Contact.objects.select_for_update().get(pk=contact.pk)
        thread = meanwhile(name)
        assert Lead.objects.select_for_update().get(pk=lead.pk).state == "given"
    thread.join()
    with in_brand(brand):
        assert Lead.objects.get(pk=lead.pk).state == "added"
