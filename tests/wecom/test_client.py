"""The client against a server that behaves badly: nothing is done twice, nothing secret gets out."""

import multiprocessing
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from scrm.redis import redis_client
from tests.wecom import local_server
from tests.wecom.local_server import LocalServer, errcode
from wecom.client import WeComClient
from wecom.errors import (
    LostAnswer,
    WeComError,
    WeComForbidden,
    WeComRateLimited,
    WeComRejected,
    WeComUnavailable,
)
from wecom.exchange import NotSent
from wecom.limits import Limits

SECRET = "very-secret-app-secret-0123456789"
READ, WRITE = "externalcontact/get", "externalcontact/add_msg_template"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> WeComClient:
    return make_client(server.url)


def make_client(url: str, redis: Redis | None = None, **over: Any) -> WeComClient:
    given: dict[str, Any] = {"brand_id": 7, "api_url": url, "redis_conn": redis or redis_client(), **over}
    return WeComClient("ww1", SECRET, 1000002, **given)


def read(client: WeComClient, **kwargs: Any) -> dict[str, Any]:
    return client.call("GET", READ, params={"external_userid": "wm1"}, repeatable=True, **kwargs)


def write(client: WeComClient, **kwargs: Any) -> dict[str, Any]:
    return client.call("POST", WRITE, body={"sender": "张三"}, **kwargs)


# ---- what goes over the wire


def test_token_in_the_query_and_utf8_in_the_body(client: WeComClient, server: LocalServer) -> None:
    params = {"debug": "0"}
    client.call("POST", WRITE, params=params, body={"sender": "张三"})
    [seen] = server.calls(WRITE)
    assert seen.query == {"debug": "0", "access_token": "T1"}
    assert seen.body == '{"sender": "张三"}'.encode()
    assert params == {"debug": "0"}  # the caller's dict is left alone


def test_one_token_for_many_clients(server: LocalServer) -> None:
    for _ in range(3):
        read(make_client(server.url))
    assert len(server.calls("gettoken")) == 1
    assert server.calls("gettoken")[0].query == {"corpid": "ww1", "corpsecret": SECRET}


def test_reads_share_a_connection_and_writes_open_their_own(client: WeComClient, server: LocalServer) -> None:
    for _ in range(3):
        read(client)
    assert len({seen.connection for seen in server.calls(READ)}) == 1
    write(client)
    write(client)
    assert len({seen.connection for seen in server.seen}) == 3


def test_a_new_secret_is_another_token(server: LocalServer) -> None:
    read(make_client(server.url))
    other = make_client(server.url)
    other.secret = "another"
    read(other)
    assert [seen.query["corpsecret"] for seen in server.calls("gettoken")] == [SECRET, "another"]


# ---- tokens


def test_one_refresh_then_go_on(client: WeComClient, server: LocalServer) -> None:
    for number in (40014, 42001):
        read(client)
        server.answer(READ, errcode(number), errcode(0))
        before = len(server.calls("gettoken"))
        assert read(client)["errcode"] == 0
        assert len(server.calls("gettoken")) == before + 1


def test_one_refresh_then_stop(client: WeComClient, server: LocalServer) -> None:
    server.answer(READ, errcode(40014))
    with pytest.raises(WeComUnavailable) as caught:
        read(client)
    assert caught.value.errcode == 40014
    assert len(server.calls(READ)) == 2
    assert len(server.calls("gettoken")) == 2


def test_a_write_is_refused_with_an_old_token_and_made_once_with_a_new(
    client: WeComClient, server: LocalServer
) -> None:
    read(client)
    server.token, server.valid_tokens = "T2", {"T2"}
    write(client)
    assert [seen.query["access_token"] for seen in server.calls(WRITE)] == ["T1", "T2"]


def test_wrong_secret_is_asked_once(client: WeComClient, server: LocalServer) -> None:
    server.answer(
        "gettoken", errcode(40001, "invalid credential, hint: [17-1], from ip: 203.0.113.9, more info")
    )
    for _ in range(3):
        with pytest.raises(WeComForbidden) as caught:
            write(client)
        assert (caught.value.api, caught.value.errcode, caught.value.hint) == ("gettoken", 40001, "17-1")
    assert len(server.calls("gettoken")) == 1
    assert not server.calls(WRITE)
    server.answer("gettoken", {"access_token": "T9", "expires_in": 7200})
    client.fetch_access_token()  # the doctor
    write(client)
    assert server.calls(WRITE)[0].query["access_token"] == "T9"


def test_gettoken_without_a_token(client: WeComClient, server: LocalServer) -> None:
    server.answer("gettoken", {"errcode": 0})
    with pytest.raises(WeComUnavailable):
        write(client, deadline_s=1.5)
    assert not server.calls(WRITE)


def _use(url: str, redis_url: str, start: Any, results: Any) -> None:
    client = make_client(url, Redis.from_url(redis_url))
    start.wait(120)
    results.put(read(client)["errcode"])


