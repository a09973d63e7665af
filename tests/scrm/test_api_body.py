"""A key that an address of the API does not know is refused by its name: what was misspelled is never silently left out."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.plumbing import force_instance
from rest_framework import serializers

from campaigns.broadcast_shapes import BroadcastIn
from commerce.api import OrderIn
from livecodes.api_shapes import CodeIn
from org.access import RIGHTS
from scrm.api_body import Body
from scrm.api_urls import urlpatterns
from tests.contacts.test_api import client_of
from tests.scrm.test_urls import addresses

WRITES = ("post", "put", "patch")
NO = ["这里没有这个键"]


def bodies() -> Iterator[tuple[str, str, Any]]:
    """(address, method, what it declares as its body)."""
    for pattern in urlpatterns:
        for method, action in getattr(pattern.callback, "actions", {}).items():
            if method in WRITES:
                view = pattern.callback.cls()
                view.action, view.request, view.kwargs = action, None, {}
                schema = getattr(view, action).kwargs["schema"]()
                schema.view, schema.method = view, method.upper()
                yield str(pattern.pattern), method, schema.get_request_serializer()


def parts_of(shape: serializers.BaseSerializer) -> Iterator[serializers.BaseSerializer]:
    yield shape
    for field in shape.fields.values():
        inner = getattr(field, "child", field)
        if isinstance(inner, serializers.BaseSerializer):
            yield from parts_of(inner)


def test_every_part_of_every_body_looks_at_its_keys() -> None:
    seen = 0
    for path, method, shape in bodies():
        if shape is None:
            continue
        for part in parts_of(force_instance(shape)):
            assert isinstance(part, Body), (path, method, type(part))
            seen += 1
    assert seen > 60


@pytest.mark.django_db(transaction=True)
def test_no_address_takes_a_key_that_it_does_not_know(brand: Any) -> None:
    client, asked = client_of(brand, *RIGHTS), 0
    for address in addresses():
        if address.access != "api":
            continue
        for method in set(getattr(address.view, "actions", {})) & set(WRITES):
            answer = getattr(client, method)(address.path, {"naem": 1}, content_type="application/json")
            assert answer.status_code == 400, (method, address.path, answer.status_code, answer.content)
            error = answer.json()["error"]
            assert error["code"] == "invalid" and list(error["fields"]) == ["naem"], address.path
            asked += 1
    assert asked > 70


@pytest.mark.django_db(transaction=True)
def test_an_act_that_takes_nothing_takes_no_form_either(brand: Any) -> None:
    client = client_of(brand, *RIGHTS)
    assert client.post("/api/v1/sops/1/pause/").status_code == 404  # an empty form is none
    answer = client.post("/api/v1/sops/1/pause/", {"until": "tomorrow"})
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["until"])
    broken = client.generic("POST", "/api/v1/tags/", b"x", content_type="multipart/form-data")  # no boundary
    assert broken.status_code == 400 and broken.json()["error"]["code"]


@pytest.mark.parametrize(
    ("shape", "given", "wrong"),
    [
        (
            BroadcastIn,
            {"name": "x", "audience": {}, "contents": [{"text": "a"}, {"text": "b", "wieght": 2}]},
            {"contents": {1: {"wieght": NO}}},
        ),
        (
            BroadcastIn,
            {"name": "x", "audience": {}, "contents": [], "test": {"golas": 1}},
            {"test": {"golas": NO}},
        ),
        (OrderIn, {"order_no": "1", "amount_fen": 1, "lines": [{"qantity": 2}]}, {"lines": {0: {"qantity": NO}}}),
        (
            CodeIn,
            {"name": "x", "guides": [{"staff_id": 1, "limit": 3}], "hours": [], "wellcomes": []},
            {"guides": {0: {"limit": NO}}, "wellcomes": NO},
        ),
    ],
)  # fmt: skip
def test_keys_inside_are_named_where_they_stand(shape: Any, given: Any, wrong: Any) -> None:
    checked = shape(data=given)
    assert not checked.is_valid()
    assert told(checked.errors) == wrong


def told(errors: Any) -> Any:
    """Errors without the keys that they say there are; each says some, in order."""
    if isinstance(errors, dict):
        return {key: told(inner) for key, inner in errors.items()}
    found = []
    for words, there_are, names in (str(text).partition("；可用：") for text in errors):
        assert there_are and names.split(", ") == sorted(set(names.split(", "))), errors
        found.append(words)
    return found


def test_a_change_takes_what_lies_inside_as_a_whole() -> None:
    found = CodeIn(data={"guides": [{"staff_id": 3}], "hours": []}, partial=True)
    assert found.is_valid() and found.validated_data["guides"][0]["weight"] == 1  # its defaults
    assert "name" not in found.validated_data
    broken = CodeIn(data={"guides": [{}]}, partial=True)
    assert not broken.is_valid() and list(broken.errors["guides"][0]) == ["staff_id"]
    assert broken.partial  # the next reading is one of a change again


@pytest.mark.django_db(transaction=True)
def test_a_row_of_a_batch_is_refused_for_itself(brand: Any) -> None:
    good = {"sku": "A", "name": "甲", "price_fen": 100}
    rows = {"rows": [good, {**good, "sku": "B", "pricefen": 1}, 7]}
    answer = client_of(brand, *RIGHTS).post("/api/v1/products/", rows, content_type="application/json").json()
    assert (answer["accepted"], answer["refused"]) == (1, 2)
    assert list(answer["results"][1]["fields"]) == ["pricefen"]


@pytest.mark.django_db
def test_the_description_says_so(client: Client) -> None:
    schemas = client.get("/api/v1/schema/", headers={"accept": "application/json"}).json()["components"]["schemas"]  # fmt: skip
    for name in ("BroadcastIn", "ContentIn", "PatchedCodeIn", "CodeGuideShape", "OrderBatch", "BuyerIn", "ImportIn"):  # fmt: skip
        assert schemas[name]["additionalProperties"] is False, name
    assert "additionalProperties" not in schemas["ContactOut"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("language", "words"),
    [("zh-CN,zh;q=0.9", "不是有效的 JSON"), ("en", "This is not JSON"), ("", "不是有效的 JSON")],
)
@pytest.mark.parametrize("body", ['{"rows": [', '{"rows": NaN}', b"\xff", "[" * 100_000, '{"a": "\\ud83d"}'])
def test_broken_json_is_answered_in_the_caller_s_language(
    brand: Any, language: str, words: str, body: Any
) -> None:
    client = client_of(brand, *RIGHTS)
    asked = {"accept-language": language} if language else {}
    answer = client.post("/api/v1/products/", body, content_type="application/json", headers=asked)
    message = answer.json()["error"]["message"]
    assert answer.status_code == 400 and message.startswith(words)
    assert language == "en" or not set("abcdefghijklmnopqrstuvwxyz") & set(
        message.replace("JSON", "").replace("UTF-8", "").replace("NaN", "")
    )


@pytest.mark.django_db(transaction=True)
def test_what_the_framework_refuses_is_said_in_chinese(brand: Any) -> None:
    client = client_of(brand, *RIGHTS)
    for answer in (
        client.put("/api/v1/products/", {}, content_type="application/json"),
        client.post("/api/v1/products/", "a=1", content_type="text/plain"),
        client.get("/api/v1/nowhere/"),
        Client().get("/api/v1/products/"),
    ):
        assert any("\u4e00" <= c <= "\u9fff" for c in answer.json()["error"]["message"]), answer.content
