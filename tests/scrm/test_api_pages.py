"""Every list of the API that has pages takes `after` and `limit`, and cuts where it is told."""

from typing import Any

import pytest

from campaigns.models import Sop
from org.access import RIGHTS
from tests.contacts.test_api import client_of
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_list_with_pages_takes_the_same_two_parameters(brand: Any) -> None:
    client = client_of(brand, *RIGHTS)
    described = client.get("/api/v1/schema/", headers={"accept": "application/json"}).json()["paths"]
    seen = 0
    for path, acts in described.items():
        names = {p["name"]: p for p in acts.get("get", {}).get("parameters", [])}
        if not {"after", "limit"} & set(names):
            continue
        assert {"after", "limit"} <= set(names), path
        assert "at most" in names["limit"]["description"]
        seen += 1
        if "{" in path or path == "/api/v1/behaviour/":
            continue
        assert client.get(path, {"limit": 1}).status_code == 200, path
        for wrong in ("0", "1001", "x", "-1"):
            assert client.get(path, {"limit": wrong}).status_code == 422, (path, wrong)
    assert seen > 25


def test_pages_are_cut_where_they_are_told_to(brand: Any) -> None:
    with in_brand(brand):
        made = [Sop.objects.create(name=f"S{n}").pk for n in range(5)]
    client, after, found = client_of(brand, "sops.view"), "", []
    for size in (2, 2, 1):
        page = client.get("/api/v1/sops/", {"limit": 2, "after": after}).json()
        assert len(page["results"]) == size
        found += [row["id"] for row in page["results"]]
        after = page["next"]
    assert (found, after) == (made[::-1], "")
