"""The contact list as people use it: rights, data scope, columns, saved views, acts on many."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Enrolment, Sop, SopStep
from contacts.models import Contact, ContactStat, Event, EventType, Follow, SavedView
from contacts.services.search import refresh_grams
from org.access import SYSTEM
from org.models import AuditEntry, Job, Staff, Store
from scrm import clock
from tagging.models import ContactTag, Segment
from tagging.services.segments import segments
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_tag, make_user

HTMX = {"headers": {"HX-Request": "true"}}


def ids_in(response: Any) -> list[int]:
    return [row.contact.pk for row in response.context["rows"]]


@pytest.fixture
def people(brand: Any, corp: Any, staff: Any) -> list[Contact]:
    with in_brand(brand):
        rows = [make_contact(brand, staff, name=f"王小{n}") for n in range(3)]
        refresh_grams(brand, [c.pk for c in rows])
    return rows


def test_list_and_its_fragments(brand: Any, people: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    page = client.get("/contacts/")
    assert page.status_code == 200 and ids_in(page) == [c.pk for c in reversed(people)]
    assert "王小1" in page.text and "HX-Request" in page["Vary"]
    part = client.get("/contacts/?q=王小2", **HTMX)
    assert ids_in(part) == [people[2].pk] and "<html" not in part.text and "bulk-bar" in part.text
    assert "1 contact" in client.get("/contacts/count/?q=王小2", headers={"Accept-Language": "en"}).text
    assert "more-filters" in client.get("/contacts/filters/?state=lost").text


def test_next_page(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        for _ in range(55):
            make_contact(brand, staff)
    client = sign_in(brand, "operator")
    first = client.get("/contacts/")
    assert len(ids_in(first)) == 50
    rest = client.get(f"/contacts/?after={first.context['page'].next}", **HTMX)
    assert len(ids_in(rest)) == 5 and "<table" not in rest.text
    assert client.get("/contacts/?after=nonsense").status_code == 422


def test_empty_states(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert "/codes/" in client.get("/contacts/").text
    with in_brand(brand):
        make_contact(brand, name="")
    assert "no name yet" in client.get("/contacts/", headers={"Accept-Language": "en"}).text
    assert "Nobody matches" in client.get("/contacts/?q=龘龘", headers={"Accept-Language": "en"}).text


def test_filters_that_cannot_be_read(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    for url in ("/contacts/?state=all", "/contacts/?tag=x", "/contacts/count/?guide=x"):
        assert client.get(url).status_code == 422


def test_two_brands(brand: Any, other_brand: Any, people: Any, sign_in: Any) -> None:
    theirs = sign_in(other_brand, "admin")
    assert ids_in(theirs.get("/contacts/")) == []
    assert ids_in(theirs.get("/contacts/?q=王小1")) == []
    for url in ("", "timeline/", "tags/"):
        assert theirs.get(f"/contacts/{people[0].pk}/{url}").status_code == 404
    for url in ("notes/", "do-not-contact/"):
        assert theirs.post(f"/contacts/{people[0].pk}/{url}", {"text": "x", "value": "1"}).status_code == 404
    with in_brand(brand):
        assert not Event.objects.exists() and not Contact.objects.filter(do_not_contact=True).exists()


def test_data_scope(brand: Any, corp: Any, sign_in: Any) -> None:
    with in_brand(brand):
        stores = [Store.objects.create(name=n) for n in "甲乙"]
        guides = [make_staff(brand, corp, store=stores[n]) for n in (0, 0, 1)]
        contacts = [make_contact(brand, guide) for guide in guides]
        lost = make_contact(brand, guides[0])
        Follow.objects.filter(contact=lost).update(ended_at=clock.now())
    guide = sign_in(brand, user=make_user(brand, "guide", guides[0]))
    manager = sign_in(brand, user=make_user(brand, "manager", guides[1]))
    everybody = sign_in(brand, "operator")
    assert sorted(ids_in(guide.get("/contacts/"))) == [contacts[0].pk, lost.pk]
    assert sorted(ids_in(manager.get("/contacts/"))) == [contacts[0].pk, contacts[1].pk, lost.pk]
    assert len(ids_in(everybody.get("/contacts/"))) == 4
    assert guide.get(f"/contacts/{contacts[1].pk}/").status_code == 404
    assert guide.get(f"/contacts/{contacts[0].pk}/").status_code == 200
    assert guide.get(f"/contacts/?guide={guides[2].pk}").context["rows"] == []


def test_people_without_the_right(brand: Any, people: Any, sign_in: Any) -> None:
    client = sign_in(brand, "guide")
    with in_brand(brand):
        role = Staff.objects.select_related("role").get(user_id=client.user.pk).role
        role.rights = ["overview.view"]
        role.save()
    for url in ("/contacts/", "/contacts/count/", f"/contacts/{people[0].pk}/", "/contacts/bulk/tag/"):
        assert client.get(url).status_code == 403
    assert client.get("/tags/").status_code == 403


def test_queries_do_not_grow_with_the_rows(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    counts = {}
    for n in (2, 20):
        with in_brand(brand):
            tags = [make_tag(brand) for _ in range(3)]
            people = [make_contact(brand, staff) for _ in range(n)]
            add_tags(brand, contacts=people, tags=tags, source="page")
            for contact in people:
                other = make_staff(brand, corp)
                Follow.objects.create(
                    contact=contact,
                    staff=other,
                    corp=corp,
                    external_userid="x",
                    added_at=clock.now(),
                    channel_code_id=1,
                )
        for url in ("/contacts/", f"/contacts/?tag={tags[0].pk}&guide={staff.pk}"):
            with CaptureQueriesContext(connection) as seen:
                assert len(ids_in(client.get(url))) >= n
            counts.setdefault(url.split("?")[0] + str("?" in url), []).append(len(seen))
    assert all(a == b for a, b in counts.values()), counts


def test_columns_are_remembered(brand: Any, people: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    response = client.post("/contacts/columns/", {"column": ["lost", "tags", "evil"]})
    assert response.status_code == 204 and "contactsChanged" in response["HX-Trigger"]
    assert client.get("/contacts/").context["columns"] == ["tags", "lost"]
    client.post("/contacts/columns/")
    assert client.get("/contacts/").context["columns"] == []


def test_other_orders(brand: Any, people: Any, sign_in: Any) -> None:
    """By a column's head or the choice; what is sorted by is shown; the order stays with filters, pages and views."""
    with in_brand(brand):
        for n, contact in enumerate(people):
            ContactStat.objects.filter(contact=contact).update(
                n_orders=1 + n % 2, spent_fen=100 * n, last_order_at=contact.added_at, value_score=50 + n
            )
    client = sign_in(brand, "operator")
    page = client.get("/contacts/?sort=-spent&q=王小", headers={"Accept-Language": "en"})
    assert ids_in(page) == [c.pk for c in reversed(people)] and "¥2.00" in page.text
    assert 'aria-sort="descending"' in page.text and "Spent: most first" in page.text
    heads = {h["key"]: h for h in page.context["headings"]}
    assert heads["spent"]["query"] == "sort=spent&q=%E7%8E%8B%E5%B0%8F" and "query" not in heads["tags"]
    assert heads["added"]["query"].startswith("sort=-added")
    assert ids_in(client.get("/contacts/?sort=spent", **HTMX)) == [c.pk for c in people]
    assert ids_in(client.get("/contacts/?sort=-orders", **HTMX)) == [people[n].pk for n in (1, 2, 0)]
    assert 'name="sort" value="-spent"' in client.get("/contacts/filters/?sort=-spent").text
    assert client.get("/contacts/?sort=price").status_code == 422
    assert client.post("/contacts/views/new/?sort=-spent", {"name": "花得最多"}).status_code == 302
    tabs = client.get("/contacts/?sort=-spent").context["tabs"]
    assert [(t["url"], t["active"]) for t in tabs] == [
        ("/contacts/", False),
        ("/contacts/?sort=-spent", True),
    ]
    client.post("/contacts/columns/", {"column": ["last_order", "orders", "spent", "score"]})
    with CaptureQueriesContext(connection) as few:
        client.get("/contacts/?sort=-score")
    with in_brand(brand):
        for _ in range(10):
            make_contact(brand)
    with CaptureQueriesContext(connection) as many:
        assert ids_in(client.get("/contacts/?sort=-score"))[:3] == [c.pk for c in reversed(people)]
    assert len(many) == len(few)


