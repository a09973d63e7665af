"""The description of the API against its answers: who generates a client from it can read what comes."""

import re
from typing import Any

import pytest
from django.test import Client

from org.access import RIGHTS, Actor
from org.services import keys
from scrm.api_urls import urlpatterns
from tagging.models import Segment, WaitingTag
from tests.contacts.test_api import client_of
from tests.factories import in_brand
from tests.scrm.described import Described
from tests.scrm.test_urls import FOREIGN, fill_all_tables

ASKS_MORE = {"/api/v1/behaviour/", "/api/v1/calendar/"}  # without parameters there is no answer


@pytest.mark.django_db(transaction=True)
def test_lists_answer_with_what_is_described(brand: Any, corp: Any) -> None:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        secret = keys.create_key(brand, name="all", rights=list(RIGHTS), by=by)[1]
    client = Client(headers={"authorization": f"Bearer {secret}"})
    described = client.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    asked, wrong = 0, []
    for path, acts in described["paths"].items():
        if "get" not in acts or "{" in path:
            continue
        response = client.get(path)
        if response.status_code != 200:
            assert response.status_code == 404 or path in ASKS_MORE, (path, response.content)
            continue
        asked += 1
        shown, told = shape_of(response.json()), shape_of_schema(acts["get"]["responses"]["200"], described)
        if shown != told and told != []:  # an object of any shape
            wrong.append((path, shown, told))
    assert asked > 40 and wrong == []


@pytest.mark.django_db(transaction=True)
def test_one_row_of_everything_answers_with_what_is_described(brand: Any) -> None:
    """Types, null, missing and further keys, of every list and of every single thing."""
    with in_brand(brand):
        fill_all_tables()
        Segment.objects.update(condition={"kind": "everybody"})  # as services would have made them
        WaitingTag.objects.update(kind="phone")
    client = client_of(brand, *RIGHTS)
    client.raise_request_exception = False
    described = Described(client.get("/api/v1/schema/", headers={"accept": "application/json"}).json())
    asked, wrong = 0, []
    for path, acts in described.paths.items():
        response = client.get(re.sub(r"\{\w+\}", str(FOREIGN), path)) if "get" in acts else None
        if response is None or response.status_code != 200 or response["Content-Type"] != "application/json":
            continue
        asked += 1
        [shape] = acts["get"]["responses"]["200"]["content"].values()
        wrong += [f"{path} {one}" for one in described.misfits(response.json(), shape["schema"])]
    assert asked > 80 and wrong == []


def test_every_address_is_in_the_document(settings: Any) -> None:
    text = (settings.BASE_DIR / "docs" / "api.md").read_text()
    words = {str(pattern.pattern).partition("/")[0] for pattern in urlpatterns}
    assert len(words) > 40 and not [word for word in sorted(words) if f"{word}/" not in text]


def shape_of(answer: Any) -> Any:
    return "array" if isinstance(answer, list) else sorted(answer)


def shape_of_schema(response: dict[str, Any], described: dict[str, Any]) -> Any:
    schema = response["content"]["application/json"]["schema"]
    if schema.get("type") == "array":
        return "array"
    whole = (
        described["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    )
    return sorted(name for name, one in whole.get("properties", {}).items() if not one.get("writeOnly"))
