"""The page of calls: who sees it, filters, pages, words."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scrm import clock
from scrm.redis import redis_client
from tests.factories import in_brand, make_corp
from wecom import call_log as edge
from wecom.tasks import flush_calls

pytestmark = pytest.mark.django_db(transaction=True)
READ, WRITE = "externalcontact/get", "externalcontact/add_msg_template"
HX = {"HX-Request": "true"}


def log(
    brand: Any, corp: Any, *, at: datetime | None = None, api: str = READ, n: int = 1, **over: Any
) -> None:
    moment = (at or clock.now()).timestamp()
    given = {"errcode": 0, "note": "", "hint": "", "ms": 30, "waited_ms": 0, "attempt": 1, **over}
    for i in range(n):
        line = edge.Line(corp_id=corp.pk, api=api, at=moment - i, **given)
        redis_client().rpush(edge.key(brand.pk), json.dumps(line))


def apis(client: Any, **query: Any) -> list[str]:
    response = client.get("/setup/calls/", query)
    assert response.status_code == 200
    return [call.api for call in response.context["page"]]


def test_filters_and_walls(brand: Any, other_brand: Any, corp: Any, sign_in: Any) -> None:
    now = clock.now()
    log(brand, corp)
    log(brand, corp, api=WRITE, errcode=48002, hint="98765", at=now - timedelta(minutes=5))
    log(brand, corp, api="old/one", errcode=None, note="HTTP 502", at=now - timedelta(days=3))
    log(other_brand, corp, api="others/api")
    flush_calls()
    admin = sign_in(brand)
    assert apis(admin) == [READ, WRITE]
    assert apis(admin, failed="1") == [WRITE]
    assert apis(admin, api=READ) == [READ]
    assert apis(admin, hours="168") == [READ, WRITE, "old/one"]
    assert apis(admin, corp=str(corp.pk)) == [READ, WRITE]
    assert apis(admin, hours="x", corp="9" * 30, api="no/such") == []
    assert apis(sign_in(other_brand)) == ["others/api"]
    assert apis(sign_in(brand, "operator")) == [READ, WRITE]
    assert sign_in(brand, "guide").get("/setup/calls/").status_code == 403

    page = admin.get("/setup/calls/", {"hours": "168"}).content.decode()
    for words in ("48002", "98765", "HTTP 502", "calls-by-hour"):
        assert words in page
    assert "<html" not in admin.get("/setup/calls/", {"failed": "1"}, headers=HX).content.decode()


def test_what_to_mend_stands_on_top(brand: Any, corp: Any, sign_in: Any) -> None:
    for errcode in (60020, 84061, 45009, 60020):
        log(brand, corp, errcode=errcode)
    flush_calls()
    context = sign_in(brand).get("/setup/calls/").context
    assert [one.kind for one in context["to_mend"]] == ["admin"]
    assert (context["n"], context["n_failed"]) == (4, 4)


def test_pages_and_query_count(brand: Any, corp: Any, sign_in: Any) -> None:
    admin = sign_in(brand)
    with in_brand(brand):
        make_corp(brand)
    log(brand, corp, n=2)
    flush_calls()

    def n_queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            admin.get("/setup/calls/")
        return len(queries)

    n_queries()
    few = n_queries()
    log(brand, corp, n=118)
    flush_calls()
    assert n_queries() == few
    seen, after = [], ""
    while True:
        response = admin.get("/setup/calls/", {"after": after} if after else {}, headers=HX)
        seen += [call.pk for call in response.context["page"]]
        after = response.context["page"].next
        if not after:
            break
    assert len(seen) == len(set(seen)) == 120


def test_an_empty_log(brand: Any, sign_in: Any) -> None:
    assert apis(sign_in(brand)) == []
