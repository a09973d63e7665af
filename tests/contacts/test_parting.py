"""Two people who were taken for one: everything goes back to whose it was, in every table, and they stay two."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from campaigns.governance import CapRule
from campaigns.models import SendTask, Touch
from campaigns.services.broadcasts import waves
from campaigns.services.governance import gate, policy
from commerce.models import Order
from commerce.services.orders import record_orders
from contacts.models import Contact, ContactStat, Event, EventType, Follow, Identity, Merge, NotSame
from contacts.services.follow import end_follow, record_follow
from contacts.services.identity import apart, merging, parting
from contacts.services.identity.identity import MOVES, join_member, merge, resolve
from contacts.services.search import search
from contacts.services.sync import sync_merge
from contacts.services.sync.sync_types import Conflict, Row
from contacts.services.timeline import record_event
from groups.models import GroupMember
from org.access import SYSTEM, Actor
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tagging.models import ContactTag, Dim
from tagging.services.bits import bits_check
from tagging.services.bits.bits import set_bits
from tagging.services.bits.bits_parted import bits_of
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.campaigns.test_broadcast_whom import launch
from tests.contacts.rows import make_row
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_tag
from tests.threads import meanwhile

BY = Actor("小李")


def joined(brand: Any, keep: Contact, lose: Contact) -> Merge:
    for contact in (keep, lose):
        resolve(brand, contact=contact, unionid="u1", source="callback")
    return Merge.objects.get(contact=keep, lost_id=lose.pk, parted_at=None)


def rows_of(brand: Any, model: str, columns: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """All rows of a table of the brand, without columns that another act may change."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (to_jsonb(t) - %s::text[])::text FROM {merging.table_of(model)} t"
            " WHERE t.brand_id = %s ORDER BY to_jsonb(t)::text",
            [list(columns), brand.pk],
        )
        return [json.loads(row[0]) for row in cursor.fetchall()]


# ---- every table


def test_rows_of_every_table_are_as_before(brand: Any, corp: Any) -> None:
    """A table that is new is in MOVES (test_identity.py walks the catalogue), so its rows go over and come back."""
    with in_brand(brand):
        pair = [make_contact(brand, make_staff(brand, corp)) for _ in range(2)]
        for move in MOVES:
            for contact in pair:
                value = [contact.pk] if move.array else contact.pk
                column = move.column
                make_row(brand, move.model, **{column: value}, **_given(move.model, contact))
        tables = {move.model for move in MOVES} | {
            "contacts.Follow",
            "contacts.Contact",
            "contacts.ContactStat",
        }
        before = {model: rows_of(brand, model) for model in tables}
        assert all(len(rows) >= 2 for rows in before.values())
        merge(brand, keep=pair[0], lose=pair[1], why={"phone": True})
        for move in MOVES:
            column = connection.ops.quote_name(move.column)
            test = f"{column} @> ARRAY[%s]::bigint[]" if move.array else f"{column} = %s"
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT count(*) FROM {merging.table_of(move.model)} t WHERE {test}",
                    [pair[1].pk],
                )
                assert cursor.fetchone()[0] == 0, move
        record = Merge.objects.get(lost_id=pair[1].pk, contact=pair[0])
        parting.part(brand, contact_id=pair[0].pk, merge_id=record.pk, by=BY)
        for model in tables - {"contacts.Event", "contacts.Merge"}:
            assert rows_of(brand, model) == before[model], model
        events = [row for row in rows_of(brand, "contacts.Event") if row["type"] not in (13, 16)]
        assert events == before["contacts.Event"]
        assert [row for row in rows_of(brand, "contacts.Merge") if row["id"] != record.pk] == before[
            "contacts.Merge"
        ]


def _given(model: str, contact: Contact) -> dict[str, Any]:
    if model == "campaigns.SendTask":
        return {"state": "planned", "n": 1}
    if model == "contacts.Merge":
        return {"lost_id": 10**9 + contact.pk}
    return {}


