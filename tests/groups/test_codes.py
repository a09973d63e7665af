"""Group codes against the sandbox: made, changed, deleted, refused, retried; who came by them; pages and API."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape
from django.utils.translation import override
from PIL import Image

from groups.models import GroupChat, GroupCode
from groups.services import code_push, codes
from groups.services.codes import GroupCodeInput
from org.access import SYSTEM
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.scoping import tenant_scope
from tests.content.test_api import client_of
from tests.factories import in_brand, make_corp, make_staff, make_user, role
from tests.groups.conftest import Town, external
from tests.groups.test_pages import make_chat
from tests.threads import meanwhile
from wecom.api import join_ways
from wecom.client import client_for

pytestmark = pytest.mark.django_db(transaction=True)
Sync = GroupCode.Sync


def two_groups(town: Town) -> list[int]:
    """Two groups of WeCom that we know; their ids."""
    for n, name in enumerate(("一群", "二群")):
        town.make_group(name, first=2 * n)
    town.deliver()
    with in_brand(town.brand):
        return list(GroupChat.objects.order_by("pk").values_list("pk", flat=True))


def make(town: Town, **over: Any) -> GroupCode:
    with in_brand(town.brand):
        given = GroupCodeInput(**{"name": "门店群", "base_name": "门店群", **over})
        code = codes.create_code(town.brand, given=given, by=SYSTEM)
    return fresh(code)


def fresh(code: GroupCode) -> GroupCode:
    with in_brand(code.brand_id):
        return GroupCode.objects.get(pk=code.pk)


def test_made_with_its_picture_and_who_comes_by_it(town: Town) -> None:
    one, two = two_groups(town)
    code = make(town, group_ids=[two, one])
    assert (code.sync_state, code.sync_error, code.due_at) == (Sync.OK, "", None)
    assert code.config_id and code.file_id
    answer = town.post("group_join", config_id=code.config_id, external_userid=external(8))
    with in_brand(town.brand):
        assert answer["chat_id"] == GroupChat.objects.get(pk=two).chat_id  # the first of its order
    town.deliver()
    with in_brand(town.brand):
        assert codes.joined_by([code]) == {code.pk: 1}
        assert codes.invitation(town.brand, {"group_code_id": code.pk, "text": "来群里"}) == (
            "来群里", [{"type": "image", "file_id": code.file_id}],
        )  # fmt: skip
        codes.edit_code(town.brand, code_id=code.pk, given=GroupCodeInput("换群", [one]), by=SYSTEM)
    changed = fresh(code)
    assert (changed.sync_state, changed.config_id, changed.file_id) == (Sync.OK, code.config_id, code.file_id)
    answer = town.post("group_join", config_id=code.config_id, external_userid=external(9))
    with in_brand(town.brand):
        assert answer["chat_id"] == GroupChat.objects.get(pk=one).chat_id  # the picture is the same
        codes.delete_code(town.brand, code_id=code.pk, by=SYSTEM)
        with pytest.raises(NotFoundError):
            codes.get_code(code.pk)
        assert codes.invitation(town.brand, {"group_code_id": code.pk}) is None
        actions = AuditEntry.objects.filter(action__startswith="group_code").order_by("pk")
        assert [a.action for a in actions] == ["group_code.create", "group_code.edit", "group_code.delete"]
    gone = fresh(code)
    assert (gone.config_id, gone.due_at) == ("", None)


def test_refused_and_asked_again(town: Town) -> None:
    one, _two = two_groups(town)
    town.sandbox.post(
        "faults", kind="errcode", api="externalcontact/groupchat/add_join_way", errcode=90500, times=1
    )
    code = make(town, group_ids=[one])
    assert code.sync_state == Sync.FAILED and "90500" in code.sync_error and code.due_at is None
    with in_brand(town.brand):
        assert codes.invitation(town.brand, {"group_code_id": code.pk}) is None  # no picture yet
        codes.retry(town.brand, code_id=code.pk, by=SYSTEM)
        with pytest.raises(ConflictError):
            codes.retry(town.brand, code_id=code.pk, by=SYSTEM)
    assert fresh(code).sync_state == Sync.OK


def test_deleted_in_wecom_and_made_anew(town: Town) -> None:
    """An edit finds that WeCom does not know the code any more; 'try again' makes another picture."""
    one, two = two_groups(town)
    code = make(town, group_ids=[one])
    with tenant_scope(town.brand):
        join_ways.delete_join_way(client_for(town.corp), code.config_id)
    with in_brand(town.brand):
        given = GroupCodeInput(code.name, group_ids=[one, two])
        codes.edit_code(town.brand, code_id=code.pk, given=given, by=SYSTEM)
    lost = fresh(code)
    assert lost.sync_state == Sync.FAILED and lost.sync_error in codes.GONE
    with in_brand(town.brand):
        codes.retry(town.brand, code_id=code.pk, by=SYSTEM)
    again = fresh(code)
    assert (again.sync_state, again.sync_error) == (Sync.OK, "")
    assert again.config_id not in ("", code.config_id) and again.file_id
    assert len(way_of(town, again)["chat_id_list"]) == 2


def way_of(town: Town, code: GroupCode) -> Any:
    with tenant_scope(town.brand):
        return join_ways.join_way(client_for(town.corp), code.config_id)


@pytest.mark.parametrize("is_noted", [True, False])
def test_groups_that_wecom_made_stay_behind_an_edited_code(town: Town, is_noted: bool) -> None:
    one, two = two_groups(town)
    code = make(town, group_ids=[one, two])
    town.sandbox.post("settings", group_full_at=4)
    grown = [
        town.post("group_join", config_id=code.config_id, external_userid=external(n)) for n in (6, 7, 8)
    ]
    town.deliver()
    with in_brand(town.brand):
        chats = {chat.chat_id: chat for chat in GroupChat.objects.all()}
        own = [GroupChat.objects.get(pk=pk).chat_id for pk in (one, two)]
        first = grown[2]["chat_id"]
        assert first not in own and chats[first].name == "门店群1"
        if not is_noted:  # a code of the time before it was noted what WeCom has been told
            GroupCode.objects.update(sent_chat_ids=[])
        codes.edit_code(
            town.brand, code_id=code.pk, given=GroupCodeInput("换名", [one], True, "门店群"), by=SYSTEM
        )
    way = way_of(town, code)
    assert (way["chat_id_list"], way["room_base_id"]) == ([own[0], first], 2)
    town.sandbox.post("settings", group_full_at=2)
    second = town.post("group_join", config_id=code.config_id, external_userid=external(9))["chat_id"]
    town.deliver()
    assert town.chat(second).name == "门店群2"
    with in_brand(town.brand):
        ids = [one, chats[first].pk]  # the person takes one of WeCom's groups up
        codes.edit_code(
            town.brand, code_id=code.pk, given=GroupCodeInput("再换", ids, True, "门店群"), by=SYSTEM
        )
    way = way_of(town, code)
    assert (way["chat_id_list"], way["room_base_id"]) == ([own[0], first, second], 3)


def test_a_process_that_dies_after_the_call_makes_nothing_wecoms_own(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = two_groups(town)
    code = make(town, group_ids=[one])
    given = GroupCodeInput(code.name, [one, two], True)
    with monkeypatch.context() as dying:
        dying.setattr(code_push, "_record", lambda *_args: None)
        with in_brand(town.brand):
            codes.edit_code(town.brand, code_id=code.pk, given=given, by=SYSTEM)
    assert len(way_of(town, code)["chat_id_list"]) == 2
    with tenant_scope(town.brand), clock.at(clock.now() + timedelta(minutes=5)):
        assert code_push.push_due(town.brand) == 1
    assert fresh(code).grown_chat_ids == []
    with in_brand(town.brand):
        only = GroupCodeInput(code.name, [one], True)
        codes.edit_code(town.brand, code_id=code.pk, given=only, by=SYSTEM)
        kept = GroupChat.objects.get(pk=one).chat_id
    assert way_of(town, code)["chat_id_list"] == [kept]


def test_a_deleted_code_that_wecom_refuses_to_delete_is_tried_again(town: Town) -> None:
    one, _two = two_groups(town)
    code = make(town, group_ids=[one])
    fault = {"kind": "errcode", "api": "externalcontact/groupchat/del_join_way", "errcode": 48002}
    town.sandbox.post("faults", **fault, times=1)
    with in_brand(town.brand):
        codes.delete_code(town.brand, code_id=code.pk, by=SYSTEM)
    left = fresh(code)
    assert left.config_id and left.due_at and left.sync_error == "48002"
    with tenant_scope(town.brand), clock.at(clock.now() + timedelta(hours=2)):
        assert code_push.push_due(town.brand) == 1
    gone = fresh(code)
    assert (gone.config_id, gone.due_at, gone.sync_error) == ("", None, "")


def test_what_is_wrong_is_said_in_the_language_of_whoever_reads(town: Town, sign_in: Any) -> None:
    one, _two = two_groups(town)
    town.sandbox.post(
        "faults", kind="errcode", api="externalcontact/groupchat/add_join_way", errcode=48002, times=1
    )
    code = make(town, group_ids=[one])
    assert code.sync_error == "48002"
    for language in ("zh-hans", "en"):
        with override(language):
            words = escape(code_push.problem_of(code.sync_error))
        client = sign_in(town.brand, "operator")
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
        assert words in client.get("/groups/codes/").content.decode()
    for problem in (code_push.LOST, code_push.NO_ANSWER, code_push.DISSOLVED):
        assert code_push.problem_of(problem) != problem


def test_the_list_asks_while_something_is_made_and_hides_groups_of_others(town: Town, sign_in: Any) -> None:
    one, two = two_groups(town)
    code = make(town, group_ids=[one, two])
    with in_brand(town.brand):
        GroupChat.objects.filter(pk=two).update(owner=town.b)
    operator = sign_in(town.brand, "operator")
    own = sign_in(town.brand, user=make_user(town.brand, "guide", staff=town.a))
    page = operator.get("/groups/codes/").content.decode()
    assert "一群" in page and "二群" in page and "every 4s" not in page
    page = own.get("/groups/codes/").content.decode()
    assert "一群" in page and "二群" not in page
    with in_brand(town.brand):
        guide = role(town.brand, "guide")
        guide.rights = [*guide.rights, "codes.edit"]
        guide.save()
    modal = own.get(f"/groups/codes/{code.pk}/").content.decode()
    assert "一群" in modal and "二群" not in modal and f'value="{two}"' in modal
    with in_brand(town.brand):
        GroupCode.objects.filter(pk=code.pk).update(sync_state=Sync.WAITING)
    hx = {"HX-Request": "true"}
    rows = operator.get("/groups/codes/?q=门店", headers=hx).content.decode()
    assert "every 4s" in rows and 'hx-include="form.filters"' in rows
    assert "every 4s" not in operator.get("/groups/codes/?q=没有", headers=hx).content.decode()
    assert operator.get("/groups/codes/?q=%00门店").status_code == 200


def test_two_who_change_different_things_at_once_lose_nothing(town: Town) -> None:
    one, two = two_groups(town)
    code = make(town, group_ids=[one])
    api = client_of(town.brand, "codes.edit", "groups.view")
    done: list[Any] = []

    def regroup() -> None:
        url = f"/api/v1/group-codes/{code.pk}/"
        done.append(api.patch(url, {"group_ids": [two]}, content_type="application/json"))

    with in_brand(town.brand):
        given = GroupCodeInput("新名字", [one], True, code.base_name)
        codes.edit_code(town.brand, code_id=code.pk, given=given, by=SYSTEM)
        thread = meanwhile(regroup)
    thread.join()
    assert done[0].status_code == 200
    assert (fresh(code).name, fresh(code).group_ids) == ("新名字", [two])


def test_a_broken_picture_is_fetched_again(town: Town, monkeypatch: Any) -> None:
    whole = BytesIO()
    Image.effect_noise((60, 60), 90).save(whole, "PNG")
    one, _two = two_groups(town)
    with monkeypatch.context() as cut:
        cut.setattr(code_push.pictures, "fetch", lambda *_args, **_given: whole.getvalue()[:-900])
        code = make(town, group_ids=[one])
    assert (code.sync_state, code.sync_error) == (Sync.WAITING, code_push.NO_ANSWER)
    assert code.config_id and code.due_at and not code.file_id
    with tenant_scope(town.brand), clock.at(clock.now() + timedelta(hours=1)):
        assert code_push.push_due(town.brand) == 1
    assert (
        fresh(code).sync_state == Sync.OK and fresh(code).file_id and fresh(code).config_id == code.config_id
    )


def test_the_way_is_known_when_its_picture_is_late(town: Town) -> None:
    """What was made once is not made again, whatever happens afterwards."""
    one, _two = two_groups(town)
    town.sandbox.post("faults", kind="http500", api="externalcontact/groupchat/get_join_way", times=9)
    code = make(town, group_ids=[one])
    assert code.sync_state == Sync.WAITING and code.config_id and code.due_at and not code.file_id
    town.sandbox.post("faults/clear")
    with in_brand(town.brand):
        assert code_push.due(town.brand) == []
    with tenant_scope(town.brand), clock.at(clock.now() + timedelta(hours=1)):
        assert code_push.push_due(town.brand) == 1
        assert code_push.push_due(town.brand) == 0
    done = fresh(code)
    assert (done.sync_state, done.config_id) == (Sync.OK, code.config_id) and done.file_id


def test_a_code_that_another_process_is_at(town: Town) -> None:
    one, _two = two_groups(town)
    code = make(town, group_ids=[one])
    with in_brand(town.brand):
        GroupCode.objects.filter(pk=code.pk).update(claimed_at=clock.now(), due_at=clock.now())
    with tenant_scope(town.brand):
        code_push.push(town.brand, code.pk)
    assert fresh(code).due_at is not None  # left to whoever has it
    with tenant_scope(town.brand), clock.at(clock.now() + timedelta(minutes=5)):
        code_push.push(town.brand, code.pk)
    assert fresh(code).due_at is None


def test_what_cannot_be_ordered(brand: Any, other_brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(other_brand):
        theirs = make_corp(other_brand)
        foreign = make_chat(theirs, make_staff(other_brand, theirs))
    with in_brand(brand):
        chats = [make_chat(corp, staff, f"{n}群", n=1) for n in range(6)]
        another = make_corp(brand)
        elsewhere = make_chat(another, make_staff(brand, another), "别的企业", n=1)
        gone = make_chat(corp, staff, "没了", n=1, dismissed_at=clock.now())
        for name, ids in (
            ("", [chats[0].pk]), ("群", []), ("群", [c.pk for c in chats]), ("群", [foreign.pk]), ("群", [gone.pk]),
            ("群", [chats[0].pk, elsewhere.pk]),
        ):  # fmt: skip
            with pytest.raises(InvalidError):
                codes.create_code(brand, given=GroupCodeInput(name, ids), by=SYSTEM)
        assert not GroupCode.objects.exists()


def test_pages_roles_and_brands(town: Town, other_brand: Any, sign_in: Any) -> None:
    operator = sign_in(town.brand, "operator")
    assert "/sync/" in operator.get("/groups/codes/").content.decode()  # no groups yet
    one, two = two_groups(town)
    assert "/groups/codes/new/" in operator.get("/groups/codes/").content.decode()
    assert "一群" in operator.get("/groups/codes/new/").content.decode()
    given = {"name": "门店群", "is_growing": "on", "base_name": "门店群", "groups": [one, two]}
    for bad in ({"name": ""}, {"groups": []}, {"groups": [10**9]}, {"base_name": "长" * 41}):
        assert operator.post("/groups/codes/new/", {**given, **bad}).status_code == 422, bad
    assert operator.post("/groups/codes/new/", given).status_code == 302
    with in_brand(town.brand):
        code = GroupCode.objects.get()
    page = operator.get("/groups/codes/").content.decode()
    assert "门店群" in page and "一群" in page and f"/groups/codes/{code.pk}/picture/" in page
    assert operator.get(f"/groups/codes/{code.pk}/picture/?keep=1")["Content-Type"] == "image/png"
    assert operator.post(f"/groups/codes/{code.pk}/", {**given, "name": "换名"}).status_code == 302
    assert operator.post("/groups/codes/new/", {**given, "name": "换名"}).status_code == 422  # taken
    assert operator.post(f"/groups/codes/{code.pk}/retry/").status_code == 409
    counts = []
    with in_brand(town.brand):
        for n in (1, 18):
            for i in range(n):
                GroupCode.objects.create(
                    corp=town.corp, name=f"{n}-{i}", state=f"x{n}-{i}", group_ids=[one, two]
                )
            with CaptureQueriesContext(connection) as seen:
                operator.get("/groups/codes/")
            counts.append(len(seen))
    assert counts[0] == counts[1]
    stranger, guide = sign_in(other_brand, "operator"), sign_in(town.brand, "guide")
    for path in (f"/groups/codes/{code.pk}/", f"/groups/codes/{code.pk}/picture/"):
        assert stranger.get(path).status_code == 404
    assert stranger.post(f"/groups/codes/{code.pk}/delete/").status_code == 404
    assert guide.get("/groups/codes/").status_code == 200  # looks only
    assert (
        guide.get("/groups/codes/new/").status_code
        == guide.post(f"/groups/codes/{code.pk}/delete/").status_code
        == 403
    )
    assert operator.post(f"/groups/codes/{code.pk}/delete/").status_code == 302
    assert "换名" not in operator.get("/groups/codes/").content.decode()


def test_api(town: Town, other_brand: Any) -> None:
    one, two = two_groups(town)
    api = client_of(town.brand, "groups.view", "codes.edit")
    json = {"content_type": "application/json"}
    made = api.post("/api/v1/group-codes/", {"name": "门店群", "group_ids": [one]}, **json)
    assert made.status_code == 201
    path = f"/api/v1/group-codes/{made.json()['id']}/"
    row = api.get(path).json()
    assert (row["sync_state"], row["has_picture"], row["n_joined"]) == ("ok", True, 0)
    assert api.patch(path, {"group_ids": [two, one]}, **json).json()["group_ids"] == [two, one]
    assert api.post("/api/v1/group-codes/", {"name": "x", "group_ids": [10**9]}, **json).status_code == 422
    assert [r["name"] for r in api.get("/api/v1/group-codes/").json()["results"]] == ["门店群"]
    assert client_of(other_brand, "groups.view", "codes.edit").get(path).status_code == 404
    assert client_of(town.brand, "groups.view").delete(path).status_code == 403
    assert api.delete(path).status_code == 204 and api.get(path).status_code == 404