def test_saved_views(brand: Any, other_brand: Any, people: Any, sign_in: Any) -> None:
    client, colleague = sign_in(brand, "operator"), sign_in(brand, "manager")
    url = "/contacts/views/new/?state=lost&q=%E7%8E%8B"
    assert client.get(url).status_code == 200
    assert client.post(url, {"name": " "}).status_code == 422
    assert client.post("/contacts/views/new/", {"name": "空"}).status_code == 422
    assert client.post(url, {"name": "流失的王"}).status_code == 302
    assert client.post(url + "&dnc=1", {"name": "流失的王"}).status_code == 302  # again: replaced
    client.post("/contacts/views/new/?dnc=1", {"name": "大家的", "is_shared": "1"})
    with in_brand(brand):
        own, shared = SavedView.objects.order_by("pk")
        assert own.query == {"q": "王", "state": "lost", "dnc": "1"}
    names = [tab["label"] for tab in client.get("/contacts/?dnc=1").context["tabs"]]
    assert names[1:] == ["流失的王", "大家的"]
    assert [t["label"] for t in colleague.get("/contacts/").context["tabs"]][1:] == ["大家的"]
    assert colleague.post(f"/contacts/views/{shared.pk}/delete/").status_code == 404
    assert sign_in(other_brand).post(f"/contacts/views/{shared.pk}/delete/").status_code == 404
    assert client.get("/contacts/?dnc=1").context["own_view"] == shared
    assert client.post(f"/contacts/views/{shared.pk}/delete/").status_code == 302
    with in_brand(brand):  # a view of an older version is not shown as everybody
        SavedView.objects.update(query={"state": "gone"})
    assert client.get("/contacts/").context["tabs"] == []


