"""Two tags become one; deleted tags come back; what names a tag follows."""

from datetime import timedelta
from typing import Any

import pytest

from contacts.models import Event, EventType, Follow, SavedView
from livecodes.models import ChannelCode, CodeTag
from org.access import SYSTEM
from org.models import Job
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tagging.models import ContactTag, Tag, TagAct, TagRule, WaitingTag
from tagging.services.bits import bits_check
from tagging.services.tags import corp_library, deleting, library, merging, references, waiting
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_tag
from tests.wecom.sandbox_client import CORPID
from wecom.client import client_for
from wecom.models import OutboundCall

pytestmark = pytest.mark.django_db(transaction=True)


def carriers(brand: Any, tag: Tag) -> set[int]:
    with in_brand(brand):
        return set(ContactTag.objects.filter(tag=tag).values_list("contact_id", flat=True))


def test_everything_follows(brand: Any, corp: Any, staff: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(merging, "SLICE", 2)
    with in_brand(brand):
        old, new, other = (make_tag(brand, name) for name in ("旧", "新", "别的"))
        people = [make_contact(brand, staff) for _ in range(5)]
        at = clock.now() - timedelta(days=40)
        with clock.at(at):
            add_tags(brand, contacts=people[:4], tags=[old], source="channel_code:3", by_staff=staff)
        add_tags(brand, contacts=people[3:], tags=[new], source="page")
        waiting.add(brand, keys=[("phone", "", "139")], tag_ids=[old.pk], source="api")
        code = ChannelCode.objects.create(corp=corp, name="码")
        CodeTag.objects.create(code=code, tag=old)
        rule = TagRule.objects.create(
            name="规则",
            kind="event",
            event="tagged",
            filters={"tag_ids": [old.pk]},
            condition={"all": [{"kind": "tags", "mode": "any", "ids": [old.pk, other.pk]}]},
            add_tag_ids=[other.pk],
            remove_tag_ids=[old.pk],
            created_by="x",
        )
        view = SavedView.objects.create(name="看", staff_id=staff.pk, query={"tag": [old.pk, new.pk]})
        assert [use.name for use in references.uses(brand, [old.pk])] == ["规则", "看", "码"]
        merging.start(brand, by=SYSTEM, old=old, new=new)
    assert carriers(brand, new) == {p.pk for p in people} and carriers(brand, old) == set()
    with in_brand(brand):
        assert Job.objects.get().state == "done"
        row = ContactTag.objects.get(tag=new, contact=people[0])
        assert (row.source, row.staff_id, row.at) == ("channel_code:3", staff.pk, at)
        assert ContactTag.objects.get(tag=new, contact=people[3]).source == "page"
        assert not Event.objects.filter(type=EventType.UNTAGGED).exists()
        assert WaitingTag.objects.get().tag_id == new.pk
        assert CodeTag.objects.get().tag_id == new.pk
        rule.refresh_from_db()
        view.refresh_from_db()
        assert rule.filters == {"tag_ids": [new.pk]} and rule.remove_tag_ids == [new.pk]
        assert rule.condition["all"][0]["ids"] == [new.pk, other.pk]
        assert view.query == {"tag": [new.pk]}
        old.refresh_from_db()
        assert old.deleted_at and old.merged_into_id == new.pk
        assert (TagAct.objects.get().n_people, TagAct.objects.get().n_added) == (4, 3)
    with tenant_scope(brand):
        assert not bits_check.check(brand)
        with pytest.raises(NotFoundError):
            deleting.restore_tag(brand, by=SYSTEM, tag=old)
        # somebody got the old one in the very moment: the night finds it
        with in_brand(brand):
            ContactTag.objects.create(tag=old, contact=people[0], source="page")
        assert merging.repair(brand) == 0 and carriers(brand, old) == set()


def test_refusals(brand: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        foreign = make_tag(other_brand)
    with in_brand(brand):
        one, two = make_tag(brand), make_tag(brand)
        with pytest.raises(InvalidError):
            merging.start(brand, by=SYSTEM, old=one, new=one)
        with pytest.raises(ConflictError):
            merging.start(brand, by=SYSTEM, old=one, new=foreign)
        TagRule.objects.create(
            name="在用", kind="event", event="added", is_on=True, add_tag_ids=[two.pk], created_by="x"
        )
    with tenant_scope(brand), pytest.raises(ConflictError, match="在用"):
        deleting.delete_tag(brand, by=SYSTEM, tag=two)


@pytest.fixture
def c(connected: Any) -> Any:
    with tenant_scope(connected.brand):
        corp_library.sync_corp_tags(connected.brand, connected.corp, client_for(connected.corp))
        yield connected


def theirs(c: Any) -> dict[str, list[str]]:
    found = c.sandbox.api("externalcontact/get_corp_tag_list", {}, access_token=c.sandbox.token())
    return {g["group_name"]: [t["name"] for t in g["tag"]] for g in found["tag_group"]}


def test_corp_tags_deleted_and_brought_back(c: Any) -> None:
    """Under a new id in WeCom, and told again for each relation."""
    group = library.create_group(c.brand, by=SYSTEM, name="会员", names=["一", "二"], corp=c.corp)
    with in_brand(c.brand):
        tag = Tag.objects.select_related("group").get(name="一")
        follow = Follow.objects.first() or _follow(c)
        add_tags(c.brand, contacts=[follow.contact_id], tags=[tag], source="page")
    first_id = tag.wecom_id
    deleting.delete_tag(c.brand, by=SYSTEM, tag=tag)
    assert theirs(c)["会员"] == ["二"]
    with in_brand(c.brand):
        tag.refresh_from_db()
    job = deleting.restore_tag(c.brand, by=SYSTEM, tag=tag)
    assert job and sorted(theirs(c)["会员"]) == ["一", "二"]
    with in_brand(c.brand):
        tag.refresh_from_db()
        assert tag.deleted_at is None and tag.wecom_id != first_id
        assert Tag.objects.filter(group=group, name="一").count() == 1
        told = OutboundCall.objects.filter(kind="mark_tag").order_by("pk").last()
        assert told and told.payload["add"] == [tag.wecom_id]
    deleting.delete_group(c.brand, by=SYSTEM, group=group)
    assert "会员" not in theirs(c)
    with in_brand(c.brand):
        group.refresh_from_db()
    deleting.restore_group(c.brand, by=SYSTEM, group=group)
    assert sorted(theirs(c)["会员"]) == ["一", "二"]


def _follow(c: Any) -> Follow:
    from tests.factories import make_staff

    contact = make_contact(c.brand, make_staff(c.brand, c.corp, userid="zhangsan"))
    return Follow.objects.get(contact=contact)


def test_somebody_else_changes_the_library(c: Any, monkeypatch: Any) -> None:
    """45035 again and again: tried until it is free; then given up in words, and nothing is different here."""
    from tagging.services.tags import in_wecom
    from wecom.errors import WeComRateLimited

    monkeypatch.setattr(in_wecom, "PAUSES_S", (0.01, 0.01))
    group = library.create_group(c.brand, by=SYSTEM, name="会员", names=["一"], corp=c.corp)
    fault = {"corpid": CORPID, "api": "externalcontact/edit_corp_tag", "kind": "errcode", "errcode": 45035}
    c.sandbox.post("faults", **fault, times=4)
    library.rename(c.brand, by=SYSTEM, item=group, name="会员等级")
    assert "会员等级" in theirs(c)
    c.sandbox.post("faults", **fault, times=99)
    with pytest.raises(WeComRateLimited):
        library.rename(c.brand, by=SYSTEM, item=group, name="别的")
    assert "会员等级" in theirs(c)
    with in_brand(c.brand):
        group.refresh_from_db()
        assert group.name == "会员等级"


def test_limits_are_asked_before_wecom(c: Any, monkeypatch: Any) -> None:
    from tagging.services.tags import in_wecom

    monkeypatch.setattr(in_wecom, "MAX_TAGS", 4)
    n_calls = len(c.sandbox.calls())
    with pytest.raises(InvalidError, match="4"):
        library.create_group(c.brand, by=SYSTEM, name="会员", names=["一", "二"], corp=c.corp)
    with pytest.raises(InvalidError, match="30"):
        library.create_group(c.brand, by=SYSTEM, name="会员", names=["长" * 31], corp=c.corp)
    assert len(c.sandbox.calls()) == n_calls