def test_what_clashed_comes_back(brand: Any, corp: Any, staff: Any) -> None:
    """Both had the same guide, tag, field, answer, wish, link and SOP: each has their own again."""
    with in_brand(brand):
        pair = [make_contact(brand, staff), make_contact(brand, staff)]
        shared = {
            model: {name: make_row(brand, ref) for name, ref in refs.items()}
            for model, refs in {
                "tagging.ContactTag": {"tag": "tagging.Tag"},
                "contacts.CustomValue": {"field": "contacts.CustomField"},
                "content.LinkPerson": {"link": "content.TrackedLink"},
                "content.FormAnswer": {"content": "content.Content"},
                "campaigns.Enrolment": {"sop": "campaigns.Sop"},
            }.items()
        }  # fmt: skip
        for n, contact in enumerate(pair):
            for model, given in shared.items():
                more = {"n_opens": 2 + n, "seconds": 10} if model == "content.LinkPerson" else {}
                make_row(brand, model, contact_id=contact.pk, **given, **more)
            make_row(brand, "campaigns.Refusal", contact_id=contact.pk, kind=1)
        models = [*shared, "campaigns.Refusal", "contacts.Follow"]
        before = {model: rows_of(brand, model) for model in models}
        record = joined(brand, *pair)
        link = apps.get_model("content.LinkPerson").objects.get()
        assert link.n_opens == 5
        link.n_opens, link.depth = 7, 90  # opened twice more since
        link.save()
        parting.part(brand, contact_id=pair[0].pk, merge_id=record.pk, by=BY)
        for model in models:
            drop = ("n_opens", "depth") if model == "content.LinkPerson" else ()
            drop = ("ended_at", "next_run_at", "end_kind") if model == "campaigns.Enrolment" else drop
            was = {json.dumps({k: v for k, v in row.items() if k not in drop}) for row in before[model]}
            assert {json.dumps(row) for row in rows_of(brand, model, drop)} == was, model
        links = apps.get_model("content.LinkPerson").objects
        assert links.get(contact_id=pair[0].pk).n_opens == 4 and links.get(contact_id=pair[1].pk).n_opens == 3
        enrolments = apps.get_model("campaigns.Enrolment").objects
        assert enrolments.get(contact=pair[0]).ended_at is None
        assert enrolments.get(contact=pair[1]).end_kind == "removed"  # nothing of weeks ago goes out at once


# ---- people


@pytest.fixture
def pair(brand: Any, corp: Any, staff: Any) -> list[Contact]:
    with in_brand(brand):
        old = make_contact(brand, staff, name="", gender=0, added_at=clock.now() - timedelta(days=1))
        new = make_contact(
            brand, make_staff(brand, make_corp(brand)), name="王小明", gender=1, do_not_contact=True,
            added_at=clock.now() - timedelta(days=9),
        )  # fmt: skip
        return [old, new]


def test_two_people_again(brand: Any, pair: list[Contact]) -> None:
    old, new = pair
    with in_brand(brand):
        both, only_new = make_tag(brand), make_tag(brand)
        add_tags(brand, contacts=pair, tags=[both], source="page")
        add_tags(brand, contacts=[new], tags=[only_new], source="page")
        record_event(brand, contact_id=new.pk, type=EventType.NOTE, at=clock.now(), data={"text": "喜欢茶"})
        record = joined(brand, old, new)
        seen = parting.preview(old.pk, record.pk)
        assert seen.until > clock.now() and sum(n for _words, n in seen.goes) >= 5
        lost = parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        assert (lost.pk, lost.position, lost.name, lost.added_at) == (
            new.pk,
            new.position,
            "王小明",
            new.added_at,
        )
        assert (lost.do_not_contact, lost.n_follows, lost.gender) == (True, 1, 1)
        kept = Contact.objects.get(pk=old.pk)
        assert (kept.name, kept.do_not_contact, kept.added_at, kept.n_follows, kept.gender) == (
            "", False, old.added_at, 1, 0,
        )  # fmt: skip
        carried = {(t.contact_id, t.tag_id) for t in ContactTag.objects.all()}
        assert carried == {(old.pk, both.pk), (new.pk, both.pk), (new.pk, only_new.pk)}
        assert search(brand, "小明").get() == lost
        assert Event.objects.get(type=EventType.NOTE).contact_id == new.pk
        told = Event.objects.filter(type=EventType.PARTED).values_list("contact_id", "object_id")
        assert set(told) == {(old.pk, new.pk), (new.pk, old.pk)}
        assert AuditEntry.objects.filter(action="contact.part").count() == 2
        with pytest.raises(ConflictError):
            parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
    with tenant_scope(brand):
        for dim in bits_check.dims():
            for vals in bits_check._batches(brand, dim):
                with in_brand(brand):
                    assert bits_check.compare(brand, dim, vals) == [], dim