def test_chips_name_the_filters(brand: Any, people: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag, store = make_tag(brand, "金卡"), Store.objects.create(name="一店")
    client = sign_in(brand, "operator")
    url = f"/contacts/?tag={tag.pk}&store={store.pk}&since=2026-01-01&dnc=1&code=99"
    chips = {chip["label"]: chip for chip in client.get(url).context["chips"]}
    assert {chip["text"] for chip in chips.values()} == {"金卡", "一店", "2026-01-01 – …", "", "?"}
    for chip in chips.values():
        assert client.get(chip["url"]).status_code == 200
        assert len(client.get(chip["url"]).context["chips"]) == 4


# ---- by segment


@pytest.fixture
def segment(brand: Any, people: Any) -> Segment:
    """The first two of three people, by a tag."""
    with in_brand(brand):
        tag = make_tag(brand, "宝妈")
        add_tags(brand, contacts=people[:2], tags=[tag], source="page")
        condition = {"all": [{"kind": "tags", "ids": [tag.pk]}]}
        return segments.create_segment(brand, by=SYSTEM, name="宝妈们", condition=condition)


def test_by_segment(brand: Any, people: Any, segment: Segment, sign_in: Any) -> None:
    client, url = sign_in(brand, "operator"), f"/contacts/?segment={segment.pk}"
    page = client.get(url)
    assert ids_in(page) == [people[1].pk, people[0].pk]
    assert [chip["text"] for chip in page.context["chips"]] == ["宝妈们"]
    assert ids_in(client.get(f"{url}&q=王小1")) == [people[1].pk]
    assert "2" in client.get(f"/contacts/count/?segment={segment.pk}").text
    drawer = client.get(f"/contacts/filters/?segment={segment.pk}").text
    assert f'<option value="{segment.pk}" selected>宝妈们' in drawer
    assert url in client.get(f"/segments/{segment.pk}/").text
    assert (
        client.post(
            f"/contacts/views/new/?segment={segment.pk}", {"name": "宝妈", "is_shared": "1"}
        ).status_code
        == 302
    )
    assert [tab["label"] for tab in client.get(url).context["tabs"]][1:] == ["宝妈"]
    with in_brand(brand):
        add_tags(brand, contacts=people[2:], tags=segment.condition["all"][0]["ids"], source="page")
    assert len(ids_in(client.get(url))) == 3  # who is in it now
    with in_brand(brand):
        Contact.objects.update(do_not_contact=True)
        empty = segments.create_list(brand, by=SYSTEM, name="无人", contact_ids=[])
    english = {"headers": {"Accept-Language": "en"}}
    assert f'href="/segments/{empty.pk}/"' in client.get(f"/contacts/?segment={empty.pk}").text
    assert "Nobody is in this segment now" in client.get(f"/contacts/?segment={empty.pk}", **english).text
    assert "Nobody matches" in client.get(f"/contacts/?segment={empty.pk}&dnc=1", **english).text


def test_a_segment_that_is_not_there(
    brand: Any, other_brand: Any, people: Any, segment: Segment, sign_in: Any
) -> None:
    """Of another brand, never there, deleted: nobody, in words; and a saved view of it can be deleted."""
    client, stranger, query = sign_in(brand, "operator"), sign_in(other_brand), f"?segment={segment.pk}"
    assert stranger.get(f"/contacts/count/{query}").status_code == 404
    assert stranger.post(f"/exports/new/{query}&kind=contacts", {"format": "csv"}).status_code == 404
    assert stranger.post(f"/contacts/bulk/dnc/{query}", {"everybody": "1"}).status_code == 422
    page = stranger.get(f"/contacts/{query}")
    assert (
        page.status_code == 404
        and page.context["rows"] == []
        and "宝妈" not in page.text
        and "bulk-bar" not in page.text
    )
    assert client.get("/contacts/?segment=99999", **HTMX).status_code == 404
    client.post(f"/contacts/views/new/{query}", {"name": "宝妈"})
    with in_brand(brand):
        segments.delete_segment(brand, by=SYSTEM, segment=segment)
    gone = client.get(f"/contacts/{query}", headers={"Accept-Language": "en"})
    assert gone.status_code == 404 and "This segment does not exist, or was deleted" in gone.text
    view = gone.context["own_view"]
    assert client.post(f"/contacts/views/{view.pk}/delete/").status_code == 302


def test_a_segment_whose_condition_cannot_be_read(
    brand: Any, people: Any, segment: Segment, sign_in: Any
) -> None:
    with in_brand(brand):
        Segment.objects.update(condition=None)
    page = sign_in(brand, "operator").get(f"/contacts/?segment={segment.pk}")
    assert page.status_code == 422 and page.context["rows"] == [] and "bulk-bar" not in page.text


def test_segments_are_for_who_may_see_them(brand: Any, people: Any, segment: Segment, sign_in: Any) -> None:
    """A guide sees no segments: neither to choose, nor by address, nor by what somebody has shared."""
    query = f"?segment={segment.pk}"
    sign_in(brand, "operator").post(f"/contacts/views/new/{query}", {"name": "宝妈", "is_shared": "1"})
    guide = sign_in(brand, "guide")
    for url in ("", "count/", "filters/", "bulk/dnc/", "views/new/"):
        assert guide.get(f"/contacts/{url}{query}").status_code == 403, url
    assert guide.get("/contacts/").context["tabs"] == []
    assert 'name="segment"' not in guide.get("/contacts/filters/").text


@pytest.mark.django_db(transaction=True)
def test_everybody_of_a_segment(brand: Any, people: Any, segment: Segment, sign_in: Any) -> None:
    """Acts on everybody who matches mean the same people as the list: tags, taking them off, do-not-contact."""
    with in_brand(brand):
        tag = make_tag(brand, "金卡")
    client, query = sign_in(brand, "operator"), f"?segment={segment.pk}&q=王小"
    wanted = [c.pk for c in people[:2]]
    client.post(f"/contacts/bulk/tag/{query}", {"everybody": "1", "tags": [tag.pk]})
    with in_brand(brand):
        assert sorted(ContactTag.objects.filter(tag=tag).values_list("contact_id", flat=True)) == wanted
    client.post(f"/contacts/bulk/untag/{query}", {"everybody": "1", "tags": [tag.pk]})
    client.post(f"/contacts/bulk/dnc/{query}", {"everybody": "1"})
    with in_brand(brand):
        assert not ContactTag.objects.filter(tag=tag).exists()
        assert sorted(Contact.objects.filter(do_not_contact=True).values_list("pk", flat=True)) == wanted
        filters = AuditEntry.objects.get(action="contact.bulk_dnc").after["filters"]
        assert filters == {"q": "王小", "segment": segment.pk}


# ---- acts on many


@pytest.mark.django_db(transaction=True)
def test_tags_on_ticked_contacts(brand: Any, people: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand, "金卡")
    client = sign_in(brand, "operator")
    ids = [c.pk for c in people[:2]]
    assert "金卡" in client.get("/contacts/bulk/tag/").text
    assert client.post("/contacts/bulk/tag/", {"ids": ids}).status_code == 422
    assert client.post("/contacts/bulk/tag/", {"tags": [tag.pk]}).status_code == 422
    response = client.post("/contacts/bulk/tag/", {"ids": ids, "tags": [tag.pk]})
    assert response.status_code == 204 and "contactsChanged" in response["HX-Trigger"]
    with in_brand(brand):
        row = ContactTag.objects.filter(contact=people[0]).get()
        assert row.source.startswith("selection:") and row.staff_id
        assert AuditEntry.objects.get(action="contact.tag").after["n"] == 2
    client.post("/contacts/bulk/untag/", {"ids": ids[:1], "tags": [tag.pk]})
    with in_brand(brand):
        assert ContactTag.objects.get().contact_id == ids[1]


@pytest.mark.django_db(transaction=True)
def test_do_not_contact_for_everybody_of_a_filter(brand: Any, people: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    response = client.post("/contacts/bulk/dnc/?q=王小1", {"everybody": "1"})
    assert response.status_code == 200 and "job" in response.text
    with in_brand(brand):
        job = Job.objects.get()
        assert (job.state, job.n_done, job.result) == ("done", 1, {"changed": 1})
        assert Contact.objects.get(do_not_contact=True) == people[1]
        assert Event.objects.get(type=EventType.DO_NOT_CONTACT).data["value"] is True
        assert AuditEntry.objects.get(action="contact.bulk_dnc").after["filters"] == {"q": "王小1"}
    assert client.post("/contacts/bulk/undnc/?q=没有人", {"everybody": "1"}).status_code == 422


@pytest.mark.django_db(transaction=True)
def test_a_job_acts_only_on_what_its_person_sees(brand: Any, corp: Any, sign_in: Any) -> None:
    with in_brand(brand):
        guide = make_staff(brand, corp)
        mine, other = make_contact(brand, guide), make_contact(brand, make_staff(brand, corp))
    client = sign_in(brand, user=make_user(brand, "guide", guide))
    client.post("/contacts/bulk/dnc/", {"everybody": "1"})
    assert client.post("/contacts/bulk/dnc/", {"ids": [other.pk]}).status_code == 422
    with in_brand(brand):
        assert list(Contact.objects.filter(do_not_contact=True)) == [mine]


@pytest.mark.django_db(transaction=True)
def test_into_an_sop(brand: Any, people: Any, sign_in: Any) -> None:
    with in_brand(brand):
        sop = Sop.objects.create(name="新客", state="on")
        SopStep.objects.create(sop=sop, position=0, day=1, text="你好")
    client = sign_in(brand, "operator")
    assert "新客" in client.get("/contacts/bulk/enrol/").text
    client.post("/contacts/bulk/enrol/", {"ids": [people[0].pk], "sop": sop.pk})
    client.post("/contacts/bulk/enrol/?q=王小1", {"everybody": "1", "sop": sop.pk})
    with in_brand(brand):
        assert set(Enrolment.objects.values_list("contact_id", flat=True)) == {people[0].pk, people[1].pk}
    manager = sign_in(brand, "manager")  # sees SOPs, may not enrol
    assert manager.post("/contacts/bulk/enrol/", {"ids": [people[2].pk], "sop": sop.pk}).status_code == 403


def test_acts_of_another_brand(brand: Any, other_brand: Any, people: Any, sign_in: Any) -> None:
    client = sign_in(other_brand, "admin")
    with in_brand(other_brand):
        tag = make_tag(other_brand)
        make_corp(other_brand)
    ids = [c.pk for c in people]
    assert client.post("/contacts/bulk/tag/", {"ids": ids, "tags": [tag.pk]}).status_code == 422
    assert client.post("/contacts/bulk/dnc/", {"ids": ids}).status_code == 422
    assert client.post("/contacts/bulk/wipe/", {"ids": ids}).status_code == 404
    with in_brand(brand):
        assert not ContactTag.objects.exists() and not Contact.objects.filter(do_not_contact=True).exists()


@pytest.mark.parametrize(
    "url", ["/contacts/", "/groups/", "/cards/", "/content/intercepts/", "/sync/inbox/", "/setup/calls/"]
)
def test_a_brand_without_a_company_is_led_to_the_set_up(brand: Any, sign_in: Any, url: str) -> None:
    """Whoever may connect it; others are told whom to ask."""
    admin, operator = sign_in(brand, "admin"), sign_in(brand, "operator")
    assert 'href="/setup/new/"' in admin.get(url).content.decode()
    page = operator.get(url)
    assert page.status_code == 200 and 'href="/setup/new/"' not in page.content.decode()
    assert "请管理员先接入企业微信" in page.content.decode()
    with in_brand(brand):
        make_corp(brand)
    assert 'href="/setup/new/"' not in admin.get(url).content.decode()