def test_two_processes_refresh_once(client: WeComClient, server: LocalServer) -> None:
    """Both hold T1, which has died; one fetches T2, the other takes it and does not throw it away."""
    read(client)
    server.token, server.valid_tokens = "T2", {"T2"}
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    arguments = [server.url, settings.REDIS_URL, start, results]
    workers = [context.Process(target=_use, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=180) for _ in workers] == [0, 0]
    for worker in workers:
        worker.join(60)
    results.close()
    results.join_thread()
    assert len(server.calls("gettoken")) == 2  # T1 at first, T2 once


# ---- answers that are none

UGLY = [
    local_server.html,
    local_server.empty,
    local_server.json_list,
    local_server.cut,
    local_server.cut_in_body,
    local_server.status(500),
    local_server.status(502),
    {"errcode": "what"},
]


@pytest.mark.parametrize("answer", UGLY)
def test_a_read_is_tried_again(client: WeComClient, server: LocalServer, answer: Any) -> None:
    server.answer(READ, answer, errcode(0, name="ok"))
    assert read(client)["name"] == "ok"


def test_a_read_is_tried_three_times(client: WeComClient, server: LocalServer) -> None:
    server.answer(READ, local_server.html)
    with pytest.raises(WeComUnavailable) as caught:
        read(client)
    assert not isinstance(caught.value, LostAnswer)
    assert len(server.calls(READ)) == 3


@pytest.mark.parametrize("answer", UGLY)
def test_a_write_whose_answer_was_lost_is_made_once(
    client: WeComClient, server: LocalServer, answer: Any
) -> None:
    server.answer(WRITE, answer)
    with pytest.raises(LostAnswer):
        write(client)
    assert len(server.calls(WRITE)) == 1


@pytest.mark.parametrize("number", [403, 404, 413])
def test_a_write_that_was_turned_away_is_not_lost(
    client: WeComClient, server: LocalServer, number: int
) -> None:
    server.answer(WRITE, local_server.status(number))
    with pytest.raises(WeComUnavailable) as caught:
        write(client)
    assert not isinstance(caught.value, LostAnswer)
    assert caught.value.errmsg == f"HTTP {number}"


@pytest.mark.parametrize("answer", [local_server.hang, local_server.drip])
def test_too_slow(client: WeComClient, server: LocalServer, answer: Any) -> None:
    server.answer(READ, answer)
    server.answer(WRITE, answer)
    with pytest.raises(WeComUnavailable) as caught:
        read(client, deadline_s=1.2)
    assert not isinstance(caught.value, LostAnswer)
    for deadline_s in (1.2, 6, 30):  # a busy machine may not come to send it in time
        with pytest.raises(WeComUnavailable) as caught:
            write(client, deadline_s=deadline_s)
        if server.calls(WRITE):
            break
    assert isinstance(caught.value, LostAnswer)
    assert len(server.calls(WRITE)) == 1