def test_what_somebody_has_changed_since_stays(brand: Any, pair: list[Contact]) -> None:
    old, _new = pair
    with in_brand(brand):
        Contact.objects.update(do_not_contact=False)
        record = joined(brand, *Contact.objects.order_by("pk"))
        Contact.objects.filter(pk=old.pk).update(name="王大明", do_not_contact=True)
        lost = parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        kept = Contact.objects.get(pk=old.pk)
        assert (kept.name, kept.gender) == ("王大明", 0)
        assert kept.do_not_contact and lost.do_not_contact  # whose wish it was cannot be told


def test_nothing_joins_them_again(brand: Any, pair: list[Contact], staff: Any) -> None:
    old, new = pair
    with in_brand(brand):
        record = joined(brand, old, new)
        parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        holder = Identity.objects.get(kind="unionid").contact_id
        other = Contact.objects.get(pk=old.pk if holder == new.pk else new.pk)
        assert resolve(brand, contact=other, unionid="u1") == other
        assert Contact.objects.count() == 2 and Merge.objects.filter(parted_at=None).count() == 0
        # a member who waits, by phone
        member = make_contact(brand, member_at=clock.now())
        Identity.objects.create(contact=member, kind="phone", value="13800138000")
        apart.mark(brand, member.pk, old.pk, by=SYSTEM)
        assert join_member(brand, contact=old, phones=["13800138000"]) == old
        assert Contact.objects.filter(pk=member.pk).exists()
        assert join_member(brand, contact=new, phones=["13800138000"]).pk == new.pk
        assert not Contact.objects.filter(pk=member.pk).exists()
        assert apart.are_marked(new.pk, old.pk)


def test_what_was_said_holds_for_whoever_is_joined_later(brand: Any, corp: Any) -> None:
    with in_brand(brand):
        one, two, three = (make_contact(brand, make_staff(brand, corp)) for _ in range(3))
        apart.mark(brand, two.pk, three.pk, by=SYSTEM)
        merge(brand, keep=one, lose=two, why={"phone": True})
        assert apart.are_marked(one.pk, three.pk) and apart.others(three.pk) == {one.pk, two.pk}
        assert NotSame.objects.count() == 2


def test_what_was_said_of_one_goes_back_with_it(brand: Any, corp: Any) -> None:
    """Only what was said of the other one itself still holds for it, and that the two are two."""
    with in_brand(brand):
        one, two, three, four = (make_contact(brand, make_staff(brand, corp)) for _ in range(4))
        apart.mark(brand, two.pk, three.pk, by=SYSTEM)
        apart.mark(brand, four.pk, one.pk, by=SYSTEM)
        apart.mark(brand, four.pk, two.pk, by=SYSTEM)
        merge(brand, keep=one, lose=two, why={"phone": True})
        parting.part(brand, contact_id=one.pk, merge_id=Merge.objects.get().pk, by=BY)
        assert apart.others(one.pk) == {two.pk, four.pk}
        assert apart.others(two.pk) == {one.pk, three.pk, four.pk}


