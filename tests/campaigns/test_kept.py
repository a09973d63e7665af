"""What quiet hours keep from the guides is told where the messages are counted as waiting."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.test import Client

from campaigns.models import SendTask, Sop
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.governance import policy
from campaigns.services.ledger import waiting
from campaigns.services.ledger.waiting import Kept
from campaigns.services.sops import stepping
from contacts.models import Contact
from org.access import SYSTEM
from scrm import clock
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, touch, wait
from tests.campaigns.test_api import client_of
from tests.campaigns.test_broadcasts import WRITER, given
from tests.campaigns.test_journeys import World, world
from tests.campaigns.test_services import make_sop
from tests.factories import in_brand

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)
NIGHT, MORNING = at("2026-05-04 22:00"), at("2026-05-05 08:30")


@pytest.fixture
def night(world: World) -> World:
    with in_brand(world.brand), clock.at(NIGHT):
        policy.change_policy(world.brand, caps=[], quiet_start=time(21), quiet_end=time(8, 30), by=SYSTEM)
    world.now = NIGHT
    return world


def page(client: Client, url: str, now: Any) -> str:
    with clock.at(now):
        answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_broadcast(night: World, sign_in: Any) -> None:
    with in_brand(night.brand), clock.at(NIGHT):
        draft = broadcasts.save_draft(night.brand, given(), by=WRITER)
        broadcasts.launch(night.brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(night.brand)
        row = broadcasts.get_broadcast(draft.pk)
        assert waiting.kept_of_broadcast(row) == Kept(len(night.people), MORNING, MORNING)
    client, url = sign_in(night.brand, "operator"), f"/broadcasts/{draft.pk}/"
    assert "4 条消息还没有交给导购" in page(client, url, NIGHT) and "05-05 08:30" in page(client, url, NIGHT)
    with clock.at(NIGHT):
        told = client_of(night.brand, "broadcasts.view").get(f"/api/v1/broadcasts/{draft.pk}/").json()["kept"]
    assert (told["n"], told["first"]) == (4, told["last"])
    # with the next tick it is with the guides; what WeCom refuses has words of its own; who has paused it knows
    assert "还没有交给导购" not in page(client, url, MORNING - timedelta(minutes=1))
    with in_brand(night.brand), clock.at(NIGHT):
        SendTask.objects.update(error="45033")
        assert waiting.kept_of_broadcast(row) is None
        SendTask.objects.update(error="")
        broadcasts.pause(night.brand, broadcast_id=draft.pk, by=WRITER)
        assert waiting.kept_of_broadcast(broadcasts.get_broadcast(draft.pk)) is None
        broadcasts.cancel(night.brand, broadcast_id=draft.pk, by=WRITER)
    # a wave of which nothing went out is not "planned" any more
    said = page(client, url, NIGHT).split('data-label="状态"')[1].split("</td>")[0]
    assert "已取消" in said and "已计划" not in said


@pytest.mark.parametrize("form", ["steps", "graph"])
def test_an_sop(night: World, sign_in: Any, form: str) -> None:
    sop: Sop
    if form == "graph":
        sop = night.publish(line(entry(), touch("晚安"), wait(n=3)))
        night.put_in(sop)
        night.tick()
    else:
        with in_brand(night.brand), clock.at(NIGHT - timedelta(hours=12)):
            sop = make_sop(night.brand, (0, 22))
        night.now -= timedelta(hours=12)
        night.put_in(sop)
        night.now = NIGHT + timedelta(minutes=1)
        with in_brand(night.brand), clock.at(night.now):
            stepping.run(night.brand, night.now)
    client = sign_in(night.brand, "operator")
    with in_brand(night.brand):
        n = Contact.objects.count()
        assert SendTask.objects.exists()
    said = page(client, f"/sops/{sop.pk}/", night.now)
    assert f"{n} 条消息还没有交给导购" in said and "05-05 08:30" in said
    if form == "graph":
        assert "还没有交给导购" in page(client, f"/sops/{sop.pk}/figures/", night.now)
