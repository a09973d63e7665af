"""Pages of segments: list, builder, live count, one segment, why."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contacts.models import Contact
from contacts.services.search import refresh_grams
from tagging.models import Segment
from tagging.services.segments import segments
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_tag

NOW = datetime(2026, 10, 1, tzinfo=UTC)
NAMED = {"all": [{"kind": "named"}]}


@pytest.fixture
def world(brand: Any, corp: Any, staff: Any) -> dict[str, Any]:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(6)]
        refresh_grams(brand, [contact.pk for contact in people])
        tag = make_tag(brand, "宝妈")
        add_tags(brand, contacts=people[:4], tags=[tag.pk], source="page")
        from org.access import SYSTEM

        condition = {
            "all": [{"kind": "tags", "mode": "any", "ids": [tag.pk]}, {"not": {"kind": "do_not_contact"}}]
        }
        segment = segments.create_segment(brand, by=SYSTEM, name="宝妈们", condition=condition)
    return {"brand": brand, "people": people, "tag": tag, "segment": segment, "condition": condition}


def test_live_count_says_how_many_and_what_is_wrong(world: dict[str, Any], sign_in: Any) -> None:
    client = sign_in(world["brand"], "operator")
    found = client.post("/segments/count/", {"condition": json.dumps(world["condition"])}).json()
    assert found["n"] == 4 and len(found["sample"]) == 4 and "宝妈" in found["sentence"]
    bad = {"all": [{"kind": "named"}, {"not": {"kind": "tags", "mode": "any"}}]}
    problems = client.post("/segments/count/", {"condition": json.dumps(bad)}).json()["problems"]
    assert [p["path"] for p in problems] == ["1.0"]
    assert client.post("/segments/count/", {"condition": "{"}).status_code == 422


def test_from_a_template_to_a_segment(world: dict[str, Any], sign_in: Any) -> None:
    client = sign_in(world["brand"], "operator")
    assert "cart" in client.get("/segments/new/?template=cart_not_bought").content.decode()
    answer = client.post("/segments/new/", {"name": "有名字", "note": "", "condition": json.dumps(NAMED)})
    assert answer.status_code == 302
    url = answer["Location"]
    assert client.get(url).status_code == client.get(f"{url}edit/").status_code == 200
    changed = {"name": "有名字的", "note": "x", "condition": json.dumps({"all": [{"kind": "everybody"}]})}
    assert client.post(f"{url}edit/", changed).status_code == 302
    for bad in ({"name": ""}, {"condition": "{"}, {"condition": json.dumps({"all": []})}, {"name": "宝妈们"}):
        assert (
            client.post(
                "/segments/new/", {"name": "y", "note": "", "condition": json.dumps(NAMED), **bad}
            ).status_code
            == 422
        )
    for act in ("count", "freeze"):
        assert client.post(f"{url}{act}/").status_code == 302
    assert "6" in client.get(url).content.decode()
    with in_brand(world["brand"]):
        assert Segment.objects.filter(kind="frozen").count() == 1
        frozen = Segment.objects.get(kind="frozen")
    page = client.get(
        f"/segments/{frozen.pk}/"
    ).content.decode()  # a list that stands: nothing to freeze or to count
    assert f"/segments/{frozen.pk}/freeze/" not in page and f"/segments/{frozen.pk}/count/" not in page
    assert client.post(f"{url}delete/").status_code == 302
    assert client.get(url).status_code == 404


def test_why_somebody_is_in_or_out(world: dict[str, Any], sign_in: Any) -> None:
    client, url = sign_in(world["brand"], "operator"), f"/segments/{world['segment'].pk}/why/"
    inside, outside = world["people"][0], world["people"][5]
    for contact, first in ((inside.name, "holds"), (str(outside.pk), "fails")):
        found = client.get(url, {"contact": contact}).content.decode()
        assert found.split('<li class="')[1].startswith(first)
    assert client.get(url, {"contact": "没有这个人"}).status_code == 200


def test_choices_and_the_other_brand(world: dict[str, Any], other_brand: Any, sign_in: Any) -> None:
    client, stranger = sign_in(world["brand"], "operator"), sign_in(other_brand)
    assert client.get("/segments/choices/?source=tags&q=宝").json()["results"][0][0] == world["tag"].pk
    assert stranger.get("/segments/choices/?source=tags&q=宝").json()["results"] == []
    assert client.get("/segments/choices/?source=secrets").status_code == 404
    from commerce.services.orders import record_orders

    row = {
        "order_no": "1", "state": 2, "placed_at": NOW, "amount_fen": 100, "channel": "小程序",
        "buyer_kind": "phone", "buyer_value": "13800000000",
    }  # fmt: skip
    with in_brand(world["brand"]):
        record_orders(world["brand"], [row], source="pos")
    for source, typed, expected in (
        ("order_channels", "", ["小程序"]), ("order_channels", "天猫", ["天猫"]), ("order_channels", "程序", ["程序", "小程序"]),
        ("order_sources", "", ["pos"]), ("words", "退款", ["退款"]), ("words", "", []), ("broadcasts", "", []),
    ):  # fmt: skip
        found = client.get("/segments/choices/", {"source": source, "q": typed}).json()["results"]
        assert [name for _id, name in found] == expected, source
    assert stranger.get("/segments/choices/?source=order_channels").json()["results"] == []
    assert stranger.get(f"/segments/{world['segment'].pk}/").status_code == 404
    assert sign_in(world["brand"], "guide").get("/segments/").status_code == 403
    with in_brand(world["brand"]):
        assert Contact.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_a_tag_for_everybody_of_a_segment_and_back(
    world: dict[str, Any], other_brand: Any, sign_in: Any
) -> None:
    from tagging.models import ContactTag, TagAct

    brand, url = world["brand"], f"/segments/{world['segment'].pk}/tag/"
    with in_brand(brand):
        gold = make_tag(brand, "金卡")
    client = sign_in(brand)
    assert client.post(url, {"tag": "x", "way": "add"}).status_code == 422
    assert client.post(url, {"tag": gold.pk, "way": "add", "days": "0x"}).status_code == 422
    assert sign_in(other_brand).post(url, {"tag": gold.pk, "way": "add"}).status_code == 404
    assert client.post(url, {"tag": gold.pk, "way": "add", "days": "30"}).status_code == 302
    with in_brand(brand):
        assert ContactTag.objects.filter(tag=gold).count() == 4
        act = TagAct.objects.get(kind="segment")
    assert client.post(f"/tags/history/{act.pk}/undo/").status_code in (204, 302)
    with in_brand(brand):
        assert ContactTag.objects.filter(tag=gold).count() == 0


def test_everything_wrong_is_told_at_its_place(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    given = {"name": "有名字", "note": "备注", "condition": json.dumps(NAMED)}
    assert client.post("/segments/new/", given).status_code == 302
    for bad, places in (
        ({"name": " ", "condition": '{"all": []}'}, {"name", "condition"}),
        ({"name": "x", "condition": '{"all": []}'}, {"condition"}),
        ({}, {"name"}),  # taken
        ({"name": "x", "note": "长" * 201}, {"note"}),
    ):
        page = client.post("/segments/new/", {**given, **bad})
        assert page.status_code == 422 and page.context["errors"].keys() == places, bad
        assert page.context["note"] == {**given, **bad}["note"]
        for words in page.context["errors"].values():
            assert str(words) in page.content.decode()


def test_found_by_name_phone_or_number_and_chosen(
    world: dict[str, Any], other_brand: Any, sign_in: Any
) -> None:
    """Whoever asks why need not know the exact name; of several who are found one is chosen."""
    from contacts.models import Identity

    brand, url = world["brand"], f"/segments/{world['segment'].pk}/why/"
    with in_brand(brand):
        people = world["people"]
        for contact, name in zip(people, ("陈一", "陈一", "陈二", "陈三", "林四", "林五"), strict=True):
            contact.name = name
            contact.save(update_fields=["name"])
        refresh_grams(brand, [c.pk for c in people])
        Identity.objects.create(contact=people[5], kind="phone", scope="", value="13800138005")
    client = sign_in(brand, "operator")

    def asked(**query: Any) -> str:
        answer = client.get(url, query)
        assert answer.status_code == 200
        return answer.content.decode()

    assert asked(contact="13800138005").split('<li class="')[1].startswith("fails")
    assert asked(contact="林四").split('<li class="')[1].startswith("fails")  # one of that name exactly
    several = asked(contact="陈")
    assert several.count("hx-get") == 4 and several.count('class="holds"') == 4
    assert asked(contact="陈一").count("hx-get") == 2  # two of one name: nobody is taken at random
    assert "why-tree" in asked(id=people[1].pk)
    assert (
        "why-tree" not in asked(id="x")
        and "why-tree" not in asked()
        and "why-tree" not in asked(contact="\x00")
    )
    with in_brand(other_brand):
        stranger = make_contact(other_brand, None, name="陈一")
    assert "why-tree" not in asked(id=stranger.pk)


def test_all_people_page_by_page_and_what_sets_them_apart(
    world: dict[str, Any], other_brand: Any, sign_in: Any, monkeypatch: Any
) -> None:
    from tagging.views import segment_parts
    from tagging.views import segments as views

    monkeypatch.setattr(views, "PEOPLE", 2)
    monkeypatch.setattr(segment_parts, "PEOPLE", 1)
    client, url = sign_in(world["brand"], "operator"), f"/segments/{world['segment'].pk}/"
    page, seen = client.get(url).content.decode(), []
    assert "profile-tags" in page and f'hx-get="{url}profile/"' in page
    for _round in range(4):
        seen += [int(part.split('/"')[0]) for part in page.split('<a href="/contacts/')[1:]]
        if "people/?after=" not in page:
            break
        page = client.get(
            f"{url}people/?after={page.split('people/?after=')[1].split(chr(34))[0]}"
        ).content.decode()
    assert seen == [c.pk for c in world["people"][3::-1]]
    assert client.get(f"{url}people/?after=x").status_code == 422
    profile = client.get(f"{url}profile/").content.decode()
    assert "profile-spending" in profile and "profile-value_groups" in profile and "profile-stages" in profile
    for part in ("people/?after=5", "profile/", "why/"):
        assert sign_in(other_brand).get(f"{url}{part}").status_code == 404
        assert sign_in(world["brand"], "guide").get(f"{url}{part}").status_code == 403


def test_two_segments_put_together(world: dict[str, Any], other_brand: Any, sign_in: Any) -> None:
    from org.access import SYSTEM

    brand, first = world["brand"], world["segment"]
    with in_brand(brand):
        people = [c.pk for c in world["people"][3:]]
        second = segments.create_list(brand, by=SYSTEM, name="名单甲", contact_ids=people)
    with in_brand(other_brand):
        foreign = segments.create_list(other_brand, by=SYSTEM, name="别人的", contact_ids=[])
    client = sign_in(brand, "operator")
    page = client.get(f"/segments/{first.pk}/").content.decode()
    assert "名单甲" in page and "别人的" not in page
    found = {}
    for operation in segments.OPERATIONS:
        answer = client.get("/segments/new/", {"operation": operation, "segment": [first.pk, second.pk]})
        condition = answer.context["condition"]
        assert "宝妈们" in answer.context["name"] and "名单甲" in answer.context["name"]
        found[operation] = client.post("/segments/count/", {"condition": condition}).json()["n"]
    assert found == {"union": 6, "intersection": 1, "difference": 3}
    for bad in (["x", first.pk], [first.pk], [first.pk, foreign.pk], []):
        assert client.get("/segments/new/", {"operation": "union", "segment": bad}).status_code in (404, 422)
    assert (
        client.get("/segments/new/", {"operation": "or", "segment": [first.pk, second.pk]}).status_code == 404
    )
    listed = client.get("/segments/", {"q": "甲"}).content.decode()
    assert f"/segments/{second.pk}/" in listed and f"/segments/{first.pk}/" not in listed
    assert client.get("/segments/", {"q": "没有的"}).status_code == 200