def test_what_came_since_goes_with_its_id_or_guide(
    brand: Any, pair: list[Contact], corp: Any, staff: Any
) -> None:
    old, new = pair
    with in_brand(brand):
        Identity.objects.create(contact=new, kind="member_no", value="M-9")
        theirs = Follow.objects.get(contact=new)
        order = {
            "buyer_kind": "member_no", "buyer_value": "M-9", "placed_at": clock.now(), "paid_at": clock.now(),
            "amount_fen": 1_000, "state": Order.State.PAID,
        }  # fmt: skip
        record_orders(brand, [{**order, "order_no": "A"}], source="shop")
        record = joined(brand, old, new)
        later = clock.now() + timedelta(hours=1)
    with clock.at(later), in_brand(brand):
        record_orders(
            brand, [{**order, "order_no": "B", "placed_at": later, "paid_at": later}], source="shop"
        )
        own = {"contact_id": old.pk, "amount_fen": 77, "state": Order.State.PAID}
        record_orders(brand, [{**own, "order_no": "C", "placed_at": later, "paid_at": later}], source="till")
        second = make_staff(brand, theirs.corp)
        record_follow(
            brand,
            corp=theirs.corp,
            staff=second,
            external_userid=theirs.external_userid,
            at=later,
            source="callback",
        )
        common = {"type": EventType.NOTE, "at": later}
        record_event(brand, contact_id=old.pk, staff_id=second.pk, data={"text": "导购"}, **common)
        record_event(brand, contact_id=old.pk, staff_id=staff.pk, data={"text": "自己"}, **common)
        record_event(brand, contact_id=old.pk, data={"text": "谁的"}, **common)
        make_row(brand, "groups.GroupMember", contact_id=old.pk, userid=theirs.external_userid, kind=2)
        make_row(brand, "groups.GroupMember", contact_id=old.pk, userid="wm-somebody", kind=2)
        parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        assert dict(Order.objects.values_list("order_no", "contact_id")) == {
            "A": new.pk,
            "B": new.pk,
            "C": old.pk,
        }
        paid = Event.objects.filter(type=EventType.ORDER_PAID).values_list("contact_id", flat=True)
        assert sorted(paid) == sorted([new.pk, new.pk, old.pk])
        sums = {s.contact_id: (s.n_orders, s.spent_fen) for s in ContactStat.objects.all()}
        assert sums == {new.pk: (2, 2_000), old.pk: (1, 77)}
        assert {f.staff_id for f in Follow.objects.filter(contact=new)} == {theirs.staff_id, second.pk}
        notes = {e.data["text"]: e.contact_id for e in Event.objects.filter(type=EventType.NOTE)}
        assert notes == {"导购": new.pk, "自己": old.pk, "谁的": old.pk}
        members = dict(GroupMember.objects.values_list("userid", "contact_id"))
        assert members == {theirs.external_userid: new.pk, "wm-somebody": old.pk}
        assert Contact.objects.get(pk=new.pk).n_follows == 2


@pytest.mark.parametrize("first", [0, 1])
def test_joined_twice_and_parted_in_any_order(brand: Any, corp: Any, first: int) -> None:
    """B into A, then A into the older Z: each comes back with its own."""
    with in_brand(brand):
        z, a, b = (make_contact(brand, make_staff(brand, corp), name=name) for name in "ZAB")
        made = {contact.pk: make_tag(brand) for contact in (z, a, b)}
        for contact in (z, a, b):
            add_tags(brand, contacts=[contact], tags=[made[contact.pk]], source="page")
        merge(brand, keep=a, lose=b, why={"phone": True})
        merge(brand, keep=z, lose=Contact.objects.get(pk=a.pk), why={"phone": True})
        assert Merge.objects.filter(contact=z).count() == 2
        for lost in ((b, a), (a, b))[first]:
            record = Merge.objects.get(lost_id=lost.pk, parted_at=None)
            parting.part(brand, contact_id=record.contact_id, merge_id=record.pk, by=BY)
        assert {t.contact_id: t.tag_id for t in ContactTag.objects.all()} == {
            pk: tag.pk for pk, tag in made.items()
        }
        assert dict(Contact.objects.values_list("pk", "name")) == {z.pk: "Z", a.pk: "A", b.pk: "B"}


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_wish_and_a_list_of_a_third_one_stay(brand: Any, corp: Any, is_kept: bool) -> None:
    """B, who is not to be written to, into A; Z, who is neither, joined with A afterwards, on either side. Only B goes."""
    with in_brand(brand):
        z, a, b = (
            make_contact(brand, make_staff(brand, corp), do_not_contact=wish) for wish in (True, False, True)
        )
        segment = make_row(brand, "tagging.Segment").pk
        set_bits(brand, Dim.SEGMENT, {segment: [z.pk, b.pk]})
        merge(brand, keep=a, lose=b, why={"phone": True})
        a = Contact.objects.get(pk=a.pk)
        keep, lose = (z, a) if is_kept else (a, z)
        merge(brand, keep=keep, lose=lose, why={"phone": True})
        record = Merge.objects.get(lost_id=b.pk)
        parting.part(brand, contact_id=keep.pk, merge_id=record.pk, by=BY)
        assert dict(Contact.objects.values_list("pk", "do_not_contact")) == {keep.pk: True, b.pk: True}
        if is_kept:
            assert (int(Dim.SEGMENT), segment) in bits_of(brand, [keep.pk])[keep.pk]


