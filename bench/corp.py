"""A brand with a connected corp and its sandbox, for the benchmarks that talk to WeCom."""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Sum

from bench import servers
from devtools import ports
from org.access import SYSTEM
from org.models import Corp, Staff
from org.services.brands import connect_corp, create_brand
from scrm.redis import redis_client
from tenants.models import Brand
from tenants.scoping import tenant_scope
from wecom.models import CallbackEvent


@dataclass
class Bench:
    brand: Brand
    corp: Corp
    sandbox: str
    web_port: int
    userids: list[str]
    env: dict[str, str] = field(default_factory=dict)
    sandbox_pid: int = 0

    def control(self, path: str, **given: Any) -> Any:
        answer = requests.post(f"{self.sandbox}/control/{path}", json=given, timeout=300)
        answer.raise_for_status()
        return answer.json()

    def read(self, path: str, **query: Any) -> Any:
        answer = requests.get(
            f"{self.sandbox}/control/{path}", params={"corpid": self.corp.corpid, **query}, timeout=60
        )
        answer.raise_for_status()
        return answer.json()

    def load_customers(self, n: int) -> list[str]:
        """Customers in the sandbox, each followed by one guide; their external ids."""
        ids = [f"wm{secrets.token_hex(15)}" for _ in range(n)]
        for start in range(0, n, 2000):
            rows = [
                {
                    "external_userid": x,
                    "name": f"客户{i}",
                    "follows": [{"userid": self.userids[i % len(self.userids)]}],
                }
                for i, x in enumerate(ids[start : start + 2000], start)
            ]
            self.control("load", corpid=self.corp.corpid, customers=rows)
        return ids

    def inbox(self) -> tuple[int, int]:
        """Events stored, repeats counted."""
        with tenant_scope(self.brand), transaction.atomic():
            row = CallbackEvent.objects.aggregate(n=Count("pk"), repeats=Sum("n_repeats"))
        return row["n"], row["repeats"] or 0


@contextlib.contextmanager
def bench_corp(guides: int = 10, *, with_staff: bool = True) -> Iterator[Bench]:
    """A fresh brand, its corp known to a fresh sandbox; `env` is what the product's processes need to find both."""
    redis_client().flushdb()
    sandbox_port, web_port = ports.any_free(), ports.any_free()
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    settings.WECOM_API_URL = sandbox  # this process calls WeCom too
    n = secrets.token_hex(4)
    # what an earlier run has left undone must not be taken up in this one
    Brand.objects.filter(slug__startswith="bench-corp-").update(state=Brand.State.CLOSED)
    brand = create_brand(name=f"Bench {n}", slug=f"bench-corp-{n}")
    userids = [f"guide{i}" for i in range(guides)]
    with (
        tempfile.TemporaryDirectory(prefix="scrm-bench-") as data,
        servers.sandbox(sandbox_port, Path(data)) as child,
    ):
        with tenant_scope(brand):
            corp = connect_corp(
                brand,
                by=SYSTEM,
                name="Bench",
                corpid=f"ww{secrets.token_hex(8)}",
                agent_id=1000002,
                secret=f"bench-{n}",
            )
            if with_staff:
                with transaction.atomic():
                    Staff.objects.bulk_create(
                        Staff(name=f"导购{u}", corp=corp, userid=u, is_guide=True) for u in userids
                    )
        env = {
            "PUBLIC_URL": f"http://127.0.0.1:{web_port}",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE": "0",
            "STATIC_PLAIN": "1",
            **{f"WECOM_{name}_URL": sandbox for name in ("API", "OAUTH", "LOGIN", "JSSDK")},
        }
        made = Bench(brand, corp, sandbox, web_port, userids, env, child.pid)
        made.control(
            "corps",
            corpid=corp.corpid,
            name="Bench",
            agent_id=corp.agent_id,
            secret=corp.secret,
            callback_url=f"{env['PUBLIC_URL']}/wecom/callback/{corp.callback_path}/",
            token=corp.callback_token,
            aes_key=corp.callback_aes_key,
        )
        departments = [{"id": 1, "name": "总部", "parentid": 0}]
        members = [{"userid": u, "name": f"导购{u}", "department": [1]} for u in userids]
        made.control("load", corpid=corp.corpid, departments=departments, members=members)
        yield made
