"""The log of calls: what the client writes, how it gets into the database, what is read out of it."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from scrm import clock
from scrm.redis import redis_client
from tests.factories import in_brand
from tests.wecom import local_server
from tests.wecom.local_server import LocalServer, errcode
from wecom import call_log as edge
from wecom import limits
from wecom.api import contacts
from wecom.client import WeComClient
from wecom.errcodes import Kind
from wecom.errors import LostAnswer, WeComError, WeComRateLimited
from wecom.limits import Limits
from wecom.models import ApiCall, ApiCallHour
from wecom.services import call_log
from wecom.tasks import flush_calls, purge_all_calls

SECRET = "very-secret-app-secret-0123456789"
READ, WRITE = "externalcontact/get", "externalcontact/add_msg_template"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def client(server: LocalServer, brand: Any, corp: Any) -> WeComClient:
    return make_client(server, brand, corp)


def make_client(server: LocalServer, brand: Any, corp: Any, **over: Any) -> WeComClient:
    return WeComClient(
        corp.corpid,
        SECRET,
        1,
        brand_id=brand.pk,
        corp_pk=corp.pk,
        api_url=server.url,
        redis_conn=over.pop("redis_conn", None) or redis_client(),
        **over,
    )


def lines(brand: Any) -> list[edge.Line]:
    return [edge.Line(*json.loads(line)) for line in redis_client().lrange(edge.key(brand.pk), 0, -1)]


def read(client: WeComClient, **kwargs: Any) -> Any:
    return client.call("GET", READ, params={"external_userid": "wm1234"}, repeatable=True, **kwargs)


# ---- what the client writes


def test_one_line_per_try(client: WeComClient, server: LocalServer, brand: Any, corp: Any) -> None:
    refused = "invalid, hint: [1234567890], from ip: 1.2.3.4, more info at …"
    server.answer(READ, errcode(-1), local_server.html, errcode(0))
    read(client)
    server.answer(READ, errcode(84061, refused))
    with pytest.raises(WeComError):
        read(client)
    server.answer(WRITE, local_server.status(502))
    with pytest.raises(LostAnswer):
        client.call("POST", WRITE, body={"sender": "张三"})
    assert [(line.api, line.errcode, line.note, line.attempt) for line in lines(brand)] == [
        ("gettoken", 0, "", 1),
        (READ, -1, "", 1),
        (READ, None, "the answer is not a JSON object", 2),
        (READ, 0, "", 3),
        (READ, 84061, "", 1),
        (WRITE, None, "HTTP 502", 1),
    ]
    assert {line.corp_id for line in lines(brand)} == {corp.pk}
    assert lines(brand)[4].hint == "1234567890"


def test_nothing_secret_and_nothing_of_customers(
    client: WeComClient, server: LocalServer, brand: Any
) -> None:
    server.answer(READ, errcode(40096, "invalid external userid wm1234"))
    with pytest.raises(WeComError):
        read(client)
    written = b"".join(redis_client().lrange(edge.key(brand.pk), 0, -1)).decode()
    for secret in (SECRET, server.token, "wm1234", "access_token"):
        assert secret not in written


def test_our_own_limit_and_waiting(server: LocalServer, brand: Any, corp: Any) -> None:
    client = make_client(server, brand, corp, allowed=Limits(per_minute=1))
    read(client)
    with pytest.raises(WeComRateLimited):
        read(client, deadline_s=1.2)
    last = lines(brand)[-1]
    assert (last.api, last.errcode, last.note, last.ms) == (READ, None, "limit", 0)
    waiting = make_client(server, brand, corp)
    for _round in range(4):  # the block may be half over when a busy machine comes to the call
        started = time.monotonic()
        limits.block(redis_client(), waiting.corp_key, WRITE, 1.5)
        waiting.call("POST", WRITE, body={})
        took_ms, waited_ms = (time.monotonic() - started) * 1000, lines(brand)[-1].waited_ms
        assert took_ms >= 1490 and waited_ms <= took_ms
        if waited_ms >= 1250:
            break
    else:
        pytest.fail("the wait is not in the log")


def test_a_corp_that_is_not_stored_yet_has_no_log(server: LocalServer, brand: Any, corp: Any) -> None:
    corp.pk = None
    read(make_client(server, brand, corp))
    assert lines(brand) == []


def test_redis_that_is_gone_after_the_exchange_costs_no_answer(
    server: LocalServer, brand: Any, corp: Any
) -> None:
    """The call was made: its answer must arrive, or it would be made again."""
    connection = Redis.from_url(settings.REDIS_URL)
    client = make_client(server, brand, corp, redis_conn=connection)
    read(client)

    def cut(handler: Any) -> None:
        connection.connection_pool.connection_kwargs["port"] = 1
        connection.connection_pool.reset()
        handler.send({"errcode": 0, "errmsg": "ok", "msgid": "msg1"})

    server.answer(WRITE, cut)
    assert client.call("POST", WRITE, body={})["msgid"] == "msg1"
    connection.close()


def test_the_list_does_not_grow_for_ever(
    client: WeComClient, brand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "KEEP", 3)
    for _ in range(5):
        read(client)
    assert [line.api for line in lines(brand)] == [READ] * 3
    assert 0 < redis_client().ttl(edge.key(brand.pk)) <= edge.KEEP_S


def test_a_call_inside_a_transaction_that_is_rolled_back_is_logged(client: WeComClient, brand: Any) -> None:
    with pytest.raises(KeyError), in_brand(brand):
        read(client)
        raise KeyError
    flush_calls()
    with in_brand(brand):
        assert ApiCall.objects.filter(api=READ).count() == 1


# ---- into the database


def line(brand: Any, *, at: datetime, api: str = READ, corp_id: int = 1, **over: Any) -> None:
    given = {"errcode": 0, "note": "", "hint": "", "ms": 30, "waited_ms": 0, "attempt": 1, **over}
    values = edge.Line(corp_id=corp_id, api=api, at=at.timestamp(), **given)
    redis_client().rpush(edge.key(brand.pk), json.dumps(values))


def test_flush_writes_calls_and_hours_of_each_brand(
    brand: Any, other_brand: Any, django_assert_max_num_queries: Any
) -> None:
    now = clock.now().replace(minute=30)
    for n in range(100):
        line(brand, at=now - timedelta(seconds=n), ms=n, errcode=0 if n % 10 else 84061)
    line(brand, at=now - timedelta(hours=1), errcode=None, note="HTTP 502", ms=2000)
    line(brand, at=now, api="x" * 80, corp_id=2)
    line(other_brand, at=now)
    redis_client().rpush(edge.key(brand.pk), "{}", b"\xff", "[1]")  # of no version we know
    with django_assert_max_num_queries(40):
        assert flush_calls() == 106
    assert flush_calls() == 0
    with in_brand(brand):
        assert ApiCall.objects.count() == 102
        assert ApiCall.objects.filter(is_failed=True).count() == 11
        [early, late, other] = ApiCallHour.objects.order_by("corp_id", "at")
        assert (early.n, early.n_failed, sum(early.buckets)) == (1, 1, 1)
        assert (late.n, late.n_failed, late.at) == (100, 10, now.replace(minute=0, second=0, microsecond=0))
        assert (other.corp_id, other.api) == (2, "x" * 64)
    with in_brand(other_brand):
        assert ApiCall.objects.count() == 1

    line(brand, at=now, ms=25_000, waited_ms=7)  # the hour grows
    flush_calls()
    with in_brand(brand):
        late = ApiCallHour.objects.get(corp_id=1, at=now.replace(minute=0, second=0, microsecond=0))
        assert (late.n, late.waited_ms, late.buckets[-1], sum(late.buckets)) == (101, 7, 1, 101)


def test_a_member_without_customers_is_no_failure(
    client: WeComClient, server: LocalServer, brand: Any
) -> None:
    server.answer("externalcontact/list", errcode(84061), errcode(84061))
    assert [contacts.customers_of(client, "lisi") for _ in range(2)] == [[], []]
    server.answer(READ, errcode(84061))
    with pytest.raises(WeComError):
        read(client)
    flush_calls()
    with in_brand(brand):
        assert [(call.api, call.errcode) for call in ApiCall.objects.filter(is_failed=True)] == [
            (READ, 84061)
        ]
        assert {(hour.api, hour.n_failed) for hour in ApiCallHour.objects.filter(api__startswith="external")} == {
            ("externalcontact/list", 0), (READ, 1),
        }  # fmt: skip


def test_flush_of_many_sets(brand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_log, "AT_ONCE", 10)
    for _ in range(25):
        line(brand, at=clock.now())
    assert flush_calls() == 25
    assert redis_client().keys("calls:*") == []


def test_two_at_once_write_nothing_twice(brand: Any) -> None:
    line(brand, at=clock.now())
    redis_client().set(f"{edge.key(brand.pk)}:lock", "another process", px=60_000)
    assert flush_calls() == 0
    redis_client().delete(f"{edge.key(brand.pk)}:lock")
    assert flush_calls() == 1


def test_lines_stay_when_the_database_fails(brand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    line(brand, at=clock.now())
    monkeypatch.setattr(call_log, "_ADD_HOURS", "SELECT 1 FROM nowhere WHERE %s = 1 AND %s = ''")
    assert flush_calls() == 0
    monkeypatch.undo()
    assert flush_calls() == 1
    with in_brand(brand):
        assert ApiCall.objects.count() == 1


def test_purge(brand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_log, "DELETE_AT_ONCE", 2)
    now = clock.now()
    for days in (0, 13, 15, 16, 17, 18, 19, 500):
        line(brand, at=now - timedelta(days=days))
    flush_calls()
    purge_all_calls()
    with in_brand(brand):
        assert ApiCall.objects.count() == 2
        assert ApiCallHour.objects.count() == 7


# ---- reading


def test_figures(brand: Any, other_brand: Any) -> None:
    now = clock.now()
    for n in range(200):
        line(brand, at=now, ms=40 if n < 190 else 4000, waited_ms=10)
    line(brand, at=now, api=WRITE, errcode=45009)
    line(brand, at=now, api=WRITE, corp_id=2)
    line(brand, at=now - timedelta(days=3), api="old/one")
    line(other_brand, at=now, api="others/api")
    flush_calls()
    with in_brand(brand):
        since = now - timedelta(hours=2)
        first, second = call_log.figures(since=since)
        assert (first.api, first.n, first.n_failed) == (WRITE, 2, 1)
        assert (second.api, second.n, second.waited_ms) == (READ, 200, 10)
        assert 30 < second.p95_ms <= 50
        assert [row.api for row in call_log.figures(since=since, corp_id=2)] == [WRITE]
        assert len(call_log.figures(since=now - timedelta(days=5))) == 3
        assert sum(sum(pair) for pair in call_log.by_hour(since=since).values()) == 202
        found = call_log.calls(since=since, api=WRITE, failed=True, corp_id=1)
        assert [call.errcode for call in found] == [45009]


def test_percentile() -> None:
    empty = [0] * (len(call_log.BOUNDS_MS) + 1)
    assert call_log.percentile(empty, 0.95) == 0
    slow = [*empty[:-1], 4]
    assert call_log.percentile(slow, 0.95) == call_log.BOUNDS_MS[-1]
    one = [*empty]
    one[6] = 10  # 30 to 50 ms
    assert call_log.percentile(one, 0.5) == 40


def test_last_failures_for_the_doctor(brand: Any) -> None:
    now = clock.now()
    for n in range(5):
        line(brand, at=now - timedelta(minutes=n), errcode=48002, hint=f"h{n}")
    line(brand, at=now, errcode=None, note="ReadTimeout")
    line(brand, at=now)
    line(brand, at=now, errcode=60020, corp_id=2)
    line(brand, at=now - timedelta(days=15), api="old/one", errcode=40001)
    flush_calls()
    with in_brand(brand):
        found = call_log.last_failures(corp_id=1)
        assert {(call.errcode, call.note) for call in found} == {(48002, ""), (None, "ReadTimeout")}


@pytest.mark.parametrize(
    ("errcode", "note", "kind"),
    [
        (48002, "", Kind.ADMIN),
        (0, "", Kind.STATE),
        (None, "limit", Kind.LIMIT),
        (None, "HTTP 502", Kind.RETRY),
        (None, "ReadTimeout", Kind.RETRY),
        (None, "NotSent", Kind.RETRY),
    ],
)
def test_words_for_people(errcode: int | None, note: str, kind: Kind) -> None:
    found = call_log.explain(errcode, note)
    assert found.kind is kind
    assert str(found.text)
