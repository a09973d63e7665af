"""Pages, panel and API of groups: what they show, to whom, and that two brands and a small role stay apart."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from groups.models import GroupChat, GroupMember
from org.access import RIGHTS, Actor
from org.models import Staff
from org.services import keys
from scrm import clock
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def make_chat(corp: Any, owner: Any, name: str = "一群", n: int = 3, **over: Any) -> GroupChat:
    """A group with its owner and n customers, all of them contacts but the last; one more has left."""
    now = clock.now()
    chat = GroupChat.objects.create(
        **{
            "corp": corp,
            "chat_id": f"wr{GroupChat.objects.count():030d}",
            "name": name,
            "owner": owner,
            "owner_userid": owner.userid,
            "n_members": n + 1,
            "n_customers": n,
            "created_at": now - timedelta(days=90) + timedelta(minutes=GroupChat.objects.count()),
            **over,
        }
    )
    GroupMember.objects.create(
        chat=chat, kind=1, userid=owner.userid, staff=owner, name=owner.name, joined_at=chat.created_at
    )
    for i in range(n + 1):
        GroupMember.objects.create(
            chat=chat,
            kind=2,
            userid=f"wm{chat.pk:015d}{i:015d}",
            contact=make_contact(corp.brand) if i < n - 1 or i == n else None,
            name=f"群友{i}",
            join_scene=1 if i % 2 else 3,
            invitor_userid=owner.userid if i % 2 else "",
            joined_at=now - timedelta(days=i, minutes=1),
            left_at=now - timedelta(minutes=30) if i == n else None,
            quit_scene=1 if i == n else None,
        )
    return chat


def test_the_list_shows_groups_and_filters_them(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand, corp, name="乙导购", state="left")
        first, second = (
            make_chat(corp, staff, "包裹一群"),
            make_chat(corp, other, "门店二群", n=30, n_members=120),
        )
        gone = make_chat(corp, staff, "散群", dismissed_at=clock.now())
    client = sign_in(brand)

    def names(query: str = "") -> list[str]:
        page = client.get(f"/groups/{query}", headers={"HX-Request": "true"}).content.decode()
        return [c.name for c in (first, second, gone) if c.name in page]

    page = client.get("/groups/").content.decode()
    assert "包裹一群" in page
    assert "+4" in page  # joined in seven days
    assert names() == ["包裹一群", "门店二群"]
    assert names("?q=门店") == ["门店二群"]
    assert names(f"?q={first.chat_id}") == ["包裹一群"]
    assert names(f"?owner={staff.pk}") == ["包裹一群"]
    assert names("?state=owner_left") == ["门店二群"]
    assert names("?state=dismissed") == ["散群"]
    assert names("?size=small") == ["包裹一群"]
    assert names("?size=big&sort=big") == ["门店二群"]
    assert names("?owner=x&state=nonsense&size=nonsense&sort=nonsense") == ["包裹一群", "门店二群"]


def test_a_group_shows_who_is_there_and_who_left(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        chat = make_chat(corp, staff, notice="每晚八点", admin_userids=[staff.userid])
    client = sign_in(brand)
    page = client.get(f"/groups/{chat.pk}/").content.decode()
    assert "每晚八点" in page
    assert "群友0" in page
    assert "群友3" not in page
    left = client.get(f"/groups/{chat.pk}/?show=left", headers={"HX-Request": "true"}).content.decode()
    assert "群友3" in left
    assert "被移出群" in left
    assert "群友0" not in left
    some = client.get(f"/groups/{chat.pk}/?kind=strangers", headers={"HX-Request": "true"}).content.decode()
    assert "群友2" in some
    assert "群友0" not in some
    assert "群友1" in client.get(f"/groups/{chat.pk}/?q=群友1").content.decode()


def test_words_with_nul_are_looked_for_without_it(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        chat = make_chat(corp, staff, "包裹一群")
    client, api = sign_in(brand), api_of(brand)
    assert "包裹一群" in client.get("/groups/?q=包裹%00一群").content.decode()
    assert "群友1" in client.get(f"/groups/{chat.pk}/?q=群%00友1").content.decode()
    assert len(api.get("/api/v1/groups/?q=包裹%00一群").json()["results"]) == 1


def test_the_contact_page_shows_groups(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        chat = make_chat(corp, staff, "包裹一群")
        stay = GroupMember.objects.filter(chat=chat, contact__isnull=False, left_at=None).first()
    page = sign_in(brand).get(f"/contacts/{stay.contact_id}/").content.decode()
    assert "包裹一群" in page
    assert f"/groups/{chat.pk}/" in page


def test_who_invited_is_told_by_corp(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        second = make_corp(brand)
        namesake = make_staff(brand, second, userid=staff.userid, name="另一家的同号员工")
        staff.name = "本店导购"
        staff.save()
        stays = []
        for owner, name in ((staff, "甲群"), (namesake, "乙群")):
            chat = make_chat(owner.corp, owner, name)
            stays.append(GroupMember.objects.filter(chat=chat, name="群友1").get())
        stays[1].contact = stays[0].contact
        stays[1].save()
    page = sign_in(brand).get(f"/contacts/{stays[0].contact_id}/").content.decode()
    assert "由本店导购邀请" in page and "由另一家的同号员工邀请" in page


def test_a_guide_sees_own_groups_only(brand: Any, corp: Any, sign_in: Any) -> None:
    with in_brand(brand):
        mine, other = make_staff(brand, corp), make_staff(brand, corp)
        own, foreign = make_chat(corp, mine, "我的群"), make_chat(corp, other, "别人的群")
    client = sign_in(brand, "guide", user=make_user(brand, "guide", staff=mine))
    page = client.get("/groups/").content.decode()
    assert "我的群" in page
    assert "别人的群" not in page
    assert client.get(f"/groups/{own.pk}/").status_code == 200
    assert client.get(f"/groups/{foreign.pk}/").status_code == 404


def test_a_role_without_the_right_sees_nothing(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    with in_brand(brand):
        role = Staff.objects.get(user_id=client.user.pk).role
        assert role
        role.rights = [right for right in RIGHTS if right != "groups.view"]
        role.save()
    assert client.get("/groups/").status_code == 403
    assert "/groups/" not in client.get("/contacts/").content.decode()


def test_another_brand_sees_nothing(
    brand: Any, other_brand: Any, corp: Any, staff: Any, sign_in: Any
) -> None:
    with in_brand(brand):
        chat = make_chat(corp, staff, "别家的群")
    client = sign_in(other_brand)
    assert "别家的群" not in client.get("/groups/").content.decode()
    assert client.get(f"/groups/{chat.pk}/").status_code == 404
    with in_brand(other_brand):
        make_corp(other_brand)
    assert "/sync/" in client.get("/groups/").content.decode()


def test_statements_do_not_grow_with_rows(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    paths, counts = [], []
    for n in (2, 20):
        with in_brand(brand):
            while GroupChat.objects.count() < n:
                chat = make_chat(corp, make_staff(brand, corp), n=n)
        paths = ["/groups/", f"/groups/{chat.pk}/", f"/groups/{chat.pk}/?show=left"]
        for path in paths:
            client.get(path)
        queries = []
        for path in paths:
            with CaptureQueriesContext(connection) as captured:
                assert client.get(path).status_code == 200
            queries.append(len(captured))
        counts.append(queries)
    assert counts[0] == counts[1]


def test_the_api_reads_groups_and_members(brand: Any, other_brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        chat = make_chat(corp, staff, "包裹一群")
        make_chat(corp, staff, "二群")
    api, foreign = api_of(brand), api_of(other_brand)
    rows = api.get("/api/v1/groups/").json()["results"]
    assert [r["name"] for r in rows] == ["二群", "包裹一群"]
    assert (rows[1]["n_customers"], rows[1]["state"], rows[1]["owner_id"]) == (3, "normal", staff.pk)
    assert len(api.get(f"/api/v1/groups/?q={chat.chat_id}").json()["results"]) == 1
    one = api.get(f"/api/v1/groups/{chat.pk}/").json()
    assert one["chat_id"] == chat.chat_id
    stays = api.get(f"/api/v1/groups/{chat.pk}/members/").json()["results"]
    assert len(stays) == 5
    gone = api.get(f"/api/v1/groups/{chat.pk}/members/?present=false").json()["results"]
    assert [(s["kind"], s["quit_scene"], s["name"]) for s in gone] == [("customer", "removed", "群友3")]
    for bad in ("?state=nonsense", "?owner=x", "?size=nonsense", "?after=zz"):
        assert api.get(f"/api/v1/groups/{bad}").status_code == 422, bad
    assert api.get(f"/api/v1/groups/{chat.pk}/members/?present=maybe").status_code == 422
    assert foreign.get("/api/v1/groups/").json()["results"] == []
    assert foreign.get(f"/api/v1/groups/{chat.pk}/").status_code == 404
    assert api_of(brand, ["contacts.view"]).get("/api/v1/groups/").status_code == 403


def api_of(brand: Any, rights: Any = tuple(RIGHTS)) -> Client:
    with in_brand(brand):
        maker = Actor("test", None, None, frozenset(RIGHTS))
        key = keys.create_key(brand, by=maker, name=f"key{len(rights)}", rights=list(rights))[1]
    return Client(headers={"Authorization": f"Bearer {key}"})
