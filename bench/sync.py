"""Full sync of a corp from the sandbox, in this process: contacts per second, and how much of it is waiting for limits."""

import resource
import time

from django.db import transaction

from bench.corp import bench_corp
from bench.figures import Figure
from contacts.models import Follow
from contacts.services import sync
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from tenants.scoping import tenant_scope


def run(full: bool) -> list[Figure]:
    n = 100_000 if full else 10_000
    with bench_corp(guides=50, with_staff=False) as made:
        made.control("generate", corpid=made.corp.corpid, customers=n, seed=1)
        follows = made.read("state")["counts"]["follows"]
        figures = []
        for name in ("first", "unchanged"):
            before = resource.getrusage(resource.RUSAGE_SELF)
            start = time.perf_counter()
            with tenant_scope(made.brand):
                with transaction.atomic():
                    job = sync.start_sync(made.brand, corp=made.corp, by=SYSTEM)
                done = jobs.run(made.brand, job.pk)
                assert done is not None and done.state == Job.State.DONE, done and done.error
                with transaction.atomic():
                    stored = Follow.objects.filter(ended_at=None).count()
            wall = time.perf_counter() - start
            after = resource.getrusage(resource.RUSAGE_SELF)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            waited = float(done.result.get("waited_s", 0))
            figures.append(
                Figure(
                    f"sync of {n:,} contacts, {name}: rate", follows / wall, "relations/s",
                    f"own processor time {cpu / wall:.0%}, waiting for WeCom's limits {waited / wall:.0%}; they allow 15,800/s",
                    "", stored == follows,
                )
            )  # fmt: skip
        figures.append(
            Figure(
                "peak memory of the process",
                after.ru_maxrss / 1024,
                "MB",
                "",
                "≤ 300 MB",
                after.ru_maxrss / 1024 <= 300,
            )
        )
    return figures
