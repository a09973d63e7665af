"""Acts on many people: progress, expiry, and exactly what they changed taken back."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from contacts.models import Contact, Event, EventType, Identity
from contacts.services.identity.identity import note_identities
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging.models import ContactTag, DimBits, Tag, TagAct, TagBefore, TagTarget, WaitingTag
from tagging.services.bits import bits_check
from tagging.services.tags import acts, expiry, lists, mass, waiting
from tagging.services.tags.tags import add_tags, remove_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff, make_tag, make_user
from tests.threads import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


def rows(brand: Any) -> set[tuple[Any, ...]]:
    """Everything that is known of who carries what."""
    with in_brand(brand):
        values = ContactTag.objects.values_list(
            "tag_id", "contact_id", "source", "staff_id", "at", "expires_at", "act_id"
        )
        return set(values)


@pytest.fixture
def people(brand: Any, staff: Any) -> list[Contact]:
    with in_brand(brand):
        return [make_contact(brand, staff, position=n * 3000) for n in range(8)]


@pytest.fixture
def tags(brand: Any) -> list[Tag]:
    with in_brand(brand):
        return [make_tag(brand, name) for name in "甲乙丙"]


def agree(brand: Any) -> None:
    """The bitmaps are what the truth says."""
    with tenant_scope(brand):
        assert not bits_check.check(brand)


def start(brand: Any, people: list[Contact], **kwargs: Any) -> Job:
    with in_brand(brand):
        who = mass.Who.of_queryset(Contact.objects.filter(pk__in=[p.pk for p in people]))
        return mass.start(brand, kind=TagAct.Kind.SEGMENT, title="试", by=SYSTEM, who=who, **kwargs)


def test_everybody_of_a_query(brand: Any, people: Any, tags: Any) -> None:
    with in_brand(brand):
        add_tags(brand, contacts=people[:2], tags=[tags[0]], source="page")
    before = rows(brand)
    start(brand, people, add=[tags[0].pk, tags[1].pk])
    with in_brand(brand):
        job = Job.objects.get()
        assert (job.state, job.n_done, job.result["changed"]) == ("done", 8, 14)
        act = TagAct.objects.get()
        assert (act.n_people, act.n_added, act.n_removed) == (8, 14, 0)
        assert ContactTag.objects.filter(source=f"segment:{act.pk}").count() == 14
        assert not TagTarget.objects.exists()
        assert Event.objects.filter(type=EventType.TAGGED).count() == 16
    agree(brand)
    with in_brand(brand):
        acts.undo(brand, act_id=act.pk, by=SYSTEM)
    assert rows(brand) == before
    agree(brand)
    with in_brand(brand), pytest.raises(ConflictError):
        acts.undo(brand, act_id=act.pk, by=SYSTEM)


def test_undo_of_a_removal_gives_back_what_was(brand: Any, people: Any, tags: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand)
        add_tags(brand, contacts=people[:3], tags=tags[:2], source="channel_code:7", by_staff=other)
        later = clock.now() + timedelta(days=9)
        add_tags(brand, contacts=people[3:5], tags=tags[:1], source="wecom", expires_at=later)
    before = rows(brand)
    start(brand, people, remove=[tags[0].pk])
    with in_brand(brand):
        act = TagAct.objects.get()
        assert act.n_removed == 5 and not ContactTag.objects.filter(tag=tags[0]).exists()
        # meanwhile one got it again by hand: that stays
        add_tags(brand, contacts=[people[0]], tags=[tags[0]], source="page")
        acts.undo(brand, act_id=act.pk, by=SYSTEM)
        again = ContactTag.objects.get(tag=tags[0], contact=people[0])
        assert again.source == "page"
        assert not TagBefore.objects.exists()
    kept = {row for row in before if row[:2] != (tags[0].pk, people[0].pk)}
    assert kept <= rows(brand) and len(rows(brand)) == len(before)
    agree(brand)


def test_two_acts_taken_back_in_either_order(brand: Any, people: Any, tags: Any) -> None:
    """The first puts on, the second takes off: whichever is taken back first, in the end nothing is there."""
    for first in (0, 1):
        start(brand, people, add=[tags[0].pk])
        start(brand, people[:4], remove=[tags[0].pk])
        with in_brand(brand):
            pair = list(TagAct.objects.filter(undone_at=None).order_by("pk"))
            assert ContactTag.objects.count() == 4
            for act in (pair[first], pair[1 - first]):
                acts.undo(brand, act_id=act.pk, by=SYSTEM)
            assert not ContactTag.objects.exists() and not TagBefore.objects.exists()
        agree(brand)


def test_longer_time_wins_and_is_taken_back(brand: Any, people: Any, tags: Any) -> None:
    soon, now = clock.now() + timedelta(days=3), clock.now()
    with in_brand(brand):
        add_tags(brand, contacts=people[:1], tags=[tags[0]], source="page", expires_at=soon)
        add_tags(brand, contacts=people[1:2], tags=[tags[0]], source="page")
    before = rows(brand)
    start(brand, people[:2], add=[tags[0].pk], days=30)
    with in_brand(brand):
        first = ContactTag.objects.get(contact=people[0])
        assert first.expires_at and first.expires_at > now + timedelta(days=29)
        assert ContactTag.objects.get(contact=people[1]).expires_at is None
        act = TagAct.objects.get()
        assert act.n_added == 1
        acts.undo(brand, act_id=act.pk, by=SYSTEM)
        assert Event.objects.filter(type=EventType.UNTAGGED).count() == 0
    assert rows(brand) == before


def test_large_undo_is_a_job(brand: Any, people: Any, tags: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(acts, "SLICE", 3)
    start(brand, people, add=[tags[0].pk, tags[1].pk])
    with in_brand(brand):
        act = TagAct.objects.get()
        assert isinstance(acts.undo(brand, act_id=act.pk, by=SYSTEM), Job)
    with in_brand(brand):
        job = Job.objects.get(kind=acts.JOB)
        assert (job.state, job.n_done) == ("done", 16)
    assert rows(brand) == set()
    agree(brand)


def test_cancelled_half_way(brand: Any, people: Any, tags: Any, monkeypatch: Any) -> None:
    """What is done stays; taking it back takes back just that."""
    monkeypatch.setattr(mass, "PAIRS", 1)
    step, seen = mass.step, []

    def stop(brand: Any, job: Job) -> bool:
        more = step(brand, job)
        seen.append(job.n_done)
        if len(seen) == 1:
            with transaction.atomic():
                jobs.cancel(job.pk)
        return more

    monkeypatch.setattr(mass, "step", stop)
    start(brand, people, add=[tags[0].pk])
    with in_brand(brand):
        assert Job.objects.get().state == "cancelled"
        assert 0 < ContactTag.objects.count() < 8
        acts.undo(brand, act_id=TagAct.objects.get().pk, by=SYSTEM)
        assert not ContactTag.objects.exists()
        assert mass.purge(brand) > 0 and not TagTarget.objects.exists()


def test_cancelled_while_a_step_is_at_work(brand: Any, people: Any, tags: Any, monkeypatch: Any) -> None:
    """After a cancel nothing more is written: an undo right behind it leaves nothing."""
    put_on = mass.put_on

    def cancel() -> None:
        with in_brand(brand):
            jobs.cancel(Job.objects.get(state="running").pk)

    def and_cancel(*args: Any, **kwargs: Any) -> Any:
        done = put_on(*args, **kwargs)
        elsewhere(cancel)
        return done

    monkeypatch.setattr(mass, "put_on", and_cancel)
    start(brand, people, add=[tags[0].pk])
    with in_brand(brand):
        assert Job.objects.get().state == "cancelled"
        assert not ContactTag.objects.exists() and TagAct.objects.get().n_added == 0
    agree(brand)


def test_tag_deleted_while_the_job_runs(brand: Any, people: Any, tags: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(mass, "PAIRS", 1)
    step = mass.step

    def then_deleted(brand: Any, job: Job) -> bool:
        more = step(brand, job)
        with in_brand(brand):
            Tag.objects.filter(pk=tags[0].pk).update(deleted_at=clock.now())
        return more

    monkeypatch.setattr(mass, "step", then_deleted)
    start(brand, people, add=[tags[0].pk])
    with in_brand(brand):
        job = Job.objects.get()
        assert job.state == "failed" and job.error


def test_refusals(brand: Any, people: Any, tags: Any) -> None:
    for bad in ({}, {"add": [tags[0].pk], "remove": [tags[0].pk]}, {"add": [10**9]}):
        with pytest.raises(InvalidError):
            start(brand, people, **bad)
        with in_brand(brand), pytest.raises(InvalidError):
            mass.at_once(brand, title="试", by=SYSTEM, contact_ids=[people[0].pk], **bad)
    with pytest.raises(InvalidError):
        start(brand, [], add=[tags[0].pk])
    for typed in ("x", "0.5", "-1", "99999", 1.5):
        with pytest.raises(InvalidError):
            mass.days_of(typed)
    assert mass.days_of("") is None and mass.days_of("30") == 30
    with in_brand(brand):
        assert not TagAct.objects.exists() and not Job.objects.exists()


def test_expiry(brand: Any, people: Any, tags: Any, django_assert_max_num_queries: Any) -> None:
    now = clock.now()
    with in_brand(brand):
        add_tags(brand, contacts=people[:3], tags=tags[:2], source="page", expires_at=now + timedelta(days=1))
        add_tags(brand, contacts=people[:1], tags=tags[:1], source="page")  # for good from now on
        key = [("phone", "", "13800000000")]
        waiting.add(brand, keys=key, tag_ids=[tags[0].pk], source="api", expires_at=now + timedelta(days=1))
    with tenant_scope(brand):
        assert expiry.sweep(brand) == 0
        with clock.at(now + timedelta(days=1, seconds=1)):
            assert expiry.sweep(brand) == 5
            assert expiry.sweep(brand) == 0
            assert expiry.forget_waiting(brand) == 1
    with in_brand(brand):
        assert list(ContactTag.objects.values_list("contact_id", "tag_id")) == [(people[0].pk, tags[0].pk)]
        event = Event.objects.filter(type=EventType.UNTAGGED).first()
        assert event and event.data["why"] == "expiry"
    agree(brand)


# ---- who is not here yet


def test_waiting_until_the_person_comes(brand: Any, other_brand: Any, staff: Any, tags: Any) -> None:
    with in_brand(brand):
        keys = [("phone", "", "13800000001"), ("member_no", "", "M7")]
        assert waiting.add(brand, keys=keys, tag_ids=[t.pk for t in tags[:2]], source="file:9") == 4
        assert waiting.add(brand, keys=keys, tag_ids=[tags[0].pk], source="api") == 0
        with pytest.raises(InvalidError):
            waiting.add(brand, keys=[("external_userid", "", "wm1")], tag_ids=[tags[0].pk], source="api")
        contact = make_contact(brand, staff)
        note_identities(brand, contact, Identity.Kind.PHONE, ["13800000001"])
        assert ContactTag.objects.filter(contact=contact, source="file:9").count() == 2
        note_identities(brand, contact, Identity.Kind.MEMBER_NO, ["M7"])
        assert ContactTag.objects.count() == 2 and not WaitingTag.objects.exists()
        assert Event.objects.filter(type=EventType.TAGGED).count() == 2
    with in_brand(other_brand):
        assert not WaitingTag.objects.exists()
    agree(brand)


def test_undo_of_an_act_ends_the_waiting(brand: Any, people: Any, tags: Any, staff: Any) -> None:
    user = make_user(brand, "operator", staff)
    with in_brand(brand):
        staff.refresh_from_db()
        note_identities(brand, people[0], Identity.Kind.PHONE, ["13811112222"])
        found = lists.read(
            brand,
            data="手机号\n138-1111-2222\n+8613811113333\nabc\n".encode("gbk"),
            name="名单.csv",
            staff=staff,
        )
        assert found.contact_ids == [people[0].pk] and found.unknown == [("phone", "13811113333")]
        assert [row[0] for row in found.bad] == [4]
        by = SYSTEM
        done = lists.start(brand, by=by, staff=staff, token=found.token, add=[tags[0].pk], wait=True)
        assert isinstance(done, Job) and user
    with in_brand(brand):
        act = TagAct.objects.get()
        assert (act.n_added, act.n_waiting) == (1, 1) and WaitingTag.objects.count() == 1
        acts.undo(brand, act_id=act.pk, by=SYSTEM)
        assert not WaitingTag.objects.exists() and not ContactTag.objects.exists()
        with pytest.raises(InvalidError):
            lists.read(brand, data=b"\x89PNG\x00\x00", name="x.csv", staff=staff)


def test_nobody_else_is_touched(brand: Any, other_brand: Any, people: Any, tags: Any) -> None:
    with in_brand(other_brand):
        foreign, theirs = make_contact(other_brand), make_tag(other_brand)
        add_tags(other_brand, contacts=[foreign], tags=[theirs], source="page")
    start(brand, people, add=[tags[0].pk])
    with in_brand(brand):
        with pytest.raises(InvalidError):
            mass.alive([theirs.pk])
        remove_tags(brand, contacts=[foreign.pk], tags=[theirs.pk], source="page")
        acts.undo(brand, act_id=TagAct.objects.get().pk, by=SYSTEM)
    with in_brand(other_brand):
        assert ContactTag.objects.count() == 1 and DimBits.objects.exists()
