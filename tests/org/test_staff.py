"""Staff, roles, stores: every act with and without the right, in and over the limits of one's own rights."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from org.access import PRESETS, RIGHTS, Actor
from org.models import AuditEntry, Region, Role, Staff, Store
from org.services import people, roles
from scrm.errors import ConflictError, ForbiddenError
from tenants.models import Brand, User, UserBrand
from tests.factories import in_brand, make_staff, make_user, role

pytestmark = pytest.mark.django_db(transaction=True)


def staff_of(brand: Brand, user: User) -> Staff:
    with in_brand(brand):
        return Staff.objects.select_related("role").get(user_id=user.pk)


def actor_of(brand: Brand, user: User) -> Actor:
    staff = staff_of(brand, user)
    assert staff.role is not None
    return Actor(staff.name, user.pk, staff, frozenset(staff.role.rights))


def audit_of(brand: Brand, action: str) -> list[AuditEntry]:
    with in_brand(brand):
        return list(AuditEntry.objects.filter(action=action))


@pytest.fixture
def member(brand: Brand, corp: Any) -> Staff:
    with in_brand(brand):
        return make_staff(brand, corp, name="王芳", userid="wangfang")


def form_of(staff: Staff, **over: Any) -> dict[str, Any]:
    given = {
        "name": staff.name, "role": staff.role_id, "store": staff.store_id, "region": staff.region_id,
        "state": staff.state,
    }  # fmt: skip
    return {k: v for k, v in (given | over).items() if v is not None}


# ---- the list


def test_list_search_and_filters(brand: Brand, other_brand: Brand, corp: Any, sign_in: Any) -> None:
    with in_brand(brand):
        store = Store.objects.create(name="店一")
        make_staff(brand, corp, name="王小芳", userid="xf", store=store, role=role(brand, "guide"))
        make_staff(brand, corp, name="李四", userid="lisi", state="left")
    with in_brand(other_brand):
        make_staff(other_brand, name="王隔壁")
    admin = sign_in(brand)

    def names(**query: Any) -> str:
        return admin.get("/staff/", query, headers={"HX-Request": "true"}).content.decode()

    assert "王小芳" in names() and "李四" in names() and "王隔壁" not in names()
    assert "王小芳" in names(q="小芳") and "李四" not in names(q="小芳")
    assert "李四" in names(q="LIS") and "王小芳" not in names(q="LIS")
    assert "王小芳" in names(store=store.pk) and "李四" not in names(store=store.pk)
    assert "李四" in names(state="left") and "王小芳" not in names(state="left")
    with in_brand(brand):
        guide = role(brand, "guide").pk
    assert "王小芳" in names(role=guide) and "李四" not in names(role=guide)
    assert "李四" in names(role="none") and "王小芳" not in names(role="none")
    assert "王小芳" in names(login="no") and admin.user.username not in names(login="no")
    for odd in ({"role": "x"}, {"store": "9" * 30}, {"state": "?"}, {"login": "?"}):
        assert admin.get("/staff/", odd).status_code == 200
    assert admin.get("/staff/", {"after": "rubbish"}).status_code == 422


def test_list_pages_and_query_count(brand: Brand, corp: Any, sign_in: Any) -> None:
    admin = sign_in(brand)

    def n_queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert admin.get("/staff/").status_code == 200
        return len(queries)

    with in_brand(brand):
        make_staff(brand, corp)
    few = n_queries()
    with in_brand(brand):
        for _ in range(20):
            make_staff(brand, corp, role=role(brand, "guide"), store=Store.objects.create(name=f"店{_}"))
    assert n_queries() == few
    with in_brand(brand):
        for _ in range(60):
            make_staff(brand, corp)
    seen: list[str] = []
    after = ""
    while True:
        page = admin.get("/staff/", {"after": after}, headers={"HX-Request": "true"}).context["page"]
        seen += [staff.pk for staff in page]
        if not (after := page.next):
            break
    assert len(seen) == len(set(seen)) == 82


@pytest.mark.parametrize("scope, visible", [("brand", 4), ("region", 3), ("store", 2), ("own", 1)])
def test_list_keeps_to_the_data_scope(brand: Brand, sign_in: Any, scope: str, visible: int) -> None:
    with in_brand(brand):
        region = Region.objects.create(name="区")
        one, two = (
            Store.objects.create(name="店一", region=region),
            Store.objects.create(name="店二", region=region),
        )
        mine = Role.objects.create(name="看", rights=["staff.view"], scope=scope)
        make_staff(brand, store=one)
        in_region = make_staff(brand, store=two)
        away = make_staff(brand)
    client = sign_in(brand, "guide")
    with in_brand(brand):
        Staff.objects.filter(user_id=client.user.pk).update(role=mine, store=one, region=region)
    assert len(client.get("/staff/").context["page"]) == visible
    assert client.get(f"/staff/{in_region.pk}/").status_code == (200 if scope in ("brand", "region") else 404)
    assert client.get(f"/staff/{away.pk}/").status_code == (200 if scope == "brand" else 404)


# ---- one person


def test_edit_a_person(brand: Brand, other_brand: Brand, member: Staff, sign_in: Any) -> None:
    with in_brand(brand):
        store = Store.objects.create(name="店一")
    with in_brand(other_brand):
        foreign_store, foreign_role = Store.objects.create(name="隔壁"), role(other_brand, "guide")
    admin = sign_in(brand)
    with in_brand(brand):
        guide = role(brand, "guide")
    url = f"/staff/{member.pk}/"
    assert admin.post(url, form_of(member, store=foreign_store.pk)).status_code == 422
    assert admin.post(url, form_of(member, role=foreign_role.pk)).status_code == 422
    assert admin.post(url, form_of(member, state="left")).status_code == 422
    assert audit_of(brand, "staff.edit") == []
    assert admin.post(url, form_of(member, store=store.pk, role=guide.pk, name="改名")).status_code == 302
    with in_brand(brand):
        member.refresh_from_db()
    assert (member.store_id, member.role_id, member.name) == (
        store.pk,
        guide.pk,
        "王芳",
    )  # WeCom owns the name
    [entry] = audit_of(brand, "staff.edit")
    assert entry.before == {"store": None, "role": None} and entry.after == {
        "store": "店一",
        "role": guide.name,
    }
    admin.post(url, form_of(member))
    assert len(audit_of(brand, "staff.edit")) == 1  # nothing changed, nothing written


def test_without_the_right_nothing_changes(
    brand: Brand, other_brand: Brand, member: Staff, sign_in: Any
) -> None:
    operator, guide, stranger = sign_in(brand, "operator"), sign_in(brand, "guide"), sign_in(other_brand)
    with in_brand(brand):
        other_role = role(brand, "guide").pk
    assert operator.get(f"/staff/{member.pk}/").status_code == 200
    assert guide.get(f"/staff/{member.pk}/").status_code == 403
    assert stranger.get(f"/staff/{member.pk}/").status_code == 404
    for path, given in [
        (f"/staff/{member.pk}/", form_of(member, role=other_role)),
        (f"/staff/{member.pk}/login/", {"username": "x", "password": "pass-12345", "role": other_role}),
        (f"/staff/{member.pk}/remove-login/", {}),
        (f"/staff/{member.pk}/password/", {}),
        (f"/staff/{member.pk}/unlock/", {}),
        ("/staff/new/", {"name": "x", "username": "x", "password": "pass-12345", "role": other_role}),
        ("/staff/roles/new/", {"name": "x", "scope": "own", "rights": []}),
        (f"/staff/roles/{other_role}/", {"name": "x", "scope": "own", "rights": []}),
        (f"/staff/roles/{other_role}/delete/", {}),
        ("/staff/stores/new/", {"name": "x"}),
        ("/staff/regions/new/", {"name": "x"}),
    ]:
        assert operator.post(path, given).status_code in (403, 404), path
        assert guide.post(path, given).status_code == 403, path
        assert stranger.post(path, given).status_code in (302, 404, 422), path
    with in_brand(brand):
        member.refresh_from_db()
        assert member.role_id is None and member.user_id is None
        assert Store.objects.count() == Region.objects.count() == 0
        assert Role.objects.count() == len(PRESETS)


def test_nobody_changes_their_own_role_or_state(brand: Brand, sign_in: Any) -> None:
    admin = sign_in(brand)
    make_user(brand)  # a second administrator, so that this is not about the last one
    me = staff_of(brand, admin.user)
    with in_brand(brand):
        guide = role(brand, "guide").pk
    assert admin.post(f"/staff/{me.pk}/", form_of(me, role=guide)).status_code == 422
    assert admin.post(f"/staff/{me.pk}/", form_of(me, state="disabled")).status_code == 422
    assert admin.post(f"/staff/{me.pk}/remove-login/").status_code == 403
    assert admin.post(f"/staff/{me.pk}/", form_of(me, name="新名字")).status_code == 302
    assert staff_of(brand, admin.user).name == "新名字"


def test_nobody_gives_more_than_they_have(brand: Brand, member: Staff, sign_in: Any) -> None:
    with in_brand(brand):
        weak = Role.objects.create(name="人事", rights=["staff.view", "staff.edit"], scope="brand")
        strong, guide = role(brand, "admin"), role(brand, "guide")
        wide = Role.objects.create(name="宽", rights=["staff.view"], scope="brand")
        narrow = Role.objects.create(name="窄", rights=["staff.view", "staff.edit"], scope="store")
        store = Store.objects.create(name="店")
        member.store = store
        member.save()
    boss = sign_in(brand)
    clerk = sign_in(brand, "guide")
    with in_brand(brand):
        Staff.objects.filter(user_id=clerk.user.pk).update(role=weak)
    assert clerk.post(f"/staff/{member.pk}/", form_of(member, role=strong.pk)).status_code == 422
    assert clerk.post(f"/staff/{member.pk}/", form_of(member, role=guide.pk)).status_code == 422
    assert clerk.post(f"/staff/{member.pk}/", form_of(member, role=wide.pk)).status_code == 302
    given = {"username": "x", "password": "pass-12345", "role": strong.pk}
    assert clerk.post(f"/staff/{member.pk}/login/", given).status_code == 422
    assert clerk.post("/staff/new/", given | {"name": "x"}).status_code == 422
    assert (
        clerk.post(
            "/staff/roles/new/", {"name": "大", "scope": "brand", "rights": ["brand.edit"]}
        ).status_code
        == 422
    )
    # and not over somebody who is stronger
    chief = staff_of(brand, boss.user)
    assert clerk.post(f"/staff/{chief.pk}/", form_of(chief, role=wide.pk)).status_code == 422
    assert clerk.post(f"/staff/{chief.pk}/", form_of(chief, state="disabled")).status_code == 422
    assert clerk.post(f"/staff/{chief.pk}/password/").status_code == 403
    assert clerk.post(f"/staff/{chief.pk}/remove-login/").status_code == 403
    # a narrow scope gives no wide one
    with in_brand(brand):
        Staff.objects.filter(user_id=clerk.user.pk).update(role=narrow, store=store)
        Staff.objects.filter(pk=member.pk).update(role=None)
    assert clerk.post(f"/staff/{member.pk}/", form_of(member, role=wide.pk)).status_code == 422
    assert User.objects.filter(username="x").count() == 0


def test_somebody_who_can_edit_staff_remains(brand: Brand, sign_in: Any) -> None:
    first, second = make_user(brand), make_user(brand)
    one, two = staff_of(brand, first), staff_of(brand, second)
    by_first, by_second = actor_of(brand, first), actor_of(brand, second)
    with in_brand(brand):
        guide, admin_role = role(brand, "guide"), role(brand, "admin")
        rest = [r for r in RIGHTS if r != "staff.edit"]
        with pytest.raises(ConflictError):
            roles.edit_role(
                brand, by=by_first, role=admin_role, name="品牌管理员", rights=rest, scope="brand"
            )
        edit = {"name": two.name, "store": None, "region": None}
        people.edit_staff(brand, by=by_first, staff=two, role=guide, state="active", **edit)
        with pytest.raises(ConflictError):  # the page of the second one was still open
            people.edit_staff(
                brand,
                by=by_second,
                staff=one,
                role=guide,
                state="active",
                name=one.name,
                store=None,
                region=None,
            )
        with pytest.raises(ConflictError):
            people.remove_login(brand, by=by_second, staff=one)
        User.objects.filter(pk=second.pk).update(is_active=False)
        with pytest.raises(ConflictError):
            people.edit_staff(
                brand,
                by=by_second,
                staff=one,
                role=admin_role,
                state="disabled",
                name=one.name,
                store=None,
                region=None,
            )


# ---- log-ins


def test_two_forms_of_a_page_share_no_id(brand: Brand, member: Staff, sign_in: Any) -> None:
    page = sign_in(brand).get(f"/staff/{member.pk}/").content.decode()
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert "login_role" in ids and len(ids) == len(set(ids))


def test_give_and_take_a_log_in(brand: Brand, member: Staff, sign_in: Any, client: Any) -> None:
    admin = sign_in(brand)
    with in_brand(brand):
        guide = role(brand, "guide")
    url = f"/staff/{member.pk}/login/"
    assert admin.post(url, {"username": "wf", "password": "123", "role": guide.pk}).status_code == 422
    assert admin.post(url, {"username": "wf", "password": "", "role": guide.pk}).status_code == 422
    assert (
        admin.post(url, {"username": " WF ", "password": "pass-12345", "role": guide.pk}).status_code == 302
    )
    assert client.post("/login/", {"username": "wf", "password": "pass-12345"})["Location"] == "/"
    assert client.get("/").status_code == 200
    assert (
        admin.post(url, {"username": "wf", "password": "", "role": guide.pk}).status_code == 422
    )  # already in
    assert admin.post(f"/staff/{member.pk}/remove-login/").status_code == 302
    assert client.get("/")["Location"] == "/switch/"
    with in_brand(brand):
        member.refresh_from_db()
        assert (member.user_id, member.role_id) == (None, None)  # or WeCom would open the door again
    assert [e.action for e in _actions(brand)][-2:] == ["staff.add_login", "staff.remove_login"]
    assert all("pass-12345" not in str(e.after) for e in _actions(brand))


def _actions(brand: Brand) -> list[AuditEntry]:
    with in_brand(brand):
        return list(AuditEntry.objects.order_by("pk"))


def test_an_existing_user_joins_with_the_old_password(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    user, admin = make_user(other_brand, username="shared"), sign_in(brand)
    with in_brand(brand):
        guide = role(brand, "guide").pk
    given = {"name": "新同事", "username": "shared", "password": "stolen-12345", "role": guide}
    assert admin.post("/staff/new/", given).status_code == 302
    user.refresh_from_db()
    assert user.check_password("pass-12345") and not user.check_password("stolen-12345")
    assert UserBrand.objects.filter(user=user).count() == 2
    # and this brand's administrator has no power over that log-in
    pk = staff_of(brand, user).pk
    assert admin.post(f"/staff/{pk}/password/").status_code == 403
    assert admin.post(f"/staff/{pk}/unlock/").status_code == 403
    assert user.check_password("pass-12345")


def test_new_password_is_shown_once_and_ends_sessions(brand: Brand, sign_in: Any, client: Any) -> None:
    admin, guide = sign_in(brand), sign_in(brand, "guide")
    pk = staff_of(brand, guide.user).pk
    page = admin.post(f"/staff/{pk}/password/")
    password = page.context["new_password"]
    assert password in page.content.decode() and "no-store" in page["Cache-Control"]
    assert password not in admin.get(f"/staff/{pk}/").content.decode()
    assert guide.get("/").status_code == 302
    assert client.post("/login/", {"username": guide.user.username, "password": password}).status_code == 302
    assert password not in str([(e.before, e.after) for e in _actions(brand)])


def test_quota_of_log_ins(brand: Brand, member: Staff, sign_in: Any) -> None:
    admin = sign_in(brand)
    Brand.objects.filter(pk=brand.pk).update(staff_quota=1)
    with in_brand(brand):
        guide = role(brand, "guide").pk
    given = {"username": "wf", "password": "pass-12345", "role": guide}
    assert admin.post(f"/staff/{member.pk}/login/", given).status_code == 422
    assert not User.objects.filter(username="wf").exists()


# ---- roles, stores, regions


def test_roles_by_page(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    admin = sign_in(brand)
    given = {"name": "客服", "scope": "store", "rights": ["contacts.view", "tags.edit"]}
    assert admin.post("/staff/roles/new/", given).status_code == 302
    assert admin.post("/staff/roles/new/", given).status_code == 422  # the name is taken
    assert admin.post("/staff/roles/new/", given | {"name": "x", "rights": ["root"]}).status_code == 422
    assert admin.post("/staff/roles/new/", given | {"name": "x", "scope": "world"}).status_code == 422
    with in_brand(brand):
        made = Role.objects.get(name="客服")
    assert made.rights == ["contacts.view", "tags.edit"]
    url = f"/staff/roles/{made.pk}/"
    assert admin.post(url, given | {"rights": ["contacts.view"], "scope": "own"}).status_code == 302
    [entry] = audit_of(brand, "role.edit")
    assert entry.before["rights"] == ["contacts.view", "tags.edit"] and entry.after["rights"] == [
        "contacts.view"
    ]
    stranger = sign_in(other_brand)
    assert stranger.get(url).status_code == stranger.post(url, given).status_code == 404
    assert stranger.post(url + "delete/").status_code == 404
    person = make_user(brand, "guide")
    with in_brand(brand):
        Staff.objects.filter(user_id=person.pk).update(role=made)
    assert admin.post(url + "delete/").status_code == 409
    with in_brand(brand):
        Staff.objects.filter(user_id=person.pk).update(role=role(brand, "guide"))
        preset = role(brand, "manager")
    assert admin.post(url + "delete/").status_code == 302
    assert admin.post(f"/staff/roles/{preset.pk}/delete/").status_code == 409


def test_a_right_taken_away_works_at_once(brand: Brand, sign_in: Any) -> None:
    admin, operator = sign_in(brand), sign_in(brand, "operator")
    assert operator.get("/staff/").status_code == 200
    with in_brand(brand):
        theirs = role(brand, "operator")
    rights = [r for r in theirs.rights if r != "staff.view"]
    given = {"name": theirs.name, "scope": theirs.scope, "rights": rights}
    assert admin.post(f"/staff/roles/{theirs.pk}/", given).status_code == 302
    assert operator.get("/staff/").status_code == 403


def test_groups_of_the_page_hold_every_right_once() -> None:
    assert sorted(right for _name, rights in roles.GROUPS for right in rights) == sorted(RIGHTS)


def test_stores_and_regions(brand: Brand, other_brand: Brand, corp: Any, sign_in: Any) -> None:
    admin, stranger = sign_in(brand), sign_in(other_brand)
    hx = {"HX-Request": "true"}
    assert admin.post("/staff/regions/new/", {"name": "华东"}, headers=hx)["HX-Redirect"] == "/staff/places/"
    with in_brand(brand):
        region = Region.objects.get()
    assert (
        admin.post("/staff/stores/new/", {"name": "店一", "code": "S1", "region": region.pk}).status_code
        == 302
    )
    assert admin.post("/staff/stores/new/", {"name": "店一"}).status_code == 422
    assert stranger.post("/staff/stores/new/", {"name": "店一", "region": region.pk}).status_code == 422
    with in_brand(brand):
        store = Store.objects.get()
    assert store.region_id == region.pk
    assert admin.post(f"/staff/stores/{store.pk}/", {"name": "旗舰店"}).status_code == 302
    [entry] = audit_of(brand, "store.edit")
    assert entry.after == {"name": "旗舰店", "code": "", "region": None}
    for path in (f"/staff/stores/{store.pk}/", f"/staff/regions/{region.pk}/"):
        assert stranger.get(path).status_code == stranger.post(path, {"name": "x"}).status_code == 404
        assert stranger.post(path + "delete/").status_code == 404
    with in_brand(brand):
        person = make_staff(brand, store=store)
    assert admin.post(f"/staff/stores/{store.pk}/delete/").status_code == 409
    with in_brand(brand):
        Staff.objects.filter(pk=person.pk).update(store=None)
    assert admin.post(f"/staff/stores/{store.pk}/delete/").status_code == 302
    assert admin.post(f"/staff/regions/{region.pk}/delete/").status_code == 302
    with in_brand(brand):
        assert Store.objects.count() == Region.objects.count() == 0


@pytest.mark.parametrize("key", ["operator", "manager", "guide"])
def test_who_sees_the_pages(brand: Brand, sign_in: Any, key: str) -> None:
    client = sign_in(brand, key)
    rights = PRESETS[key][1]
    for path, right in [
        ("/staff/", "staff.view"), ("/staff/roles/", "staff.view"), ("/staff/places/", "staff.view"),
        ("/audit/", "audit.view"), ("/settings/", "brand.edit"), ("/settings/keys/", "keys.edit"),
        ("/", "overview.view"),
    ]:  # fmt: skip
        assert client.get(path).status_code == (200 if right in rights else 403), path


def test_check_may_give_needs_a_person(brand: Brand) -> None:
    """An API key has no data scope, so it gives nothing beyond 'own'."""
    with pytest.raises(ForbiddenError):
        people.check_may_give(Actor("api: x", rights=frozenset(RIGHTS)), rights=["staff.view"], scope="brand")


def test_a_new_version_gives_preset_roles_their_new_rights(
    brand: Any, other_brand: Any, monkeypatch: Any
) -> None:
    """What nobody has seen yet is added; what a person took away stays away; own roles are left alone."""
    from org import access
    from org.models import AuditEntry
    from org.services import roles

    with in_brand(brand):
        operator = role(brand, "operator")
        keep = [right for right in operator.rights if right != "exports.run"]
        Role.objects.filter(pk=operator.pk).update(rights=keep)  # a person took it away
        own = Role.objects.create(name="自建", rights=["overview.view"], rights_known=[])
        assert roles.add_new_rights(brand) == 0
    name, rights, scope = access.PRESETS["operator"]
    monkeypatch.setitem(access.RIGHTS, "moon.view", "Moon")
    monkeypatch.setitem(access.PRESETS, "operator", (name, [*rights, "moon.view"], scope))
    with in_brand(brand):
        assert roles.add_new_rights(brand) == 1
        operator.refresh_from_db()
        own.refresh_from_db()
        assert sorted(operator.rights) == sorted([*keep, "moon.view"]) and own.rights == ["overview.view"]
        assert AuditEntry.objects.filter(action="role.edit", object_id=operator.pk).count() == 1
        assert roles.add_new_rights(brand) == 0
        Role.objects.filter(pk=operator.pk).update(rights=keep)
        assert roles.add_new_rights(brand) == 0
    with in_brand(other_brand):
        assert "moon.view" not in role(other_brand, "operator").rights
