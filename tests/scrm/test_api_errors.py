"""Errors of the API: one shape, the status that says what is wrong, headers that clients read."""

from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client

from org.access import RIGHTS
from scrm.errors import InvalidError, LimitError
from scrm.responses import error_body, error_response, plain_fields
from tests.contacts.test_api import client_of

JSON = {"content_type": "application/json"}


@pytest.mark.parametrize(
    ("found", "plain"),
    [
        ({"name": "too long"}, {"name": ["too long"]}),
        ({"name": ["too long", "taken"]}, {"name": ["too long", "taken"]}),
        ({"refused": {0: ["no choice"]}}, {"refused.0": ["no choice"]}),
        ({"lines": [{}, {"quantity": ["a number"]}]}, {"lines.1.quantity": ["a number"]}),
        ({"contents": {1: {"weight": "0"}}, "test": {"goal": ["x"]}}, {"contents.1.weight": ["0"], "test.goal": ["x"]}),
        ({"contacts": ""}, {"contacts": ["said of all"]}),
        ({}, {}),
    ],
)  # fmt: skip
def test_fields_have_one_shape(found: Any, plain: Any) -> None:
    assert plain_fields(found, "said of all") == plain
    error = error_body(InvalidError("said of all", fields=found, more=1))["error"]
    assert error == {"code": "invalid", "message": "said of all", "fields": plain, "more": 1}


def test_how_long_to_wait_stands_in_a_header() -> None:
    request = HttpRequest()
    request.path_info = "/api/v1/x/"
    answer = error_response(request, LimitError("wait", retry_after_s=60))
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")


@pytest.mark.django_db(transaction=True)
class TestStatus:
    def test_no_key(self) -> None:
        answer = Client().get("/api/v1/orders/")
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")

    def test_a_right_that_is_missing_is_named(self, brand: Any) -> None:
        error = client_of(brand, "contacts.view").get("/api/v1/orders/").json()["error"]
        assert (error["code"], error["right"]) == ("forbidden", "orders.view")
        assert "orders.view" in error["message"]

    def test_a_method_that_the_address_has_not(self, brand: Any) -> None:
        client = client_of(brand, "orders.view")
        for method in ("delete", "put", "patch", "options"):
            answer = getattr(client, method)("/api/v1/orders/", **JSON)
            assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed"), method
        assert "POST" in client.delete("/api/v1/orders/", **JSON)["Allow"]

    def test_a_body_that_is_too_large(self, brand: Any, settings: Any) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024**2
        body = b'{"rows": [' + b" " * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b"1]}"
        for path in ("orders", "tags", "imports", "segments/count"):
            answer = client_of(brand, *RIGHTS).post(f"/api/v1/{path}/", body, **JSON)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["max_bytes"]) == (
                413,
                "too_large",
                2 * 1024**2,
            ), path

    def test_what_is_sent_to_an_address_without_its_slash_is_not_lost_on_the_way(self, brand: Any) -> None:
        client = client_of(brand, *RIGHTS)
        answer = client.post("/api/v1/orders?x=1", {"rows": [{}]}, **JSON)
        assert answer.status_code == 404 and "/api/v1/orders/" in answer.json()["error"]["message"]
        assert client.patch("/api/v1/contacts/1", {}, **JSON).status_code == 404
        assert client.get("/api/v1/orders?limit=1")["Location"] == "/api/v1/orders/?limit=1"
        assert client.get("/api/v1/nowhere").status_code == 404

    def test_rows_tell_the_same_way(self, brand: Any) -> None:
        rows = [{"order_no": "1", "amount_fen": 1, "lines": [{"quantity": 1}, {"quantity": -1}]}, 5]
        answer = client_of(brand, *RIGHTS).post("/api/v1/orders/", {"rows": rows}, **JSON).json()
        assert [list(row["fields"]) for row in answer["results"]] == [["lines.1.quantity"], ["row"]]
        assert all(isinstance(one, list) for row in answer["results"] for one in row["fields"].values())


@pytest.mark.django_db
def test_every_answer_is_described_with_its_error(client: Client) -> None:
    described = client.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    seen = 0
    for path, acts in described["paths"].items():
        for method, act in acts.items():
            shape = act["responses"]["default"]["content"]["application/json"]["schema"]
            assert shape == {"$ref": "#/components/schemas/ErrorAnswer"}, (path, method)
            seen += 1
    assert seen > 150