def test_nobody_listens() -> None:
    """Nothing was sent, so a write may be tried again, and is not lost."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    redis_client().set(make_client(url).access_token_key, "T1")
    with pytest.raises(NotSent):
        write(make_client(url))
    with pytest.raises(WeComUnavailable) as caught:
        write(make_client("http://no-such-host.invalid"), deadline_s=1.1)
    assert not isinstance(caught.value, LostAnswer)


# ---- errcodes


def test_busy_three_times(client: WeComClient, server: LocalServer) -> None:
    server.answer(READ, errcode(-1), errcode(-1), errcode(0))
    read(client)
    server.answer(READ, errcode(-1), errcode(-1), errcode(-1), errcode(0))
    with pytest.raises(WeComUnavailable):
        read(client)
    assert len(server.calls(READ)) == 6


def test_busy_is_not_repeated_for_a_write(client: WeComClient, server: LocalServer) -> None:
    server.answer(WRITE, errcode(-1), errcode(0))
    with pytest.raises(WeComUnavailable) as caught:
        write(client)
    assert not isinstance(caught.value, LostAnswer)  # WeCom said that it did nothing
    assert len(server.calls(WRITE)) == 1


def test_over_the_limit_shuts_the_api_for_everybody(client: WeComClient, server: LocalServer) -> None:
    server.answer(READ, errcode(45009, "api freq out of limit"))
    started = time.monotonic()
    for caller in (client, make_client(server.url)):
        with pytest.raises(WeComRateLimited) as caught:
            read(caller)
        assert 59 - (time.monotonic() - started) < caught.value.retry_after_s <= 60.1
    assert len(server.calls(READ)) == 1
    write(client)  # another API goes on


@pytest.mark.parametrize("number", [45033, 45035, 41096])
def test_refused_for_a_moment(client: WeComClient, server: LocalServer, number: int) -> None:
    """Not done, says WeCom, so even a write is tried again."""
    server.answer(WRITE, errcode(number), errcode(number), errcode(0))
    write(client)
    server.answer(WRITE, errcode(number))
    with pytest.raises(WeComUnavailable):
        write(client)
    assert len(server.calls(WRITE)) == 6


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (41063, WeComUnavailable),
        (48002, WeComForbidden),
        (60020, WeComForbidden),
        (60011, WeComForbidden),
        (84061, WeComRejected),
        (41048, WeComRejected),
        (40058, WeComRejected),
        (987654, WeComRejected),
    ],
)
def test_said_once(client: WeComClient, server: LocalServer, number: int, kind: type[WeComError]) -> None:
    server.answer(READ, errcode(number, "no, hint: [1]"))
    with pytest.raises(kind) as caught:
        read(client)
    assert type(caught.value) is kind
    assert (caught.value.api, caught.value.errcode, caught.value.hint) == (READ, number, "1")
    assert bool(caught.value.page) == (kind is WeComForbidden)
    assert str(caught.value)
    assert len(server.calls(READ)) == 1


# ---- limits


def test_five_at_once(server: LocalServer) -> None:
    gate = threading.Barrier(5)

    def meet(handler: local_server.Handler) -> None:
        gate.wait(60)  # five must be here at the same time, or none gets on
        handler.send({"errcode": 0})

    server.answer(READ, meet)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: read(make_client(server.url)), range(20)))
    assert server.most_busy == 5


def test_waiting_is_counted_and_bounded(server: LocalServer) -> None:
    client, started = make_client(server.url, allowed=Limits(per_minute=2)), time.monotonic()
    read(client)
    read(client)
    with pytest.raises(WeComRateLimited) as caught:
        read(client, deadline_s=3)
    assert 59 - (time.monotonic() - started) < caught.value.retry_after_s < 62
    assert caught.value.errcode is None
    assert len(server.calls(READ)) == 2
    assert client.waited_s < 1


# ---- nothing gets out


def test_another_host_is_never_asked(client: WeComClient, server: LocalServer) -> None:
    with LocalServer() as elsewhere:
        server.answer(READ, local_server.redirect_to(f"{elsewhere.url}/cgi-bin/{READ}"))
        server.answer(WRITE, local_server.redirect_to(f"{elsewhere.url}/cgi-bin/{WRITE}"))
        server.answer("gettoken", {"access_token": "T1", "expires_in": 7200})
        with pytest.raises(WeComUnavailable):
            read(client)
        with pytest.raises(WeComUnavailable):
            write(client)
        with pytest.raises(ValueError, match="WECOM_API_URL"):
            client.get(f"{elsewhere.url}/cgi-bin/{READ}")
        assert not elsewhere.seen


def test_wechatpys_helpers_stay_here(
    client: WeComClient, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wechatpy knows Tencent's address in a dozen places; none of its helpers may reach it."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def only_here(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", only_here)
    server.answer("department/list", errcode(0, department=[{"id": 1}]))
    server.answer("user/get", errcode(40014), errcode(0, userid="zhangsan"))
    assert client.department.get() == [{"id": 1}]
    assert client.user.get("zhangsan")["userid"] == "zhangsan"
    client.message.send_text(1000002, "zhangsan", "你好")
    client.external_contact.list("zhangsan")
    for call in (
        lambda: client.get("https://qyapi.weixin.qq.com.example.com/cgi-bin/user/get"),
        lambda: client.post("http://127.0.0.1:1/cgi-bin/user/get", data={}),
    ):
        with pytest.raises(ValueError, match="WECOM_API_URL"):
            call()
    for name in ("media", "material", "oauth", "jsapi"):  # these go past the client
        assert getattr(client, name) is None
    assert set(asked) <= {"127.0.0.1"}
    assert not [seen for seen in server.seen if not seen.path.startswith("/cgi-bin/")]


@pytest.mark.parametrize("where", ["gettoken", READ, "connection"])
def test_no_secret_in_what_is_raised(
    client: WeComClient, server: LocalServer, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    if where == "connection":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            client.API_BASE_URL = f"http://127.0.0.1:{free.getsockname()[1]}/cgi-bin/"
    else:
        server.answer(where, local_server.cut)
    server.token = "secret-token"
    with pytest.raises(WeComUnavailable) as caught:
        read(client)
    error: BaseException | None = caught.value
    seen = [repr(client)]
    while error is not None:
        seen += [repr(error), str(error), repr(vars(error)), *traceback.format_exception(error)]
        error = error.__context__ or error.__cause__
    text = "".join(seen)
    assert SECRET not in text
    assert "secret-token" not in text
    assert SECRET not in "".join(str(key) for key in redis_client().keys("*"))


def test_cookies_are_not_kept(client: WeComClient, server: LocalServer) -> None:
    header = {"Set-Cookie": "corp=ww1; Path=/"}
    server.answer(READ, lambda handler: handler.send({"errcode": 0}, **header))
    read(client)
    read(client)
    assert "Cookie" not in server.calls(READ)[1].headers
