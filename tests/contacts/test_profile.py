"""Profiles from WeCom: name, unionid, remarks and tags, once and after edits in the client."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from contacts.models import Contact, Event, EventType, Follow, Identity
from contacts.services import edits, profile
from contacts.services.follow import record_follow
from contacts.services.search import search
from scrm import clock
from tagging.models import ContactTag, Tag
from tagging.services.tags.tags import add_tags, remove_tags, sync_corp_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_corp, make_staff
from tests.wecom.sandbox_client import CORPID
from wecom.api import contacts as api
from wecom.client import client_for
from wecom.errors import WeComUnavailable
from wecom.models import OutboundCall

T = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
EXTERNAL = "wmAAA"


@pytest.fixture
def customer(connected: Any) -> Any:
    """A customer of both guides in WeCom; we know the relation to each."""
    c = connected
    c.sandbox.load(
        customers=[
            {
                "external_userid": EXTERNAL,
                "name": "王小明",
                "unionid": "u1",
                "gender": 2,
                "follows": [
                    {
                        "userid": "GuideA",
                        "createtime": int(T.timestamp()),
                        "remark": "爱喝茶",
                        "add_way": 3,
                        "tags": ["黄金"],
                    },
                    {"userid": "guideb", "createtime": int(T.timestamp())},
                ],
            }
        ]
    )
    with_scope(c, lambda: sync_corp_tags(c.brand, c.corp, client_for(c.corp)))
    with in_brand(c.brand):
        follows = [
            record_follow(
                c.brand, corp=c.corp, staff=guide, external_userid=EXTERNAL, at=T, source="callback"
            ).follow
            for guide in (c.a, c.b)
        ]
    return SimpleNamespace(**vars(c), follow=follows[0], follow_b=follows[1])


def fetch(c: Any) -> None:
    with_scope(c, lambda: profile.fetch(c.brand, corp=c.corp, external_userid=EXTERNAL))


def edit(c: Any, **what: Any) -> None:
    c.sandbox.post("member_edits", corpid=CORPID, external_userid=EXTERNAL, **what)
    event = SimpleNamespace(happened_at=T)
    with_scope(c, lambda: edits.on_contact_edited(c.brand, c.corp, {"ExternalUserID": EXTERNAL}, event))


def with_scope(c: Any, act: Any) -> Any:
    with tenant_scope(c.brand):
        return act()


def tag_names() -> set[str]:
    return {row.tag.name for row in ContactTag.objects.select_related("tag")}


def story(kind: EventType) -> list[Any]:
    return list(Event.objects.filter(type=kind).order_by("id").values_list("data", flat=True))


def test_profile_is_read_once_and_again(customer: Any) -> None:
    for _ in range(2):
        fetch(customer)
        with in_brand(customer.brand):
            contact = Contact.objects.get()
            assert (contact.name, contact.gender, contact.kind) == ("王小明", 2, 1)
            assert contact.profile_at is not None
            assert Identity.objects.get(kind="unionid").value == "u1"
            assert search(customer.brand, "喝茶").get() == search(customer.brand, "小明").get() == contact
            assert tag_names() == {"黄金"}
            relation = Follow.objects.get(staff=customer.a)
            assert (relation.remark, relation.add_way) == (
                "爱喝茶",
                3,
            )  # the event of the adding tells neither
            # what was there before we came is no change
            assert story(EventType.REMARKED) == [] and len(story(EventType.TAGGED)) == 1
            assert not OutboundCall.objects.exists()


def test_profile_joins_two_corps(customer: Any) -> None:
    with in_brand(customer.brand):
        corp = make_corp(customer.brand, corpid="wwother", secret="other-secret-0123456789")
        other = make_staff(customer.brand, corp, userid="guidec")
        record_follow(customer.brand, corp=corp, staff=other, external_userid="wmB", at=T, source="callback")
    customer.sandbox.make_corp("wwother", secret="other-secret-0123456789")
    customer.sandbox.load("wwother", members=[{"userid": "guidec", "name": "丙"}])
    customer.sandbox.load(
        "wwother",
        customers=[
            {"external_userid": "wmB", "name": "小明二号", "unionid": "u1", "follows": [{"userid": "guidec"}]}
        ],
    )
    fetch(customer)
    with_scope(customer, lambda: profile.fetch(customer.brand, corp=corp, external_userid="wmB"))
    with in_brand(customer.brand):
        contact = Contact.objects.get()
        assert (contact.n_follows, contact.pk) == (3, customer.follow.contact_id)
        assert story(EventType.MERGED)[0]["unionid"] == "u1"


def test_edits_in_the_client(customer: Any) -> None:
    fetch(customer)
    edit(customer, userid="GuideA", remark="爱喝咖啡", add_tags=["咖啡", "普通"], remove_tags=["黄金"])
    with in_brand(customer.brand):
        assert tag_names() == {"咖啡", "普通"}
        assert story(EventType.REMARKED) == [{"before": "爱喝茶", "after": "爱喝咖啡"}]
        assert [d["tag"] for d in story(EventType.UNTAGGED)] == ["黄金"]
        assert not search(customer.brand, "喝茶").exists() and search(customer.brand, "咖啡").exists()
        assert ContactTag.objects.filter(tag__name="咖啡").get().staff_id == customer.a.pk
    before = None
    for _ in range(2):  # the callback comes twice
        edit(customer, userid="guideb", add_tags=["咖啡"])
        with in_brand(customer.brand):
            n = Event.objects.count()
            assert before in (None, n)
            before = n
    # off one relation, the other one still shows it
    edit(customer, userid="GuideA", remove_tags=["咖啡"])
    with in_brand(customer.brand):
        assert tag_names() == {"咖啡", "普通"}
    edit(customer, userid="guideb", remove_tags=["咖啡"])
    with in_brand(customer.brand):
        assert tag_names() == {"普通"}


def test_a_guides_personal_tags_stay_theirs(customer: Any) -> None:
    """Type 2, without an id: they belong to the guide's own client and are no tags of the brand."""
    fetch(customer)
    with in_brand(customer.brand):
        n_tags, before = Tag.objects.count(), tag_names()
    edit(customer, userid="GuideA", personal_tags=["爱砍价"])
    with in_brand(customer.brand):
        assert (Tag.objects.count(), tag_names()) == (n_tags, before)


