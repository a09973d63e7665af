"""The whole product as processes of its own, each of which a test may kill: Postgres, Valkey, WeCom (the sandbox), web,
both workers, and an agent (tests/faults/agent.py) through which the test makes things and looks at them."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from devtools import places, ports, processes, runfile
from devtools.places import ROOT
from devtools.postgres import Postgres
from devtools.stack import product_processes
from devtools.valkey import Valkey
from tests.wecom.sandbox_client import SECRET, Sandbox

# of this test process, and none of the world's
_NOT_OURS = (
    "DATABASE_",
    "REDIS_URL",
    "TEST_PROCESS",
    "SCRM_TEST",
    "PYTEST_",
    "WECOM_",
    "PUBLIC_URL",
    "FIELD_KEYS",
)
PRODUCT = ("web", "worker-fast", "worker")
PATIENCE = 6  # how much longer than an idle machine a busy one may take for what is waited for


class AgentError(AssertionError):
    """The agent could not do what it was told."""


class Agent:
    """Talks to tests/faults/agent.py: `agent("counts", brand_id=1)`."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.agent"],
                cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
            )  # fmt: skip

    def __call__(self, act: str, /, **given: Any) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"act": act, **given}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AgentError("the agent has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise AgentError(f"{act}: {answer['error']}\n{answer['trace']}")
        return answer["ok"]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


class World:
    """See the module. `log` holds what all of them said."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        # swept with everything in it if this test process is killed
        self.run = runfile.take(f"throwaway-faults-{os.getpid()}")
        self.run.note(folder=str(folder))
        self.secrets = places.new_secrets()
        self.postgres = Postgres(folder / "pg", self.secrets, self.log, throwaway=True)
        # throwaway: whoever kills it has lost all queues, locks and tokens
        self.valkey = Valkey(folder / "valkey", self.secrets["valkey"], self.log, throwaway=True)
        self.sandbox = Sandbox()
        self.web_port = ports.any_free()
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.dead: set[str] = set()  # killed, and not started again yet
        self.agent: Agent = None  # type: ignore[assignment]  # as soon as there is a database

    def start(self) -> None:
        for server in (self.postgres, self.valkey, self.sandbox):
            server.start()
            if server.process:
                self.run.note_child(getattr(server, "name", "sandbox"), server.process.pid)
        # without fsync (the machine does not die here), but a commit is in the log when it is answered
        self.postgres.psql("postgres", "postgres", "-c", "ALTER DATABASE scrm SET synchronous_commit = on")
        subprocess.run([sys.executable, "-m", "devtools.database"], cwd=ROOT, env=self.env, check=True)
        self.agent = Agent(self.env, self.log)
        for name in PRODUCT:
            self.start_process(name)
        self.wait_for_workers()

    @property
    def env(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_OURS)}
        wecom = {f"WECOM_{name}_URL": self.sandbox.url for name in ("API", "OAUTH", "LOGIN", "JSSDK")}
        return kept | wecom | self.postgres.settings() | self.valkey.settings() | {
            "SECRET_KEY": self.secrets["SECRET_KEY"],
            "FIELD_KEYS": self.secrets["FIELD_KEYS"],
            "PUBLIC_URL": f"http://127.0.0.1:{self.web_port}",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE": "0",
            "STATIC_PLAIN": "1",
            "MEDIA_ROOT": str(self.folder / "media"),
        }  # fmt: skip

    # ---- life and death

    def start_process(self, name: str) -> None:
        """The launcher's own command; of workers see `wait_for_workers`."""
        argv = product_processes(self.web_port)[name]
        self.children[name] = processes.start(argv, log=self.log, env=self.env, cwd=ROOT)
        self.run.note_child(name, self.children[name].pid)
        if name == "web":
            self.wait(self.web_answers, 30)

    def wait_for_workers(self) -> None:
        """Both answer: whoever comes now is welcomed in time, however long they took to come up."""
        self.wait(self._workers_answer, 30, "the workers answer")

    def _workers_answer(self) -> bool:
        try:
            return {"fast", "general"} <= set(self.agent("workers"))
        except AgentError:  # Redis is still coming up
            return False

    def web_answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.web_port}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    def kill(self, name: str) -> None:
        """SIGKILL to the whole group: nothing is finished, nothing given back."""
        server = {"postgres": self.postgres, "valkey": self.valkey}.get(name)
        process = server.process if server else self.children[name]
        assert process is not None
        self.dead.add(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def raise_again(self, name: str) -> None:
        """Start what was killed, at the same address."""
        self.dead.discard(name)
        if name in self.children:
            return self.start_process(name)
        server: Any = {"postgres": self.postgres, "valkey": self.valkey}[name]
        assert server._run_server(), self.tail()
        self.run.note_child(name, server.process.pid)
        return None

    def revive(self) -> None:
        """What Docker does (`restart: unless-stopped`): Celery's workers end when they lose Redis with work in hand."""
        for name, child in list(self.children.items()):
            if child.poll() is not None and name not in self.dead:
                self.start_process(name)

    def kill_child(self, name: str) -> None:
        """SIGKILL to one process below (a web worker, a worker's child), as the kernel does when memory runs out."""
        os.kill(self.wait(lambda: self._child_of(name), 15, f"{name} has a child"), signal.SIGKILL)

    def _child_of(self, name: str) -> int | None:
        pid = self.children[name].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None  # it has just been started

    def stop(self) -> None:
        if self.agent:
            self.agent.close()
        for child in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self.sandbox.close()
        self.valkey.stop()
        self.postgres.stop()
        self.run.release()

    # ---- waiting

    def wait(self, condition: Callable[[], Any], seconds: float, what: str = "") -> Any:
        """Until the condition holds; what it gave. Meanwhile what has ended is started again."""
        until = time.monotonic() + seconds * PATIENCE
        while True:
            self.revive()
            if found := condition():
                return found
            if time.monotonic() > until:
                raise AssertionError(f"not within {seconds * PATIENCE:.0f} s: {what}\n{self.tail()}")
            time.sleep(0.05)

    def tail(self) -> str:
        return processes.last_lines(self.log, 40)


class Shop:
    """One brand of a test, known to both sides."""

    def __init__(self, world: World, *, guides: int = 2) -> None:
        self.world, self.sandbox, self.agent = world, world.sandbox, world.agent
        self.corpid = f"ww{secrets.token_hex(8)}"
        self.userids = [f"guide{n}" for n in range(guides)]
        made = self.agent(
            "make_brand", corpid=self.corpid, secret=SECRET, userids=self.userids, slug=self.corpid
        )
        self.brand_id = made["brand_id"]
        self.sandbox.make_corp(
            self.corpid,
            callback_url=f"http://127.0.0.1:{world.web_port}{made['path']}",
            token=made["token"],
            aes_key=made["aes_key"],
        )
        self.sandbox.load(
            self.corpid,
            members=[
                {"userid": u, "name": u, "department": [1], "has_contact_right": True} for u in self.userids
            ],
        )

    def make_code(self) -> str:
        """WeCom's `state` of a code that leads to all guides."""
        return self.agent("make_code", brand_id=self.brand_id)["state"]

    def scan(self, state: str, n: int) -> dict[str, Any]:
        """A customer comes: external_userid, userid."""
        return self.sandbox.post("scan", corpid=self.corpid, state=state, name=f"客户{n}")

    def counts(self) -> dict[str, Any]:
        return self.agent("counts", brand_id=self.brand_id)

    def people(self) -> list[dict[str, Any]]:
        return self.agent("people", brand_id=self.brand_id)

    def later(self, seconds: int) -> dict[str, Any]:
        return self.agent("later", brand_id=self.brand_id, seconds=seconds)


@contextlib.contextmanager
def running() -> Iterator[World]:
    """A world for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="scrm-faults-") as folder:
        Path(folder).chmod(0o755)  # Postgres runs as another account when we are root
        world = World(Path(folder))
        try:
            world.start()
            yield world
        finally:
            world.stop()
