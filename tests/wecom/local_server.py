"""A local HTTP server that answers as a test orders: answers that the WeCom sandbox does not give."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Seen(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    body: bytes
    headers: dict[str, str]
    connection: int  # which client socket it came by

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = dict[str, Any] | Callable[["Handler"], None]


class LocalServer:
    """`answers[path]` is a list that is used up from the front; its last one stays. Default: errcode 0."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: dict[str, list[Answer]] = {}
        self.valid_tokens: set[str] | None = None  # None: every token is good
        self.token = "T1"
        self.closing = threading.Event()
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.server = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> "LocalServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def calls(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == f"/cgi-bin/{path}"]

    def answer(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120  # of a connection that nothing comes by: a busy machine may take long between two calls
    wbufsize = -1  # head and body in one packet: else every answer waits 40 ms for an acknowledgement

    @property
    def local(self) -> LocalServer:
        return self.server.server  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_GET

    def _serve(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        local = self.local
        with local.lock:
            local.seen.append(
                Seen(self.command, url.path, query, body, dict(self.headers.items()), self.client_address[1])
            )
            local.busy += 1
            local.most_busy = max(local.most_busy, local.busy)
            queue = local.answers.get(url.path.removeprefix("/cgi-bin/"), [])
            answer = (queue.pop(0) if len(queue) > 1 else queue[0]) if queue else None
        try:
            if callable(answer):
                answer(self)
            elif answer is not None:
                self.send(answer)
            elif url.path.endswith("/gettoken"):
                self.send({"access_token": local.token, "expires_in": 7200})
            elif local.valid_tokens is not None and query.get("access_token") not in local.valid_tokens:
                self.send({"errcode": 40014, "errmsg": "invalid access_token"})
            else:
                self.send({"errcode": 0, "errmsg": "ok"})
        finally:
            with local.lock:
                local.busy -= 1

    def send(self, answer: Any, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


# ---- ugly answers


def errcode(number: int, errmsg: str = "no", **fields: Any) -> Answer:
    return {"errcode": number, "errmsg": errmsg, **fields}


def html(handler: Handler) -> None:
    handler.send("<html>网关</html>".encode(), kind="text/html")


def status(number: int) -> Answer:
    return lambda handler: handler.send(b"<html>Bad Gateway</html>", number, "text/html")


def empty(handler: Handler) -> None:
    handler.send(b"")


def json_list(handler: Handler) -> None:
    handler.send(b"[1, 2]")


def cut(handler: Handler) -> None:
    """The request is read, then the connection ends without an answer."""
    handler.close_connection = True


def cut_in_body(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"errcode": 0')
    handler.close_connection = True


def hang(handler: Handler) -> None:
    """No answer until the test is over."""
    handler.local.closing.wait(30)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """One byte now and then: every single read succeeds."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        if handler.local.closing.wait(0.1):
            return


def redirect_to(url: str) -> Answer:
    return lambda handler: handler.send(b"", 302, Location=url)
