"""Between the plan and the hand-over a night may lie: what people and the brand wish by then holds, with its reason."""

from collections import Counter
from dataclasses import replace
from datetime import time, timedelta
from typing import Any

import pytest

from campaigns.models import Touch
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.journeys import walking
from campaigns.services.sops import enrolments
from contacts.services.contacts import set_do_not_contact
from content.services import editing
from content.services.editing import ContentInput
from org.access import SYSTEM
from scrm import clock
from tagging.services.tags.changes import each, put_on
from tests.campaigns.conftest import Live, at
from tests.campaigns.graphs import entry, line, touch, wait
from tests.factories import in_brand, make_tag

pytestmark = pytest.mark.django_db(transaction=True)
NIGHT, MORNING = at("2026-03-10 23:00"), at("2026-03-11 08:00")
S, R = Touch.State, Touch.Reason


def plan_sop(live: Live, **node: Any) -> None:
    sop = graphs.create_graph_sop(
        live.brand, name="旅程", graph=line(entry(), touch("早上好", **node), wait(n=9))
    )
    graphs.publish(live.brand, sop_id=sop.pk, by=SYSTEM)
    enrolments.enrol_many(live.brand, sop=sop, contact_ids=[c.pk for c in live.contacts], source="page")
    walking.run(live.brand, NIGHT)


def plan_broadcast(live: Live, **variant: Any) -> None:
    given = BroadcastInput("群发", {"condition": {"kind": "everybody"}}, [VariantInput("早上好", **variant)])
    draft = broadcasts.save_draft(live.brand, given, by=SYSTEM)
    broadcasts.launch(live.brand, broadcast_id=draft.pk, by=SYSTEM)
    waves.run_due(live.brand)


def morning(live: Live) -> Counter[tuple[int, int]]:
    """Guides send what they have; (state, reason) of the ledger."""
    live.tick(MORNING + timedelta(minutes=1))
    live.confirm_all(MORNING + timedelta(minutes=5))
    live.tick(MORNING + timedelta(minutes=10))
    with in_brand(live.brand):
        return Counter(Touch.objects.values_list("state", "reason"))


@pytest.mark.parametrize("plan, kind", [(plan_sop, Touch.Kind.SOP), (plan_broadcast, Touch.Kind.BROADCAST)])
def test_wishes_of_the_night_hold_in_the_morning(live: Live, plan: Any, kind: Touch.Kind) -> None:
    refuses, tagged, quiet, other, *_rest = live.contacts
    with in_brand(live.brand), clock.at(NIGHT):
        tag = make_tag(live.brand, "投诉")
        policy.change_policy(live.brand, caps=[], quiet_start=time(22), quiet_end=time(8), by=SYSTEM)
        policy.add_no_contact_rule(live.brand, name="投诉", tag_id=tag.pk, by=SYSTEM)
        plan(live)
        assert Touch.objects.filter(state=S.PLANNED).count() == 6
    with in_brand(live.brand), clock.at(NIGHT + timedelta(hours=3)):
        policy.set_refusal(live.brand, contact_id=refuses.pk, kind=kind, refused=True, by=SYSTEM)
        put_on(live.brand, each([tag.pk], [tagged.pk]), source="page")
        set_do_not_contact(live.brand, contacts=[quiet], value=True, by=SYSTEM)
        another = {Touch.Kind.SOP: Touch.Kind.BROADCAST, Touch.Kind.BROADCAST: Touch.Kind.SOP}[kind]
        policy.set_refusal(live.brand, contact_id=other.pk, kind=another, refused=True, by=SYSTEM)
    assert morning(live) == {
        (S.BLOCKED, R.REFUSED_KIND): 1,
        (S.BLOCKED, R.NO_CONTACT_RULE): 1,
        (S.BLOCKED, R.DO_NOT_CONTACT): 1,
        (S.DELIVERED, R.NONE): 3,
    }
    gone = {live.externals[c.pk] for c in (refuses, tagged, quiet)}
    assert not {external for external, _text in live.received()} & gone and len(live.received()) == 3


@pytest.mark.parametrize("plan", [plan_sop, plan_broadcast])
@pytest.mark.parametrize("what", ["expired", "archived"])
def test_content_that_may_not_be_sent_any_more(live: Live, plan: Any, what: str) -> None:
    with in_brand(live.brand), clock.at(NIGHT):
        policy.change_policy(live.brand, caps=[], quiet_start=time(22), quiet_end=time(8), by=SYSTEM)
        given = ContentInput(name="话术", text="早上好")
        saved = editing.create_content(live.brand, given=given, by=SYSTEM)
        item, version = saved.content, saved.version
        assert version is not None
        plan(live, **({"content_id": item.pk} if plan is plan_sop else {"content_version": version.pk}))
    with in_brand(live.brand), clock.at(NIGHT + timedelta(hours=3)):
        # Not before the launch: what is known to expire until then is refused there.
        if what == "archived":
            editing.archive(live.brand, content_id=item.pk, by=SYSTEM)
        else:
            soon = replace(given, expires_at=NIGHT + timedelta(hours=5))
            editing.edit_content(live.brand, content_id=item.pk, given=soon, by=SYSTEM)
    assert morning(live) == {(S.BLOCKED, R.CONTENT): 6}
    assert live.received() == {}
