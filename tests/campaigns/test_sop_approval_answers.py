"""What becomes of what waits for a second person in SOPs: sent back, taken back, past; who is told in WeCom."""

from typing import Any

import pytest

from campaigns.models import SopRequest
from campaigns.services.broadcasts import broadcasts
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.governance import policy
from campaigns.services.moments import moments
from campaigns.services.moments.moments import MomentInput
from campaigns.services.sops import sop_approval, sop_requests, sops
from org.access import SYSTEM, Actor
from scrm.errors import ConflictError, InvalidError
from tests.campaigns.graphs import touch
from tests.campaigns.test_sop_approval import (
    CHECKER,
    WRITER,
    State,
    acts,
    by_day,
    draw,
    drawn,
    house,
    on_canvas,
)
from tests.factories import in_brand, make_corp, make_staff, make_user, role
from wecom.models import OutboundCall

__all__ = ["house"]
pytestmark = pytest.mark.django_db(transaction=True)

# ---- no, and taken back


def test_sent_back_with_a_reason_and_withdrawn(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert asked
        for reason in ("", "   ", "长" * 201):
            with pytest.raises(InvalidError) as wrong:
                sop_approval.reject(house, request_id=asked.pk, reason=reason, by=CHECKER)
            assert set(wrong.value.details["fields"]) == {"reason"}
        sop_approval.reject(house, request_id=asked.pk, reason="太频繁", by=CHECKER)
        last = sop_requests.last_of(sop)
        assert last and (last.state, last.reason) == (State.REFUSED, "太频繁")
        again = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert again and again.pk != asked.pk
        sop_approval.withdraw(house, request_id=again.pk, by=WRITER)
        assert sop_requests.last_of(sop) is None
        with pytest.raises(ConflictError):
            sop_approval.reject(house, request_id=again.pk, reason="x", by=CHECKER)
        assert acts()[1:] == ["sop.submit", "sop.reject", "sop.submit", "sop.withdraw"]


def test_what_was_sent_back_is_past_when_something_else_comes_into_force(house: Any) -> None:
    with in_brand(house):
        canvas, steps, ended = (
            on_canvas(house, touch("一")),
            by_day(house, name="步骤"),
            drawn(house, name="停"),
        )
        draw(house, canvas, touch("二"))
        asked = sop_approval.publish(house, sop_id=canvas.pk, by=WRITER).request
        assert asked
        sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        for sop, act in ((canvas, sop_approval.publish), (steps, sop_approval.switch_on)):
            if sop.is_graph:
                draw(house, sop, touch("三"))
            asked = act(house, sop_id=sop.pk, by=WRITER).request  # type: ignore[operator]
            assert asked
            sop_approval.reject(house, request_id=asked.pk, reason="不行", by=CHECKER)
            last = sop_requests.last_of(sops.get_sop(sop.pk))
            assert last and last.pk == asked.pk
        sop_approval.roll_back(house, sop_id=canvas.pk, n=1, by=WRITER)
        policy.change_policy(house, by=SYSTEM, sops_need_approval=False)
        sops.switch_on(house, sop_id=steps.pk, by=WRITER)
        for sop in (canvas, steps):
            assert sop_requests.last_of(sops.get_sop(sop.pk)) is None
        policy.change_policy(house, by=SYSTEM, sops_need_approval=True)
        asked = sop_approval.publish(house, sop_id=ended.pk, by=WRITER).request
        assert asked
        sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        draw(house, ended, touch("新"))
        asked = sop_approval.publish(house, sop_id=ended.pk, by=WRITER).request
        assert asked
        sop_approval.reject(house, request_id=asked.pk, reason="不行", by=CHECKER)
        assert sop_requests.last_of(sops.get_sop(ended.pk))
        sops.end(house, sop_id=ended.pk, by=WRITER)
        assert sop_requests.last_of(sops.get_sop(ended.pk)) is None


def test_a_draft_that_waits_may_be_deleted(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        sop_approval.publish(house, sop_id=sop.pk, by=WRITER)
        sops.delete_draft(house, sop_id=sop.pk, by=WRITER)
        assert not SopRequest.objects.exists()


# ---- notices


def test_whoever_may_approve_is_told_and_whoever_asked_hears_the_answer(house: Any) -> None:
    with in_brand(house):
        corp = make_corp(house)
        asker, checker, plain = (make_staff(house, corp, name=name) for name in ("申请人", "审批人", "店员"))
    users = [make_user(house, "admin", staff=asker), make_user(house, "admin", staff=checker)]
    with in_brand(house):
        plain.role = role(house, "guide")
        plain.save(update_fields=["role"])
        writer = Actor("申请人", user_id=users[0].pk)

        def told(key: str) -> list[str]:
            calls = OutboundCall.objects.filter(key__contains=key).order_by("pk")
            return [call.payload["userid"] for call in calls]

        asked = sop_approval.publish(house, sop_id=drawn(house).pk, by=writer).request
        assert asked
        assert told(f":sop_request:{asked.pk}") == [checker.userid]
        sop_approval.reject(house, request_id=asked.pk, reason="换一句话", by=Actor("审批人", users[1].pk))
        assert told(f":sop_decided:{asked.pk}") == [asker.userid]
        assert "换一句话" in OutboundCall.objects.get(key__contains="sop_decided").payload["text"]


def test_of_broadcasts_and_moments_that_wait_they_are_told_as_well(house: Any) -> None:
    with in_brand(house):
        corp = make_corp(house)
        asker, checker = (make_staff(house, corp, name=name) for name in ("申请人", "审批人"))
    users = [make_user(house, "admin", staff=asker), make_user(house, "admin", staff=checker)]
    with in_brand(house):
        policy.change_policy(house, by=SYSTEM, needs_approval=True)
        by = Actor("申请人", user_id=users[0].pk)
        audience = {"condition": {"kind": "everybody"}}
        draft = broadcasts.save_draft(
            house, BroadcastInput("上新", audience, [VariantInput("看看新品")]), by=by
        )
        broadcasts.launch(house, broadcast_id=draft.pk, by=by)
        moment = moments.save_draft(house, MomentInput("早安", "早安"), by=by)
        moments.launch(house, moment_id=moment.pk, by=by)
        calls = OutboundCall.objects.filter(key__contains="_approval:").order_by("pk")
        assert [(call.payload["userid"], call.payload["title"]) for call in calls] == [
            (checker.userid, "“上新”等待你审批"),
            (checker.userid, "“早安”等待你审批"),
        ]
        assert [call.payload["url"].split("/", 3)[3] for call in calls] == [
            f"broadcasts/{draft.pk}/",
            f"moments/{moment.pk}/",
        ]