def test_who_has_come_back_is_joined_with_somebody_else(brand: Any, pair: list[Contact]) -> None:
    old, new = pair
    with in_brand(brand):
        record = joined(brand, old, new)
        lost = parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        third = make_contact(brand)
        merge(brand, keep=third, lose=lost, why={"phone": True})
        told = Event.objects.filter(type=EventType.MERGED, object_id=new.pk)
        assert sorted(told.values_list("contact_id", flat=True)) == sorted([old.pk, third.pk])


def test_what_is_planned_since_goes_to_whom_it_is_for(brand: Any, corp: Any, monkeypatch: Any) -> None:
    """Through a guide whom only one has: the touch, its send task, and what caps count."""
    monkeypatch.setattr(gate, "FEW", 1)  # by bitmaps
    now = clock.now()
    with in_brand(brand), clock.at(now - timedelta(hours=1)):
        old, new = (make_contact(brand, make_staff(brand, corp)) for _ in range(2))
        merge(brand, keep=old, lose=new, why={"phone": True})
    with in_brand(brand), clock.at(now):
        policy.change_policy(brand, caps=[CapRule(1, 1)], by=SYSTEM)
        launch(brand)
        waves.run_due(brand)
        record = Merge.objects.get(lost_id=new.pk)
        parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        guide = Follow.objects.get(contact=new).staff_id
        touch, task = Touch.objects.get(), SendTask.objects.get()
        assert (touch.contact_id, touch.staff_id, task.contact_ids) == (new.pk, guide, [new.pk])
        assert gate.ask(brand, [old.pk, new.pk], now) == {new.pk: Touch.Reason.CAPPED}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by", ["adding", "loss", "sync"])
def test_a_guide_who_comes_while_they_are_parted(brand: Any, pair: list[Contact], by: str) -> None:
    """Whoever has read whose an id is, and then waits for that contact, looks again."""
    old, new = pair
    with in_brand(brand):
        theirs = Follow.objects.select_related("corp").get(contact=new)
        guide = make_staff(brand, theirs.corp)
        record = joined(brand, old, new)
    now = clock.now()
    fact = {
        "corp": theirs.corp, "staff": guide, "external_userid": theirs.external_userid, "at": now, "source": "callback",
    }  # fmt: skip
    row = Row(guide.pk, theirs.external_userid, *_PERSON, int(now.timestamp()), 0, "", "", now.timestamp())
    conflicts: list[Conflict] = []

    def come() -> None:
        with tenant_scope(brand):
            if by == "adding":
                record_follow(brand, **fact)
            elif by == "loss":
                end_follow(brand, kind=Follow.End.BY_STAFF, **fact)
            else:
                try:
                    with in_brand(brand):
                        sync_merge.merge(brand, theirs.corp, [row])
                except Conflict as error:  # the sync repeats it
                    conflicts.append(error)
                    with in_brand(brand):
                        sync_merge.merge(brand, theirs.corp, [row], careful=True)

    with in_brand(brand):
        parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        thread = meanwhile(come)
        assert thread.is_alive()  # it waits for the contact
    thread.join()
    with in_brand(brand):
        assert Follow.objects.get(staff=guide).contact_id == new.pk
        assert Follow.objects.filter(contact=old).count() == 1
        assert len(conflicts) == (by == "sync")


# name to description of a Row, as WeCom would tell them
_PERSON = ("王小明", "", 1, 1, "", "", "", "", "")


