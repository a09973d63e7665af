"""WeCom's own figures of members and groups against the sandbox: by Shanghai's days, once, resumed, shown."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from org.access import SYSTEM
from org.models import Job
from scrm import clock
from tests.factories import in_brand, make_staff
from tests.groups.conftest import Town, external, sandbox, sandbox_server, town, wecom
from tests.wecom.sandbox_client import Sandbox
from wecom.models import StaffDay
from wecom.services import staff_stats
from wecom.tasks import nightly_stats

__all__ = ["sandbox", "sandbox_server", "town", "wecom"]
pytestmark = pytest.mark.django_db(transaction=True)


def read(town: Town) -> Job:
    with in_brand(town.brand):
        job = staff_stats.start(town.brand, corp=town.corp, by=SYSTEM)
    with in_brand(town.brand):
        job.refresh_from_db()
    return job


@pytest.fixture(autouse=True)
def noon(wecom: Sandbox) -> Iterator[datetime]:
    """Tomorrow's noon in Shanghai, on both sides: what happens in a test is of one day. WeCom's clock goes on."""
    moment = (clock.now() + timedelta(days=1)).replace(hour=4)
    wecom.post("clock", at=moment.timestamp())
    with clock.at(moment):
        yield moment


def live(town: Town) -> str:
    """A day in which 甲 talks with customers and the group is alive; its chat_id."""
    chat_id = town.make_group(n=2)
    for n in (0, 1):
        given = {"userid": town.a.userid, "external_userid": external(n)}
        town.post("say", text="在吗", **given)
        town.post("reply", text="在的", **given)
    town.post("customer_deletes", userid=town.a.userid, external_userid=external(1))
    town.post("group_say", chat_id=chat_id, who=external(0), text="早")
    return chat_id


def test_figures_of_yesterday_once(town: Town, noon: datetime) -> None:
    live(town)
    town.sandbox.post("clock", at=noon.timestamp() + 86_400)
    with clock.at(noon + timedelta(days=1)):
        for _ in range(2):
            job = read(town)
            assert (job.state, job.error) == ("done", "")
        with in_brand(town.brand):
            day = StaffDay.objects.get(staff=town.a, on=staff_stats.yesterday())
            assert (day.n_chats, day.n_messages, day.n_negative, day.reply_ratio) == (2, 2, 1, 1.0)
            assert (day.n_groups, day.n_members, day.n_group_messages) == (1, 3, 1)
            assert StaffDay.objects.filter(staff=town.a).count() == 30
            figures = staff_stats.figures(town.a)
            assert (figures.n_messages, figures.n_group_messages) == (2, 1)
            assert staff_stats.figures(town.b).n_messages == 0
    calls = town.sandbox.calls("externalcontact/get_user_behavior_data", corpid=town.corp.corpid)
    assert len(calls) == 3  # one for each member; the second reading had nothing to ask


def test_members_whom_wecom_refuses_stop_nobody(town: Town, noon: datetime) -> None:
    live(town)
    with in_brand(town.brand):
        make_staff(town.brand, town.corp)  # WeCom does not know them
    town.sandbox.post("clock", at=noon.timestamp() + 86_400)
    with clock.at(noon + timedelta(days=1)):
        assert read(town).state == "done"
        with in_brand(town.brand):
            assert StaffDay.objects.get(staff=town.a, on=staff_stats.yesterday()).n_group_messages == 1


def test_the_staff_page_shows_them(town: Town, sign_in: Any) -> None:
    client = sign_in(town.brand)
    assert "企业微信统计" not in client.get(f"/staff/{town.a.pk}/").content.decode()
    with in_brand(town.brand):
        StaffDay.objects.create(
            staff=town.a, on=staff_stats.yesterday(), n_chats=4, n_messages=1234, reply_ratio=0.5, n_added=3
        )
    page = client.get(f"/staff/{town.a.pk}/").content.decode()
    assert "1,234" in page
    assert "50" in page


def test_each_morning_for_each_brand(town: Town) -> None:
    nightly_stats.delay()
    assert [job.state for job in town.jobs(staff_stats.KIND)] == ["done"]
