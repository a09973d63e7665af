"""A brand that lives in the sandbox: guides, customers who follow them, and time that both sides share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from campaigns.models import Broadcast, Sop, Touch, Wave
from campaigns.services.broadcasts import dry_run, waves
from campaigns.services.sops import sops
from campaigns.services.sops.sops import StepInput
from campaigns.tasks import tick_brand
from contacts.models import Contact
from org.access import SYSTEM
from org.models import Corp, Staff
from scrm import clock
from tagging.services.bits import frames
from tagging.services.bits.frames import Frame
from tenants.models import Brand
from tests.factories import in_brand, make_brand, make_contact, make_corp, make_staff
from tests.wecom.sandbox_client import AES_KEY, SECRET, TOKEN, Sandbox, sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]

ZONE = "Asia/Shanghai"


def at(text: str) -> datetime:
    """A moment in Shanghai: `at("2026-03-01 10:00")`."""
    from zoneinfo import ZoneInfo

    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


def people_of(brand: Brand, wave: Wave, what: int) -> list[int]:
    """Contacts of a planned wave: those wanted (0) or held back for a reason."""
    frame = Frame.whole(brand)
    return frames.contacts_at(brand, frame, waves.set_of(frame, wave.pk, what))


def would_be(brand: Brand, draft: Broadcast, what: int = dry_run.GETS_IT) -> list[int]:
    """Contacts who would get a draft (0) or be held back for a reason."""
    return frames.contacts_at(brand, *dry_run.set_of(brand, draft, what))


@dataclass
class Live:
    """One brand on both sides."""

    brand: Brand
    corp: Corp
    guides: list[Staff]
    contacts: list[Contact]
    sandbox: Sandbox
    externals: dict[int, str] = field(default_factory=dict)

    def make_sop(
        self, *steps: tuple[int, int] | StepInput, name: str = "新客", on: bool = True, **over: Any
    ) -> Sop:
        """Steps as (day, hour) with a text of their own."""
        given = [
            s if isinstance(s, StepInput) else StepInput(s[0], s[1], 0, f"{name} 第{s[0]}天 {s[1]}点")
            for s in steps
        ]
        with in_brand(self.brand):
            sop = sops.create_sop(self.brand, name=name, steps=given, by=SYSTEM, **over)
            return sops.switch_on(self.brand, sop_id=sop.pk, by=SYSTEM) if on else sop

    def tick(self, moment: datetime | None = None) -> None:
        """A minute of beat, at `moment` on both clocks."""
        if moment is None:
            tick_brand.delay(brand_id=self.brand.pk)
            return
        set_sandbox_clock(self.sandbox, moment)
        with clock.at(moment):
            tick_brand.delay(brand_id=self.brand.pk)

    def confirm_all(self, moment: datetime) -> int:
        """Every guide presses send on everything; messages that went out."""
        set_sandbox_clock(self.sandbox, moment)
        with in_brand(self.brand):
            from campaigns.models import SendTask

            ids = list(SendTask.objects.filter(state="handed").values_list("msgid", flat=True))
        return sum(self.sandbox.post("confirm", corpid=self.corp.corpid, msgid=i)["sent"] for i in ids)

    def received(self) -> dict[tuple[str, str], int]:
        """How often each customer really got each text."""
        found: dict[tuple[str, str], int] = {}
        for row in self.sandbox.sent("mass", corpid=self.corp.corpid):
            key = (row["external_userid"], row["text"])
            found[key] = found.get(key, 0) + 1
        return found

    def ledger(self, **filters: Any) -> list[Touch]:
        with in_brand(self.brand):
            return list(Touch.objects.filter(**filters).order_by("at", "pk"))


def set_sandbox_clock(sandbox: Sandbox, moment: datetime) -> None:
    sandbox.post("clock", offset_s=(moment - datetime.now(UTC)).total_seconds())


def make_live(sandbox: Sandbox, n_guides: int = 2, n_contacts: int = 6) -> Live:
    """A brand whose contacts (spread over the guides in turn) exist in the sandbox as well."""
    brand = make_brand()
    with in_brand(brand):
        corp = make_corp(brand, secret=SECRET, callback_token=TOKEN, callback_aes_key=AES_KEY)
        guides = [make_staff(brand, corp, name=f"小{chr(65 + i)}") for i in range(n_guides)]
        contacts = [
            make_contact(brand, guides[i % n_guides], added_at=clock.now() - timedelta(days=1))
            for i in range(n_contacts)
        ]
        from contacts.models import Follow

        follows = list(Follow.objects.select_related("staff").order_by("pk"))
    sandbox.make_corp(corp.corpid)
    sandbox.load(
        corp.corpid,
        members=[
            {"userid": g.userid, "name": g.name, "department": [1], "has_contact_right": True} for g in guides
        ],
        customers=[
            {
                "external_userid": f.external_userid,
                "name": f"c{f.contact_id}",
                "follows": [{"userid": f.staff.userid, "createtime": int(f.added_at.timestamp())}],
            }
            for f in follows
        ],
    )
    return Live(brand, corp, guides, contacts, sandbox, {f.contact_id: f.external_userid for f in follows})


@pytest.fixture
def wecom(sandbox: Sandbox, settings: Any) -> Iterator[Sandbox]:
    """The sandbox as the product's WeCom."""
    settings.WECOM_API_URL = sandbox.url
    sandbox.post("clock", offset_s=0)
    yield sandbox
    sandbox.post("clock", offset_s=0)


@pytest.fixture
def live(transactional_db: Any, wecom: Sandbox) -> Live:
    return make_live(wecom)
