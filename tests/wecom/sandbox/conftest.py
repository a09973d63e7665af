"""The sandbox process, a corp in it, wechatpy's own client pointed at it, and a receiver of callbacks."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import xmltodict
from wechatpy.enterprise import WeChatClient
from wechatpy.enterprise.crypto import WeChatCrypto

from tests.wecom.sandbox_client import AES_KEY, CORPID, SECRET, TOKEN, Sandbox, sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]

MEMBERS = [
    {"userid": "ZhangSan", "name": "张三", "department": [2], "position": "导购", "leader": True},
    {"userid": "lisi", "name": "李四", "department": [2, 3], "mobile": "13800000001"},
    {"userid": "wangwu", "name": "王五", "department": [3]},
    {"userid": "boss", "name": "老板", "department": [1], "has_contact_right": False},
]
DEPARTMENTS = [
    {"id": 1, "name": "总部", "parentid": 0},
    {"id": 2, "name": "一店", "parentid": 1},
    {"id": 3, "name": "二店", "parentid": 1},
]


class Client(WeChatClient):
    """wechatpy's own client; only its hard-coded host of the token call is moved."""

    def __init__(self, url: str, corpid: str, secret: str) -> None:
        self.API_BASE_URL = f"{url}/cgi-bin/"
        super().__init__(corpid, secret, timeout=60)

    def fetch_access_token(self) -> dict[str, Any]:
        url = f"{self.API_BASE_URL}gettoken"
        return self._fetch_access_token(url=url, params={"corpid": self.corp_id, "corpsecret": self.secret})


class Receiver:
    """A small callback server: checks signature and receive id with wechatpy, keeps the decrypted events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.raw: list[tuple[str, bytes]] = []  # (query, body) of each attempt
        self.statuses: list[int] = []  # what to answer, used up from the front; then 200
        self.answer = b""  # body of a 200
        crypto = WeChatCrypto(TOKEN, AES_KEY, CORPID)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
                echo = crypto.check_signature(
                    query["msg_signature"], query["timestamp"], query["nonce"], query["echostr"]
                )
                self._answer(200, echo.encode() if isinstance(echo, str) else echo)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                query = urlsplit(self.path).query
                receiver.raw.append((query, body))
                given = {key: value[0] for key, value in parse_qs(query).items()}
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                if status == 200:
                    xml = crypto.decrypt_message(
                        body, given["msg_signature"], given["timestamp"], given["nonce"]
                    )
                    receiver.events.append(xmltodict.parse(xml)["xml"])
                self._answer(status, receiver.answer if status == 200 else b"")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/callback"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def named(self, change_type: str) -> list[dict[str, Any]]:
        """The events of one ChangeType."""
        return [event for event in self.events if event.get("ChangeType") == change_type]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def corp(sandbox: Sandbox, receiver: Receiver) -> Sandbox:
    """The sandbox with one corp, four members (the boss has no customer-contact right), two tag groups."""
    sandbox.make_corp(callback_url=receiver.url)
    sandbox.load(
        departments=DEPARTMENTS,
        members=MEMBERS,
        tag_groups=[
            {"group_name": "等级", "tags": ["普通", "黄金"]},
            {"group_name": "兴趣", "tags": ["咖啡"]},
        ],
    )
    return sandbox


@pytest.fixture
def wechat(corp: Sandbox) -> Client:
    return Client(corp.url, CORPID, SECRET)


class Api:
    """Raw calls of the corp's app."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.token = sandbox.token()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self.sandbox.api(path, access_token=self.token, **query)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self.sandbox.api(path, body, access_token=self.token)

    def code(self, path: str, **body: Any) -> int:
        """errcode of a POST."""
        return self.post(path, **body)["errcode"]


@pytest.fixture
def api(corp: Sandbox) -> Api:
    return Api(corp)