def test_what_we_put_on_reaches_wecom_and_is_not_undone_by_an_edit(customer: Any) -> None:
    fetch(customer)
    with in_brand(customer.brand):
        contact = Contact.objects.get()
        tags = list(ContactTag.objects.values_list("tag", flat=True))
        coffee = Tag.objects.get(name="咖啡")
        add_tags(customer.brand, contacts=[contact], tags=[coffee], source="page")
        remove_tags(customer.brand, contacts=[contact], tags=tags, source="page")
    token = customer.sandbox.token()
    shown = customer.sandbox.api("externalcontact/get", external_userid=EXTERNAL, access_token=token)
    assert [[t["tag_name"] for t in f["tags"]] for f in shown["follow_user"]] == [["咖啡"], ["咖啡"]]
    fetch(customer)
    with in_brand(customer.brand):
        assert tag_names() == {"咖啡"}
    edit(customer, userid="GuideA", remove_tags=["咖啡"])
    edit(customer, userid="guideb", remove_tags=["咖啡"])
    with in_brand(customer.brand):
        assert tag_names() == set()


def test_an_edit_before_our_tags_arrive(customer: Any) -> None:
    """WeCom does not answer mark_tag for a while; meanwhile the guide edits the remark."""
    fetch(customer)
    customer.sandbox.post("faults", corpid=CORPID, api="externalcontact/mark_tag", kind="errcode", errcode=-1)
    with in_brand(customer.brand):
        contact = Contact.objects.get()
        add_tags(customer.brand, contacts=[contact], tags=[Tag.objects.get(name="咖啡")], source="page")
        remove_tags(customer.brand, contacts=[contact], tags=[Tag.objects.get(name="黄金")], source="page")
    edit(customer, userid="GuideA", remark="新")
    with in_brand(customer.brand):
        assert OutboundCall.objects.filter(state="waiting").exists()
        assert tag_names() == {"咖啡"}


def test_our_tags_arrive_between_the_answer_and_its_keeping(customer: Any) -> None:
    """A code's tag and the profile of a new customer are on their way at the same time."""
    c = customer
    fetch(c)
    read_at = clock.now()
    answer = with_scope(c, lambda: api.customer(client_for(c.corp), EXTERNAL))
    with in_brand(c.brand):
        contact = Contact.objects.get()
        add_tags(c.brand, contacts=[contact], tags=[Tag.objects.get(name="咖啡")], source="channel_code:1")
        remove_tags(c.brand, contacts=[contact], tags=[Tag.objects.get(name="黄金")], source="page")
    with in_brand(c.brand):
        assert not OutboundCall.objects.exclude(state="done").exists()
        profile.keep(c.brand, corp=c.corp, customer=answer, read_at=read_at, source="callback")
        assert tag_names() == {"咖啡"}
    edit(c, userid="GuideA", remove_tags=["咖啡"])  # afterwards a guide's word counts again
    edit(c, userid="guideb", remove_tags=["咖啡"])
    with in_brand(c.brand):
        assert tag_names() == set()


def test_not_ours_any_more(customer: Any) -> None:
    customer.sandbox.post("member_deletes", corpid=CORPID, external_userid=EXTERNAL, userid="GuideA")
    customer.sandbox.post("member_deletes", corpid=CORPID, external_userid=EXTERNAL, userid="guideb")
    fetch(customer)
    with in_brand(customer.brand):
        assert Contact.objects.get().profile_at is None


def test_wecom_is_down(customer: Any) -> None:
    customer.sandbox.post("faults", corpid=CORPID, kind="errcode", errcode=-1)
    with pytest.raises(WeComUnavailable):
        edit(customer, userid="GuideA", remark="x")


def test_another_brand_is_not_touched(customer: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        corp = make_corp(other_brand)
        record_follow(
            other_brand,
            corp=corp,
            staff=make_staff(other_brand, corp),
            external_userid=EXTERNAL,
            at=T,
            source="callback",
        )
    fetch(customer)
    with in_brand(other_brand):
        assert Contact.objects.get().name == ""
        assert not Identity.objects.filter(kind="unionid").exists()
