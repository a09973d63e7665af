"""Imports and exports by API key."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from contacts.models import Contact
from datafiles.models import ExportFile
from org.access import RIGHTS, Actor
from org.models import Job
from org.services import keys
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


def client_of(brand: Any, rights: list[str]) -> Client:
    with in_brand(brand):
        by = Actor("x", 1, None, frozenset(RIGHTS))
        whole = keys.create_key(brand, by=by, name="shop", rights=rights)[1]
    return Client(headers={"Authorization": f"Bearer {whole}"})


def send(api: Client, text: str, **data: Any) -> Any:
    file = SimpleUploadedFile("m.csv", text.encode())
    return api.post("/api/v1/imports/", {"kind": "members", "file": file, **data})


def test_import(brand: Any) -> None:
    api = client_of(brand, ["imports.run"])
    made = send(api, "会员号,手机\nM1,13800138001\nM2,1\n")
    assert made.status_code == 201
    url = f"/api/v1/imports/{made.json()['id']}/"
    state = api.get(url).json()
    assert (state["state"], state["counts"]["new"], state["counts"]["refused"]) == ("checked", 1, 1)
    assert "不是手机号" in b"".join(api.get(f"{url}refused/").streaming_content).decode()
    assert api.post(f"{url}start/").status_code == 202
    assert api.get(url).json()["state"] == "done"
    assert api.post(f"{url}start/").status_code == 409
    with in_brand(brand):
        assert Contact.objects.count() == 1
    assert api.post(f"{url}cancel/").status_code == 409  # it is done
    assert api.post(f"{url}undo/").status_code == 202
    taken = api.get(url).json()
    assert (taken["state"], taken["job"], taken["n_done"], taken["n_total"]) == ("undone", "done", 1, 1)
    assert api.post(f"{url}undo/").status_code == 409
    with in_brand(brand):
        assert Contact.objects.count() == 0
    kept = send(api, "会员号\nM9\n", start="no").json()
    assert kept["job"] == "" and api.post(f"/api/v1/imports/{kept['id']}/cancel/").status_code == 409
    mapped = send(api, "a,b\nM5,x\n", mapping=json.dumps({"member_no": {"column": 0}}), start="import").json()
    assert api.get(f"/api/v1/imports/{mapped['id']}/").json()["counts"]["new"] == 1
    for bad in ({"mapping": "["}, {"mapping": json.dumps({"x": {"column": 0}})}, {"kind": "people"}):
        assert send(api, "a\nb\n", **bad).status_code in (400, 422)


def test_export(brand: Any, other_brand: Any) -> None:
    api = client_of(brand, ["imports.run", "exports.run", "contacts.view"])
    send(api, "会员号,手机\nM1,13800138001\n", start="import")
    made = api.post(
        "/api/v1/exports/",
        {"kind": "contacts", "filter": {"state": "member"}},
        content_type="application/json",
    )
    assert made.status_code == 201
    url = f"/api/v1/exports/{made.json()['id']}/"
    assert (api.get(url).json()["is_ready"], api.get(url).json()["rows"]) == (True, 1)
    assert "138****8001" in b"".join(api.get(f"{url}file/").streaming_content).decode()
    other = client_of(other_brand, ["exports.run", "contacts.view"])
    assert other.get(url).status_code == other.get(f"{url}file/").status_code == 404
    weak = client_of(brand, ["exports.run"])
    assert (
        weak.post("/api/v1/exports/", {"kind": "contacts"}, content_type="application/json").status_code
        == 403
    )
    assert weak.get(url).status_code == 404
    assert client_of(brand, ["contacts.view"]).post("/api/v1/imports/").status_code == 403


def test_a_filter_that_is_not_known_means_nobody(brand: Any) -> None:
    api = client_of(brand, ["exports.run", "contacts.view", "orders.view"])

    def ask(kind: str, given: Any) -> Any:
        body = {"kind": kind, "filter": given}
        return api.post("/api/v1/exports/", body, content_type="application/json")

    for kind, wrong in (
        ("contacts", "stat"), ("products", "state"), ("orders", "placed"), ("tags", "tags"),
    ):  # fmt: skip
        answer = ask(kind, {wrong: "1"})
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, [f"filter.{wrong}"]), (
            kind
        )
    for bad in ({"tag": {"a": 1}}, {"tag": [None]}, {"tag": 1.5}, {"tag": "x"}, {"state": "gone"}):
        assert ask("contacts", bad).status_code == 422, bad
    with in_brand(brand):
        assert not ExportFile.objects.exists() and not Job.objects.exists()
    for good in ({"tag": 12}, {"tag": "12"}, {"tag": [12, "13"], "all": True}, {"tag": []}):
        assert ask("contacts", good).status_code == 201, good
    with in_brand(brand):
        kept = [row.params.get("tag", []) for row in ExportFile.objects.order_by("pk")]
    assert kept == [[12], [12], [12, 13], []]


def test_lists_of_files(brand: Any, other_brand: Any) -> None:
    api = client_of(brand, ["imports.run", "exports.run", "contacts.view"])
    ids = [
        send(api, f"会员号\nM{n}\n", start=how).json()["id"]
        for n, how in enumerate(("check", "no", "import"))
    ]
    first = api.get("/api/v1/imports/", {"limit": 2}).json()
    rest = api.get("/api/v1/imports/", {"limit": 2, "after": first["next"]}).json()
    rows = first["results"] + rest["results"]
    assert [row["id"] for row in rows] == ids[::-1] and rest["next"] == ""
    assert [row["job"] for row in rows] == ["done", "", "done"]
    made = api.post("/api/v1/exports/", {"kind": "contacts"}, content_type="application/json").json()
    [row] = api.get("/api/v1/exports/").json()["results"]
    assert row["id"] == made["id"] and row["is_ready"]
    with in_brand(brand):
        ExportFile.objects.update(ended_at=None)
    waits = api.get(f"/api/v1/exports/{made['id']}/file/")
    assert (waits.status_code, waits.json()["error"]["code"]) == (409, "not_ready")
    stranger = client_of(other_brand, ["imports.run", "exports.run", "contacts.view"])
    assert stranger.get("/api/v1/imports/").json()["results"] == []
    assert stranger.get("/api/v1/exports/").json()["results"] == []
    assert stranger.get(f"/api/v1/exports/{made['id']}/file/").status_code == 404
    assert client_of(brand, ["exports.run"]).get("/api/v1/exports/").json()["results"] == []  # no such list
