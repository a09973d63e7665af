"""A brand in the WeCom sandbox whose guide 甲 has customers to hand over to 乙 and 丙."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from contacts.models import Event, EventType, Follow, Identity
from contacts.services.sync import sync as contact_sync
from handover.models import HandoverItem, HandoverRun, HandoverShare
from handover.services import leavers, results, runs
from handover.services.choosing import Choice
from handover.services.runs import Share
from org.access import SYSTEM
from org.models import Job, Staff
from scrm import clock
from tenants.scoping import tenant_scope
from tests.factories import in_brand
from tests.groups.conftest import Town, external, open_town, sandbox, sandbox_server, wecom

__all__ = ["sandbox", "sandbox_server", "wecom"]

DAY_S = 86_400


@dataclass
class House(Town):
    """Town with what hand-overs need; customers 0 … 9 are 甲's."""

    def sync(self) -> None:
        """Customers and groups of the sandbox become ours."""
        with in_brand(self.brand):
            contact_sync.start_sync(self.brand, corp=self.corp, by=SYSTEM)
        self.letters()

    def start(
        self,
        *receivers: Staff | tuple[Staff, int],
        giver: Staff | None = None,
        message: str = "",
        **choice: Any,
    ) -> HandoverRun:
        """A run, whose job runs at once."""
        shares = [
            Share(r[0].pk, r[1]) if isinstance(r, tuple) else Share(r.pk) for r in receivers or (self.b,)
        ]
        with in_brand(self.brand):
            giver = Staff.objects.select_related("corp").get(pk=(giver or self.a).pk)
            return runs.start_run(
                self.brand, by=SYSTEM, giver=giver, choice=Choice(**choice), shares=shares, message=message
            )

    def leave(self, staff: Staff) -> None:
        """A member leaves the company; WeCom tells."""
        self.post("member_leaves", userid=staff.userid)
        self.deliver()
        with in_brand(self.brand):  # the callback of contacts is the app's business in the sandbox, too
            Staff.objects.filter(pk=staff.pk).update(state="left", is_guide=False)
            leavers.start_reading(self.brand, corp=self.corp)

    def states(self, run: HandoverRun) -> dict[str, int]:
        """Names of item states → how many."""
        with in_brand(self.brand):
            rows = list(HandoverItem.objects.filter(run=run.pk).values_list("state", flat=True))
        return {HandoverItem.State(s).name: rows.count(s) for s in set(rows)}

    def items(self, run: HandoverRun) -> list[HandoverItem]:
        with in_brand(self.brand):
            return list(HandoverItem.objects.filter(run=run.pk).select_related("receiver").order_by("pk"))

    def job(self, run: HandoverRun) -> Job:
        with in_brand(self.brand):
            return Job.objects.get(pk=run.job_id or 0)

    def fresh(self, run: HandoverRun) -> HandoverRun:
        with in_brand(self.brand):
            return HandoverRun.objects.get(pk=run.pk)

    def poll(self, run: HandoverRun) -> None:
        """WeCom is asked what became of a run."""
        with in_brand(self.brand):
            share_ids = list(HandoverShare.objects.filter(run=run.pk).values_list("pk", flat=True))
        with tenant_scope(self.brand):
            for share_id in share_ids:
                results.poll(self.brand, share_id)

    def complete(self, n: int | None = None) -> None:
        """At WeCom the day is over, for one customer or for all."""
        self.post("transfer_now", **({"external_userid": external(n)} if n is not None else {}))

    def guides(self, n: int) -> dict[str, str]:
        """Guide's name → how the relation to customer n ended, empty while it is there."""
        with in_brand(self.brand):
            rows = Follow.objects.filter(external_userid=external(n)).select_related("staff")
            return {f.staff.name: f.end_kind for f in rows}

    def story(self, n: int) -> list[str]:
        """The timeline of customer n without its first adding."""
        with in_brand(self.brand):
            contact_id = Identity.objects.get(kind="external_userid", value=external(n)).contact_id
            rows = Event.objects.filter(contact_id=contact_id).exclude(source="sync").order_by("pk")
            return [EventType(t).name for t in rows.values_list("type", flat=True)]

    def transfers(self) -> list[dict[str, Any]]:
        """The hand-overs that WeCom knows of, oldest first."""
        return list(reversed(self.sandbox.get("transfers", corpid=self.corp.corpid)))

    def calls(self, api: str) -> int:
        return len(self.sandbox.calls(f"externalcontact/{api}", corpid=self.corp.corpid))


def open_house(sandbox: Any, **over: Any) -> House:
    town = open_town(sandbox, **over)
    return House(town.brand, town.corp, town.a, town.b, town.c, town.sandbox)


@pytest.fixture
def house(wecom: Any) -> House:
    found = open_house(wecom)
    found.sync()
    return found


@pytest.fixture
def open_another(wecom: Any) -> Callable[..., House]:
    return lambda **over: open_house(wecom, **over)


def later(**ahead: float) -> Any:
    """The product's clock, so much ahead."""
    return clock.at(clock.now() + timedelta(**ahead))