def test_after_thirty_days_and_for_others(brand: Any, other_brand: Any, pair: list[Contact]) -> None:
    old, new = pair
    with in_brand(brand):
        record = joined(brand, old, new)
        with pytest.raises(NotFoundError):
            parting.part(brand, contact_id=old.pk, merge_id=record.pk + 1, by=BY)
    with in_brand(other_brand), pytest.raises(NotFoundError):
        parting.part(other_brand, contact_id=old.pk, merge_id=record.pk, by=BY)
    with clock.at(clock.now() + timedelta(days=30, hours=1)):
        with in_brand(brand):
            assert parting.open_merges(old.pk) == []
            with pytest.raises(ConflictError):
                parting.preview(old.pk, record.pk)
        with tenant_scope(brand):
            assert parting.forget_old(brand) == 0
    with clock.at(clock.now() + timedelta(days=32)), tenant_scope(brand):
        assert parting.forget_old(brand) == 1


# ---- page and API


def test_page(brand: Any, other_brand: Any, pair: list[Contact], sign_in: Any) -> None:
    old, new = pair
    with in_brand(brand):
        record = joined(brand, old, new)
    client = sign_in(brand, "operator")
    url = f"/contacts/{old.pk}/joined/{record.pk}/"
    assert url in client.get(f"/contacts/{old.pk}/").text
    shown = client.get(url).text
    assert "王小明" in shown
    stranger, guide = sign_in(other_brand), sign_in(brand, "guide")
    for one in (stranger, guide):
        assert one.get(url).status_code == one.post(url).status_code == 404
    assert client.post(url).status_code == 302
    assert client.get(f"/contacts/{new.pk}/").status_code == 200
    assert url not in client.get(f"/contacts/{old.pk}/").text
    assert "王小明" in client.get(f"/contacts/{old.pk}/timeline/").text
    assert client.post(url).status_code == 409


def test_api(brand: Any, other_brand: Any, pair: list[Contact]) -> None:
    old, new = pair
    with in_brand(brand):
        record = joined(brand, old, new)
    url = f"/api/v1/contacts/{old.pk}/merges/"
    client = client_of(brand, "contacts.view", "contacts.edit")
    [row] = client.get(url).json()["results"]
    assert (row["id"], row["ended_id"], row["by"]) == (record.pk, new.pk, "unionid")
    assert client_of(brand, "contacts.view").post(f"{url}{record.pk}/part/").status_code == 403
    assert client_of(other_brand, "contacts.view").get(url).status_code == 404
    assert client_of(other_brand, "contacts.edit").post(f"{url}{record.pk}/part/").status_code == 404
    assert client.post(f"{url}{record.pk}/part/").json() == {"contact_id": new.pk}
    assert client.get(url).json()["results"] == []
    assert client.post(f"{url}{record.pk}/part/").status_code == 409
    assert client.get(f"/api/v1/contacts/{new.pk}/").json()["name"] == "王小明"


def test_frozen_lists_and_touches_of_days(brand: Any, pair: list[Contact]) -> None:
    """Who was in a list is in it again, and nobody else; of touches nobody seems to have had fewer than they had."""
    old, new = pair
    with in_brand(brand):
        set_bits(brand, Dim.SEGMENT, {7: [new.pk], 8: [old.pk, new.pk], 9: [old.pk]})
        set_bits(brand, Dim.TOUCH, {500: [new.pk], 501: [old.pk]})
        record = joined(brand, old, new)
        parting.part(brand, contact_id=old.pk, merge_id=record.pk, by=BY)
        found = bits_of(brand, [old.pk, new.pk])
        kept, lost = set(found[old.pk]), set(found[new.pk])
    lists = {(int(Dim.SEGMENT), val) for val in (7, 8, 9)}
    assert kept & lists == {(int(Dim.SEGMENT), 8), (int(Dim.SEGMENT), 9)}
    assert lost & lists == {(int(Dim.SEGMENT), 7), (int(Dim.SEGMENT), 8)}
    assert {(int(Dim.TOUCH), 500), (int(Dim.TOUCH), 501)} <= kept and (int(Dim.TOUCH), 500) in lost
