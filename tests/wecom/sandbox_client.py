"""The WeCom sandbox as tests use it: one process per test worker, wiped before each test.

Fixtures: `sandbox_server` (session) and `sandbox` (function; wiped, guides never confirm by themselves).
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from devtools import ports

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0  # of a loaded machine, as all that is waited for here

CORPID = "ww1234567890abcdef"
SECRET = "sandbox-secret-0123456789"
TOKEN = "QDG6eK"
AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
QUIET = {"confirm_after_s": None, "dispatch_s": 0}


class ControlError(AssertionError):
    """The control API refused a call."""


class Sandbox:
    """A running sandbox process and its control API."""

    def __init__(self, data: Path | None = None, port: int | None = None) -> None:
        self._own_data = tempfile.TemporaryDirectory(prefix="sandbox-") if data is None else None
        self.data = data or Path(self._own_data.name)  # type: ignore[union-attr]
        self.port = port or ports.any_free()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = requests.Session()
        self.http.trust_env = False
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Sandbox":
        """Start the process and wait until it answers."""
        argv = [sys.executable, "-m", "wecom.sandbox", "--port", str(self.port), "--data", str(self.data)]
        env = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
        self.process = subprocess.Popen(argv, cwd=ROOT, env=env)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the sandbox ended with {self.process.returncode}")
            with contextlib.suppress(requests.RequestException):
                if self.http.get(f"{self.url}/healthz", timeout=1).ok:
                    return self
            time.sleep(0.02)
        raise RuntimeError(f"the sandbox did not answer within {START_S} s")

    def stop(self) -> None:
        """End the process."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def kill(self) -> None:
        """End the process as a power cut does; its worker, too."""
        if self.process is None:
            return
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def close(self) -> None:
        """End the process and remove its data, if the data is ours."""
        self.stop()
        self.http.close()
        if self._own_data is not None:
            self._own_data.cleanup()

    # control API

    def post(self, act: str, /, **given: Any) -> Any:
        """POST /control/<act>; ControlError for a refusal."""
        return self._answer(self.http.post(f"{self.url}/control/{act}", json=given, timeout=60))

    def get(self, what: str, **given: Any) -> Any:
        """GET /control/<what>."""
        return self._answer(self.http.get(f"{self.url}/control/{what}", params=given, timeout=60))

    @staticmethod
    def _answer(response: requests.Response) -> Any:
        if response.status_code >= 400:
            raise ControlError(f"{response.status_code} {response.text}")
        return response.json()

    def reset(self, **settings: Any) -> None:
        """Wipe everything; guides do not confirm by themselves, tasks are dispatched at once."""
        self.post("reset", settings={**QUIET, **settings})

    def make_corp(self, corpid: str = CORPID, **over: Any) -> dict[str, Any]:
        """A corp with one app; callbacks only if callback_url is given. Returns what was given."""
        given = {
            "corpid": corpid,
            "name": "沙箱品牌",
            "agent_id": 1000002,
            "secret": SECRET,
            "token": TOKEN,
            "aes_key": AES_KEY,
            **over,
        }
        self.post("corps", **given)
        return given

    def load(self, corpid: str = CORPID, **given: Any) -> dict[str, int]:
        """POST /control/load; without departments a root is made."""
        given.setdefault("departments", [{"id": 1, "name": "总部", "parentid": 0}])
        return self.post("load", corpid=corpid, **given)

    def sent(self, kind: str | None = None, corpid: str = CORPID, **given: Any) -> list[dict[str, Any]]:
        """What customers and members really received."""
        return self.get("sent", corpid=corpid, **({"kind": kind} if kind else {}), **given)

    def calls(self, api: str | None = None, corpid: str = CORPID) -> list[dict[str, Any]]:
        """The API calls of a corp."""
        return self.get("calls", corpid=corpid, **({"api": api} if api else {}))

    def deliveries(self, corpid: str = CORPID, **given: Any) -> list[dict[str, Any]]:
        """The log of callbacks."""
        return self.get("deliveries", corpid=corpid, **given)

    def wait_idle(self, corpid: str = CORPID, seconds: float = 60) -> None:
        """Until every callback had its last attempt."""
        self.wait_for(lambda: self.get("state", corpid=corpid)["idle"], seconds)

    @staticmethod
    def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
        """Poll until the condition holds; what it returned."""
        until = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > until:
                raise AssertionError(f"not within {seconds} s")
            time.sleep(0.01)

    def stop_clock(self, at: float | None = None) -> None:
        """Its time stands: at a moment, or at this one. It goes on by `clock` with advance_s."""
        self.post("clock", speed=0, **({"offset_s": 0} if at is None else {"at": at}))

    # WeCom's own API, raw

    def token(self, corpid: str = CORPID, secret: str = SECRET) -> str:
        """An access token."""
        return self.api("gettoken", corpid=corpid, corpsecret=secret)["access_token"]

    def api(self, path: str, body: dict[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        """A raw call of /cgi-bin; GET without a body, POST with one."""
        url = f"{self.url}/cgi-bin/{path}"
        if body is None:
            response = self.http.get(url, params=query, timeout=60)
        else:
            response = self.http.post(url, params=query, json=body, timeout=60)
        if response.status_code != 200:
            raise AssertionError(f"{response.status_code} {response.text}")
        return response.json()


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[Sandbox]:
    """One process for the session (per xdist worker)."""
    server = Sandbox()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def sandbox(sandbox_server: Sandbox) -> Sandbox:
    """The process, wiped."""
    sandbox_server.reset()
    return sandbox_server
