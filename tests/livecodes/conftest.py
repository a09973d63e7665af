"""A brand that lives in the WeCom sandbox, its codes, and customers who scan them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from campaigns.models import Touch
from contacts.models import Contact, Event, EventType, Follow
from livecodes.models import ChannelCode
from livecodes.services import greeting
from livecodes.services.codes import create_code
from livecodes.services.content import CodeInput, GuideInput, WelcomeInput
from org.access import SYSTEM
from org.models import Corp, Staff
from tenants.models import Brand
from tests.factories import in_brand, make_brand, make_corp, make_staff
from tests.wecom.events import post_event
from tests.wecom.sandbox_client import SECRET, Sandbox, sandbox, sandbox_server
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import callback_keys

__all__ = ["sandbox", "sandbox_server"]

ADD, HALF = "add_external_contact", "add_half_external_contact"
BY_STAFF, BY_CUSTOMER = "del_external_contact", "del_follow_user"
HELLO = "你好，{客户昵称}！我是{品牌}的{员工姓名}"


@dataclass
class Shop:
    """One brand on both sides: guides 甲 and 乙, their manager 丙."""

    brand: Brand
    corp: Corp
    a: Staff
    b: Staff
    boss: Staff
    sandbox: Sandbox
    made: list[ChannelCode] = field(default_factory=list)

    def make_code(
        self, name: str = "包裹卡", *, guides: Any = None, welcome: str = HELLO, **over: Any
    ) -> ChannelCode:
        """A code that exists in the sandbox too (its push runs at the commit)."""
        rows = [g if isinstance(g, GuideInput) else GuideInput(g.pk) for g in guides or [self.a]]
        welcomes = over.pop("welcomes", [WelcomeInput(text=welcome)] if welcome else [])
        given = CodeInput(name=name, guides=rows, welcomes=welcomes, **over)
        with in_brand(self.brand):
            code = create_code(self.brand, by=SYSTEM, corp=self.corp, given=given)
        return self.fresh(code)

    def fresh(self, code: ChannelCode) -> ChannelCode:
        with in_brand(self.brand):
            return ChannelCode.objects.get(pk=code.pk)

    # ---- what customers do at WeCom, and what WeCom tells us

    def scan(self, code: ChannelCode | None, **given: Any) -> dict[str, Any]:
        """Somebody scans a code, or without one adds the member `userid`."""
        about = {"config_id": code.config_id} if code else {}
        return self.sandbox.post("scan", corpid=self.corp.corpid, **about, **given)

    def tell(
        self, change: str, who: dict[str, Any], *, ago: float = 0, at: float | None = None, **elements: Any
    ) -> Any:
        """WeCom's event about `who` through our callback view; `ago`: seconds since it happened, or `at`."""
        elements = {"UserID": who["userid"], "ExternalUserID": who["external_userid"], **elements}
        given = {key: value for key, value in elements.items() if value}
        response = post_event(self.corp, change, at=int(at or time.time() - ago), **given)
        assert response.status_code == 200
        return response

    def arrive(
        self, code: ChannelCode | None, *, half: bool = False, ago: float = 0, **given: Any
    ) -> dict[str, Any]:
        """A customer scans and WeCom tells us."""
        who = self.scan(code, half=half, **given)
        state = code.state if code else ""
        self.tell(HALF if half else ADD, who, ago=ago, State=state, WelcomeCode=who["welcome_code"])
        return who

    # ---- what came of it

    def welcomes(self, who: dict[str, Any] | None = None) -> list[str]:
        """Texts of the welcomes that customers really received."""
        rows = self.sandbox.sent("welcome", corpid=self.corp.corpid)
        return [r["text"] for r in rows if who is None or r["external_userid"] == who["external_userid"]]

    def notices(self, staff: Staff) -> list[str]:
        rows = self.sandbox.sent("app", corpid=self.corp.corpid)
        return [r["text"] for r in rows if r["userid"].lower() == staff.userid]

    def at_wecom(self, who: dict[str, Any]) -> dict[str, Any]:
        """The relation as WeCom shows it: remark, tags …"""
        found = self.sandbox.get("customer", corpid=self.corp.corpid, external_userid=who["external_userid"])
        (follow,) = [f for f in found["follows"] if f["userid"] == who["userid"]]
        return follow

    def users(self, code: ChannelCode) -> list[str]:
        """Members of the code's contact way at WeCom."""
        token = self.sandbox.token(self.corp.corpid, SECRET)
        way = self.sandbox.api(
            "externalcontact/get_contact_way", {"config_id": code.config_id}, access_token=token
        )
        return way["contact_way"]["user"]

    def calls(self, api: str) -> int:
        return len(self.sandbox.calls(f"externalcontact/{api}", corpid=self.corp.corpid))

    def follow(self, who: dict[str, Any]) -> Follow:
        with in_brand(self.brand):
            return Follow.objects.select_related("contact").get(
                external_userid=who["external_userid"], staff__userid=who["userid"].lower()
            )

    def events(self) -> list[str]:
        """The timeline of everybody, in order: names of event types."""
        with in_brand(self.brand):
            return [EventType(t).name for t in Event.objects.order_by("pk").values_list("type", flat=True)]

    def ledger(self) -> list[tuple[str, str]]:
        """State and reason of every welcome."""
        with in_brand(self.brand):
            return [
                (Touch.State(t.state).name, Touch.Reason(t.reason).name)
                for t in Touch.objects.order_by("at", "pk")
            ]

    def inbox(self) -> dict[str, int]:
        """States of the inbox, to see that nothing failed."""
        with in_brand(self.brand):
            states = list(CallbackEvent.objects.values_list("state", flat=True))
        return {state: states.count(state) for state in set(states)}

    def outbound(self, kind: str) -> list[OutboundCall]:
        with in_brand(self.brand):
            return list(OutboundCall.objects.filter(kind=kind).order_by("pk"))

    def contacts(self) -> list[Contact]:
        with in_brand(self.brand):
            return list(Contact.objects.order_by("pk"))


def open_shop(sandbox: Sandbox, **over: Any) -> Shop:
    brand = make_brand(**{"name": "花间", **over})
    with in_brand(brand):
        corp = make_corp(brand, secret=SECRET)
        boss = make_staff(brand, corp, name="丙")
        a = make_staff(brand, corp, name="甲", leader_userid=boss.userid, department_ids=[1])
        b = make_staff(brand, corp, name="乙", department_ids=[1])
    sandbox.make_corp(corp.corpid)
    sandbox.load(
        corp.corpid,
        members=[
            {"userid": s.userid, "name": s.name, "department": [1], "has_contact_right": True}
            for s in (a, b, boss)
        ],
        tag_groups=[{"group_name": "渠道", "tags": ["包裹"]}],
    )
    return Shop(brand, corp, a, b, boss, sandbox)


@pytest.fixture
def wecom(sandbox: Sandbox, settings: Any, transactional_db: Any, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox as the product's WeCom."""
    settings.WECOM_API_URL = sandbox.url
    monkeypatch.setattr(greeting, "PROFILE_S", 15.0)  # a busy machine's sandbox has time to say who it is
    callback_keys.forget()
    sandbox.post("clock", offset_s=0)
    return sandbox


@pytest.fixture
def shop(wecom: Sandbox) -> Shop:
    return open_shop(wecom)


@pytest.fixture
def open_another(wecom: Sandbox) -> Callable[..., Shop]:
    return lambda **over: open_shop(wecom, **over)
