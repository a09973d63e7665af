"""Between plan and hand-over, and after it: what is handed over is what is right then, and what was handed over twice is
stopped."""

from datetime import timedelta

import pytest

from campaigns.models import SendTask, Touch
from campaigns.services.graphs import graphs
from campaigns.services.sending import handing
from campaigns.services.sops import enrolments
from content.services import sensitive
from groups.models import GroupCode
from org.access import SYSTEM
from scrm import clock
from tests.campaigns.conftest import Live, at, set_sandbox_clock
from tests.campaigns.graphs import entry, line, touch
from tests.campaigns.test_lost import API, DUE, enrol_all
from tests.content.conftest import make_picture
from tests.factories import in_brand
from wecom.api import messages
from wecom.client import client_for
from wecom.models import MediaUpload, OutboundCall
from wecom.services import outbound

pytestmark = pytest.mark.django_db(transaction=True)
STOP = "externalcontact/cancel_groupmsg_send"


@pytest.mark.parametrize("after", ["other", "none"])
def test_the_picture_of_a_group_changes_between_plan_and_hand_over(live: Live, after: str) -> None:
    """The group was full and has another code by now, or none: nobody gets the picture that leads nowhere."""
    moment = at(DUE)
    with in_brand(live.brand), clock.at(moment):
        code = GroupCode.objects.create(
            corp=live.corp, name="门店群", state="g1", file=make_picture(live.brand)
        )
        graph = line(entry(), {"kind": "group", "group_code_id": code.pk, "text": "来群里"})
        sop = graphs.create_graph_sop(live.brand, name="旅程", graph=graph)
        graphs.publish(live.brand, sop_id=sop.pk, by=SYSTEM)
        sop.refresh_from_db()
        people = [c.pk for c in live.contacts]
        assert enrolments.enrol_many(live.brand, sop=sop, contact_ids=people, source="page", at=moment) == 6
    live.sandbox.post("faults", api=API, kind="errcode", errcode=-1)  # planned, and not handed over
    live.tick(moment)
    live.sandbox.post("faults/clear")
    with in_brand(live.brand), clock.at(moment):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"planned"}
        code.file = make_picture(live.brand, color="blue") if after == "other" else None
        code.save(update_fields=["file"])
    live.tick(moment + timedelta(minutes=10))
    with in_brand(live.brand):
        tasks = list(SendTask.objects.all())
        if after == "other":
            assert [(t.state, t.attachments[0]["file_id"]) for t in tasks] == [("handed", code.file_id)] * 2
        else:
            assert {t.state for t in tasks} == {"failed"}
            found = set(Touch.objects.values_list("state", "reason"))
            assert found == {(Touch.State.BLOCKED, Touch.Reason.CONTENT)}


def test_what_was_handed_over_twice_is_stopped_in_the_end(live: Live) -> None:
    """The process slept in the middle of its call, another one has made it: WeCom does not answer at first when the second
    one is stopped."""
    enrol_all(live, (1, 10))
    moment = at(DUE)
    live.tick(moment)
    set_sandbox_clock(live.sandbox, moment)
    with in_brand(live.brand), clock.at(moment):
        task = SendTask.objects.select_related("corp", "staff").order_by("pk")[0]
        receivers = [live.externals[pk] for pk in task.contact_ids]
        client = client_for(live.corp)
        again = messages.add_msg_template(
            client, sender=task.staff.userid, external_userids=receivers, text=task.text, attachments=[]
        )["msgid"]
    live.sandbox.post("faults", api=STOP, kind="errcode", errcode=-1, times=3)
    made = [handing.Made(task, again)]
    for _again in range(2):  # the second time nothing is new
        with clock.at(moment), in_brand(live.brand):
            handing.record_handed(live.brand, made)
    with clock.at(moment), in_brand(live.brand):
        call = OutboundCall.objects.get(kind="stop_send")
        assert call.state == "waiting" and call.error and call.payload["userid"] == task.staff.userid
        task.refresh_from_db()
        assert task.state == "handed" and task.msgid != again
    with clock.at(moment + timedelta(minutes=5)), in_brand(live.brand):
        assert outbound.deliver_one(live.brand, call.pk) == "done"
    live.confirm_all(moment + timedelta(minutes=6))
    assert live.sandbox.post("confirm", corpid=live.corp.corpid, msgid=again)["sent"] == 0
    assert set(live.received().values()) == {1} and len(live.received()) == 6


