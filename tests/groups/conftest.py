"""A brand with guides in the WeCom sandbox, and groups there; WeCom's events through our callback view."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from contacts.models import Event, EventType, Identity
from groups.models import GroupChat, GroupMember
from org.models import Corp, Job, Staff
from tenants.models import Brand
from tests.factories import in_brand, make_brand, make_corp, make_staff
from tests.wecom.events import post_event, post_xml
from tests.wecom.sandbox_client import SECRET, Sandbox, sandbox, sandbox_server
from wecom.models import CallbackEvent
from wecom.services import callback_keys

__all__ = ["sandbox", "sandbox_server"]

CHAT = "change_external_chat"


def external(n: int) -> str:
    return f"wm{n:030d}"


@dataclass
class Town:
    """One brand on both sides: guides 甲, 乙, 丙; customers 0 … 9 of 甲 at WeCom."""

    brand: Brand
    corp: Corp
    a: Staff
    b: Staff
    c: Staff
    sandbox: Sandbox
    told: int = 0

    # ---- at WeCom

    def post(self, act: str, **given: Any) -> Any:
        return self.sandbox.post(act, corpid=self.corp.corpid, **given)

    def make_group(
        self, name: str = "一群", *, owner: Staff | None = None, n: int = 2, first: int = 0, **over: Any
    ) -> str:
        """A group with the first customers in it; its chat_id."""
        given = {
            "owner": (owner or self.a).userid,
            "name": name,
            "customers": [external(i) for i in range(first, first + n)],
            "create_time": int(time.time()) - 5 * 86_400,
        }
        return self.post("group_create", **{**given, **over})["chat_id"]

    def tell(self, change: str, at: float | None = None, **elements: Any) -> Any:
        """An event of a group through our callback view."""
        response = post_event(self.corp, change, CHAT, at=int(at or time.time()), **elements)
        assert response.status_code == 200
        return response

    def letters(self) -> list[str]:
        """What WeCom has had to tell since the last time: the XML of its events, oldest first."""
        rows = self.sandbox.deliveries(self.corp.corpid, after=self.told)
        self.told = max([self.told, *(row["id"] for row in rows)])
        return [row["xml"] for row in rows]

    def deliver(self, letters: list[str] | None = None) -> None:
        """Deliver them, or what WeCom has to tell now, to our callback view."""
        for xml in self.letters() if letters is None else letters:
            assert post_xml(self.corp, xml).status_code == 200

    # ---- with us

    def chat(self, chat_id: str) -> GroupChat:
        with in_brand(self.brand):
            return GroupChat.objects.select_related("owner").get(chat_id=chat_id)

    def there(self, chat_id: str) -> set[str]:
        """userids of those who are in the group now, as we have it."""
        with in_brand(self.brand):
            rows = GroupMember.objects.filter(chat__chat_id=chat_id, left_at=None)
            return set(rows.values_list("userid", flat=True))

    def stays(self, chat_id: str, userid: str) -> list[GroupMember]:
        with in_brand(self.brand):
            rows = GroupMember.objects.filter(chat__chat_id=chat_id, userid=userid)
            return list(rows.order_by("joined_at", "pk"))

    def timeline(self, n: int) -> list[tuple[str, str]]:
        """Group events of customer n: (type, group's name)."""
        with in_brand(self.brand):
            rows = Event.objects.filter(type__in=[60, 61]).order_by("at", "pk")
            mine = set(Identity.objects.filter(value=external(n)).values_list("contact_id", flat=True))
            return [(EventType(e.type).name, e.data["group"]) for e in rows if e.contact_id in mine]

    def inbox(self) -> dict[str, int]:
        with in_brand(self.brand):
            states = list(CallbackEvent.objects.values_list("state", flat=True))
        return {state: states.count(state) for state in set(states)}

    def jobs(self, kind: str) -> list[Job]:
        with in_brand(self.brand):
            return list(Job.objects.filter(kind=kind).order_by("pk"))


def open_town(sandbox: Sandbox, **over: Any) -> Town:
    brand = make_brand(**{"name": "花间", **over})
    with in_brand(brand):
        corp = make_corp(brand, secret=SECRET)
        people = [make_staff(brand, corp, name=name, department_ids=[1]) for name in "甲乙丙"]
    # its letters go nowhere: tests take them from the log and deliver them when they like
    sandbox.make_corp(corp.corpid, callback_url=f"{sandbox.url}/healthz")
    sandbox.load(
        corp.corpid,
        members=[
            {"userid": s.userid, "name": s.name, "department": [1], "has_contact_right": True} for s in people
        ],
        customers=[
            {
                "external_userid": external(i),
                "name": f"顾客{i}",
                "unionid": f"o{corp.pk}x{i:024d}",
                "follows": [{"userid": people[0].userid, "createtime": int(time.time()) - 86_400 * 30 + i}],
            }
            for i in range(10)
        ],
    )
    return Town(brand, corp, *people, sandbox)


@pytest.fixture
def wecom(sandbox: Sandbox, settings: Any, transactional_db: Any) -> Sandbox:
    """The sandbox as the product's WeCom."""
    settings.WECOM_API_URL = sandbox.url
    callback_keys.forget()
    sandbox.post("clock", offset_s=0)
    return sandbox


@pytest.fixture
def town(wecom: Sandbox) -> Town:
    return open_town(wecom)


@pytest.fixture
def open_another(wecom: Sandbox) -> Callable[..., Town]:
    return lambda **over: open_town(wecom, **over)