@pytest.mark.parametrize("again", [False, True])
def test_wecom_has_forgotten_a_file_early(live: Live, again: bool) -> None:
    """It is uploaded anew and sent; what is not known right after that is refused for good."""
    moment = at(DUE)
    with in_brand(live.brand), clock.at(moment - timedelta(hours=1)):
        picture = {"type": "image", "file_id": make_picture(live.brand).pk}
        sop = graphs.create_graph_sop(
            live.brand, name="旅程", graph=line(entry(), touch("上新了", attachments=[picture]))
        )
        graphs.publish(live.brand, sop_id=sop.pk, by=SYSTEM)
        sop.refresh_from_db()
        MediaUpload.objects.create(
            file_id=picture["file_id"], corp=live.corp, media_id="forgotten", uploaded_at=clock.now()
        )
    with in_brand(live.brand), clock.at(moment):
        people = [c.pk for c in live.contacts]
        enrolments.enrol_many(live.brand, sop=sop, contact_ids=people, source="page", at=moment)
    if again:
        live.sandbox.post("faults", api=API, kind="errcode", errcode=40007)
    for minute in range(3):
        live.tick(moment + timedelta(minutes=minute))
    with in_brand(live.brand):
        assert not MediaUpload.objects.filter(media_id="forgotten").exists()
        assert set(SendTask.objects.values_list("state", flat=True)) == {"failed" if again else "handed"}
        if again:
            assert all("40007" in error for error in SendTask.objects.values_list("error", flat=True))
    live.confirm_all(moment + timedelta(minutes=6))
    assert sum(live.received().values()) == (0 if again else 6)


@pytest.mark.parametrize(
    "late, days, found",
    [("skip", 0, Touch.Reason.TOO_LATE), ("send", 0, 0), ("send", 6, 0), ("shift", 6, 0)],
)
def test_a_canvas_chooses_what_is_too_late_also_when_wecom_did_not_take_it(
    live: Live, late: str, days: int, found: int
) -> None:
    moment = at(DUE)
    with in_brand(live.brand), clock.at(moment):
        graph = line(entry(), touch("上新了"), late=late, late_hours=1)
        sop = graphs.create_graph_sop(live.brand, name="旅程", graph=graph)
        graphs.publish(live.brand, sop_id=sop.pk, by=SYSTEM)
        sop.refresh_from_db()
        people = [c.pk for c in live.contacts]
        enrolments.enrol_many(live.brand, sop=sop, contact_ids=people, source="page", at=moment)
    live.sandbox.post("faults", api=API, kind="errcode", errcode=-1)  # planned, and not handed over
    live.tick(moment)
    live.sandbox.post("faults/clear")
    for minute in range(3):
        live.tick(moment + timedelta(days=days, hours=3, minutes=minute))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"failed" if found else "handed"}
        assert set(Touch.objects.values_list("reason", flat=True)) == {found}


def test_words_that_are_refused_by_now(live: Live) -> None:
    """Somebody adds a word to the list after the messages were planned: what says it is not sent any more."""
    enrol_all(live, (1, 10), name="上新")
    moment = at(DUE)
    live.sandbox.post("faults", api=API, kind="errcode", errcode=-1)
    live.tick(moment)
    live.sandbox.post("faults/clear")
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"planned"}
        sensitive.add_words(live.brand, words=["上 新"], level="refuse", by=SYSTEM)
    live.tick(moment + timedelta(minutes=10))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"failed"}
        assert set(Touch.objects.values_list("state", "reason")) == {
            (Touch.State.BLOCKED, Touch.Reason.CONTENT)
        }
