"""Moments against the sandbox: limits, range, the way to the guides, results, lost answers, stop."""

import io
from collections import Counter
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from campaigns.models import Moment, MomentGuide, StaffTask, TouchPolicy
from campaigns.services.governance import policy
from campaigns.services.moments import moment_handing, moment_reach, moments
from campaigns.services.moments.moments import MomentInput
from contacts.models import Event, EventType
from content.services import sensitive
from org.access import SYSTEM, Actor
from org.models import AuditEntry, Staff
from scrm import clock
from scrm.errors import ConflictError, InvalidError, LimitError, NotFoundError
from tagging.models import Tag, TagGroup
from tagging.services.tags import tags as tag_service
from tenants.scoping import tenant_scope
from tests.campaigns.conftest import Live, at, set_sandbox_clock
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_tag
from wecom.client import client_for
from wecom.models import MediaUpload, OutboundCall
from wecom.services import media

NOW = "2026-03-10 10:00"
THEN = at(NOW)
API = "externalcontact/add_moment_task"


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(out, "PNG")
    return out.getvalue()


def image(brand: Any, name: str = "a.png", kind: str = "image") -> int:
    content = png() if kind == "image" else b"\x00\x00\x00\x18ftypmp42" + b"0" * 2000
    return media.save_upload(brand, file=SimpleUploadedFile(name, content), kind=kind).pk


def given(**over: Any) -> MomentInput:
    return MomentInput(**{"name": "春上新", "text": "新品到店，欢迎来看", **over})


def order(live: Live, moment: datetime = THEN, **over: Any) -> Moment:
    """Written and launched at a moment of both clocks."""
    set_sandbox_clock(live.sandbox, moment)
    with clock.at(moment), in_brand(live.brand):
        draft = moments.save_draft(live.brand, given(**over), by=SYSTEM)
    with clock.at(moment), in_brand(live.brand):
        return moments.launch(live.brand, moment_id=draft.pk, by=SYSTEM)


def now(live: Live, moment_pk: int) -> Moment:
    with in_brand(live.brand):
        return Moment.objects.get(pk=moment_pk)


def in_sandbox(live: Live) -> list[dict[str, Any]]:
    return live.sandbox.get("moments", corpid=live.corp.corpid)


def parts(live: Live) -> Counter:
    with in_brand(live.brand):
        return Counter(MomentGuide.objects.values_list("state", flat=True))


@pytest.fixture
def wecom_tag(live: Live) -> Tag:
    """A tag of WeCom that the first two customers (of two guides) carry on both sides."""
    live.sandbox.load(live.corp.corpid, tag_groups=[{"group_name": "等级", "tags": ["金卡"]}])
    (there,) = client_for(live.corp).call("POST", "externalcontact/get_corp_tag_list", body={})["tag_group"]
    with in_brand(live.brand):
        group = TagGroup.objects.create(name="等级", corp=live.corp, wecom_id=there["group_id"])
        tag = make_tag(live.brand, "金卡", group, wecom_id=there["tag"][0]["id"])
        tag_service.add_tags(live.brand, contacts=live.contacts[:1], tags=[tag.pk], source="page")
    return tag


# ---- what WeCom takes


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "over",
    [
        {"name": " "}, {"name": "长" * 61}, {"text": ""}, {"text": "字" * 2001}, {"text": "字" * 1400},
        {"text": "{员工姓名}你好"}, {"text": 7},
        {"attachments": {}}, {"attachments": [{"type": "file", "file_id": 1}]}, {"attachments": ["x"]},
        {"attachments": [{"type": "image", "file_id": 999}]}, {"attachments": [{"type": "image", "file_id": "x"}]},
        {"attachments": [{"type": "link", "title": "t", "url": "ftp://x", "file_id": 1}]}, {"corp_id": 99},
        {"staff_ids": [99]}, {"tag_ids": [99]}, {"late_hours": 0}, {"at": at("2020-01-01 10:00")},
        {"at": at("2040-01-01 10:00")},
    ],
)  # fmt: skip
def test_what_wecom_would_refuse_is_refused_here(brand: Any, corp: Any, over: dict[str, Any]) -> None:
    with in_brand(brand), clock.at(at(NOW)), pytest.raises(InvalidError) as refused:
        moments.save_draft(brand, given(**over), by=SYSTEM)
    assert len(refused.value.details["fields"]) == 1
    with in_brand(brand):
        assert not Moment.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_pictures_or_a_video_or_a_link(brand: Any, corp: Any, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(brand):
        picture, video = image(brand), image(brand, "v.mp4", "video")
    one = {"type": "image", "file_id": picture}
    film = {"type": "video", "file_id": video}
    link = {"type": "link", "title": "新品", "url": "https://shop.example/a", "file_id": picture}
    with in_brand(brand):
        for good in ([one] * 9, [film], [link], [{**one, "rubbish": 1}]):
            saved = moments.save_draft(brand, given(attachments=good), by=SYSTEM)
            assert "rubbish" not in saved.attachments[0]
        for bad in ([one] * 10, [film, film], [one, film], [link, link], [{**film, "file_id": picture}]):
            with pytest.raises(InvalidError):
                moments.save_draft(brand, given(attachments=bad), by=SYSTEM)
        with pytest.raises(InvalidError):
            moments.save_draft(brand, given(attachments=[{**link, "title": "长" * 22}]), by=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_rows_of_another_brand_are_nobodys(brand: Any, other_brand: Any, corp: Any) -> None:
    with in_brand(other_brand):
        other_corp = make_corp(other_brand)
        other = make_staff(other_brand, other_corp)
        foreign = moments.save_draft(other_brand, given(), by=SYSTEM)
    with in_brand(brand):
        with pytest.raises(InvalidError):
            moments.save_draft(brand, given(staff_ids=[other.pk]), by=SYSTEM)
        for act in (moments.launch, moments.duplicate, moments.delete_draft, moments.remind):
            with pytest.raises(NotFoundError):
                act(brand, moment_id=foreign.pk, by=SYSTEM)


# ---- reach


@pytest.mark.django_db(transaction=True)
def test_reach_counts_guides_and_customers(brand: Any, corp: Any) -> None:
    with in_brand(brand):
        first, second, idle = (make_staff(brand, corp) for _ in range(3))
        people = [make_contact(brand, first) for _ in range(3)] + [
            make_contact(brand, second) for _ in range(2)
        ]
        group = TagGroup.objects.create(name="等级", corp=corp, wecom_id="g")
        tag = make_tag(brand, "金卡", group, wecom_id="t")
        tag_service.add_tags(brand, contacts=people[2:4], tags=[tag.pk], source="page")
        make_contact(brand, first, do_not_contact=True)

        def of(**over: Any) -> tuple[int, int, int]:
            found = moment_reach.reach(brand, moments.save_draft(brand, given(**over), by=SYSTEM))
            return found.n_guides, found.n_customers, found.n_quiet

        assert of() == (3, 6, 1)
        assert of(staff_ids=[first.pk]) == (1, 4, 1)
        assert of(tag_ids=[tag.pk]) == (2, 2, 0)
        assert of(tag_ids=[tag.pk], staff_ids=[second.pk, idle.pk]) == (2, 1, 0)
        draft = moments.save_draft(brand, given(staff_ids=[idle.pk], tag_ids=[tag.pk]), by=SYSTEM)
        Staff.objects.filter(pk=idle.pk).update(state=Staff.State.LEFT)
        Tag.objects.filter(pk=tag.pk).update(deleted_at=clock.now())
        gone = moment_reach.reach(brand, draft)
        assert (gone.n_guides, gone.n_customers, gone.n_gone) == (0, 0, 2) and gone.nobody


@pytest.mark.django_db(transaction=True)
def test_whose_day_is_full_is_said(brand: Any, corp: Any, sign_in: Any) -> None:
    """Of those who would publish it, on the day on which it goes out; nobody is held back."""
    on = clock.now() + timedelta(days=2)
    with in_brand(brand):
        busy, free, elsewhere = (make_staff(brand, corp) for _ in range(3))
        for n, guide in enumerate((busy, busy, free, elsewhere, elsewhere)):
            due = on + timedelta(days=guide == elsewhere)
            StaffTask.objects.create(staff=guide, kind="call", title="打电话", due_at=due, key=f"{n}")
        draft = moments.save_draft(brand, given(at=on), by=SYSTEM)
        assert moment_reach.reach(brand, draft).n_busy == 0  # the brand has no limit
        policy.change_policy(brand, guide_tasks_a_day=2, guide_busy="leave_out", by=SYSTEM)
        assert moment_reach.reach(brand, draft).n_busy == 1
        only = moments.save_draft(brand, given(at=on, staff_ids=[free.pk]), by=SYSTEM)
        assert moment_reach.reach(brand, only).n_busy == 0
    assert (
        "1 位导购当天的待办已满" in sign_in(brand, "operator").get(f"/moments/{draft.pk}/").content.decode()
    )


# ---- to the guides and back


def test_the_whole_way(live: Live, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(live.brand):
        picture = image(live.brand)
    start = clock.now() + timedelta(hours=1)  # the customers were there before
    moment = order(live, start, attachments=[{"type": "image", "file_id": picture}])
    live.tick(start)
    live.tick(start + timedelta(seconds=10))
    assert now(live, moment.pk).state == "out"
    assert parts(live) == {"waiting": 2} and len(in_sandbox(live)) == 1
    wecom_id = now(live, moment.pk).moment_id

    live.sandbox.post("publish", corpid=live.corp.corpid, moment_id=wecom_id, userid=live.guides[0].userid)
    external = live.externals[live.contacts[0].pk]
    for kind in ("like", "comment"):
        live.sandbox.post(
            "react", corpid=live.corp.corpid, moment_id=wecom_id, userid=live.guides[0].userid,
            external_userid=external, kind=kind,
        )  # fmt: skip
    live.tick(start + timedelta(minutes=2))
    row = now(live, moment.pk)
    assert (row.n_guides, row.n_published, row.n_customers, row.n_likes, row.n_comments) == (2, 1, 3, 1, 1)
    assert row.state == "out" and parts(live) == {"waiting": 1, "published": 1}

    live.sandbox.post("publish", corpid=live.corp.corpid, moment_id=wecom_id)
    for hours in (2, 8, 30, 80, 200):  # read again and again: a like is told once
        live.tick(start + timedelta(hours=hours))
    row = now(live, moment.pk)
    assert (row.n_published, row.n_customers, row.state) == (2, 6, "done") and row.ended_at
    with in_brand(live.brand):
        types = Counter(Event.objects.filter(contact_id=live.contacts[0].pk).values_list("type", flat=True))
        assert types[EventType.MOMENT_LIKED] == types[EventType.MOMENT_COMMENTED] == 1
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["moment.create", "moment.launch"]
    before = len(live.sandbox.calls(corpid=live.corp.corpid))
    live.tick(start + timedelta(hours=300))
    assert len(live.sandbox.calls(corpid=live.corp.corpid)) == before  # what is over is not asked about


def test_at_a_time_and_not_in_quiet_hours(live: Live) -> None:
    moment = order(live, at=at("2026-03-10 23:30"))
    with in_brand(live.brand):
        TouchPolicy.objects.create(quiet_start=time(22), quiet_end=time(8))
    live.tick(at("2026-03-10 12:00"))
    live.tick(at("2026-03-10 23:31"))
    assert now(live, moment.pk).state == "planned" and in_sandbox(live) == []
    live.tick(at("2026-03-11 08:00"))
    assert now(live, moment.pk).state == "running" and len(in_sandbox(live)) == 1


def test_too_late_or_without_guides_it_goes_to_nobody(live: Live) -> None:
    late = order(live, at=at("2026-03-10 11:00"), late_hours=2)
    only = order(live, text="乙", at=at("2026-03-12 10:00"), staff_ids=[live.guides[0].pk])
    with in_brand(live.brand):
        Staff.objects.filter(pk=live.guides[0].pk).update(state=Staff.State.LEFT)
    live.tick(at("2026-03-12 10:00"))
    assert [now(live, m.pk).error for m in (late, only)] == ["late", "guides"]
    assert {now(live, m.pk).state for m in (late, only)} == {"failed"} and in_sandbox(live) == []


def test_whoever_launched_it_is_told_that_it_went_to_nobody(live: Live) -> None:
    set_sandbox_clock(live.sandbox, THEN)
    with clock.at(THEN), in_brand(live.brand):
        Staff.objects.filter(pk=live.guides[1].pk).update(user_id=77)
        draft = moments.save_draft(
            live.brand, given(staff_ids=[live.guides[0].pk], at=at("2026-03-12 10:00")), by=Actor("小运", 77)
        )
        moments.launch(live.brand, moment_id=draft.pk, by=Actor("小运", 77))
        Staff.objects.filter(pk=live.guides[0].pk).update(state=Staff.State.LEFT)
    for hours in (0, 1):  # once
        live.tick(at("2026-03-12 10:00") + timedelta(hours=hours))
    assert now(live, draft.pk).error == "guides"
    with in_brand(live.brand):
        [notice] = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE, key__contains="moment-failed")
    assert notice.payload["userid"] == live.guides[1].userid and "春上新" in notice.payload["title"]
    assert notice.payload["url"].endswith(f"/moments/{draft.pk}/")


@pytest.mark.parametrize("n_looks", [1, 3])
def test_an_answer_is_lost_and_the_moment_is_found_again(live: Live, n_looks: int) -> None:
    live.sandbox.post("faults", api=API, kind="drop_after", times=1)
    moment = order(live)
    assert now(live, moment.pk).state == "calling" and len(in_sandbox(live)) == 1
    for look in range(n_looks):
        live.tick(at(NOW) + timedelta(minutes=1 + 2 * look))
    row = now(live, moment.pk)
    assert row.state == "out" and row.moment_id == in_sandbox(live)[0]["moment_id"]
    assert len(in_sandbox(live)) == 1


@pytest.mark.parametrize("kind", ["html", "http500"])
def test_a_call_that_was_never_made_is_made_again_after_half_an_hour(live: Live, kind: str) -> None:
    live.sandbox.post("faults", api=API, kind=kind, times=1)
    moment = order(live)
    for minute in (1, 10, 20, 29):
        live.tick(at(NOW) + timedelta(minutes=minute))
        assert now(live, moment.pk).state == "calling" and in_sandbox(live) == []
    live.tick(at(NOW) + timedelta(minutes=31))
    live.tick(at(NOW) + timedelta(minutes=32))
    assert len(in_sandbox(live)) == 1 and now(live, moment.pk).state in ("running", "out")


def test_twins_wait_for_each_other(live: Live) -> None:
    live.sandbox.post("faults", api=API, kind="drop_after", times=1)
    first, second = order(live), order(live)
    assert [now(live, m.pk).state for m in (first, second)] == ["calling", "planned"]
    for minute in range(1, 5):
        live.tick(at(NOW) + timedelta(minutes=minute))
    ids = {now(live, m.pk).moment_id for m in (first, second)}
    assert len(in_sandbox(live)) == 2 and ids == {row["moment_id"] for row in in_sandbox(live)}


def test_a_process_dies_between_claim_and_record(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    set_sandbox_clock(live.sandbox, at(NOW))
    with clock.at(at(NOW)), in_brand(live.brand):
        draft = moments.save_draft(live.brand, given(at=at("2026-03-10 10:01")), by=SYSTEM)
        moments.launch(live.brand, moment_id=draft.pk, by=SYSTEM)
    real = moment_handing.api.add_moment_task

    def call_and_die(*args: Any, **kwargs: Any) -> str:
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(moment_handing.api, "add_moment_task", call_and_die)
    with pytest.raises(Killed):
        live.tick(at("2026-03-10 10:01"))
    monkeypatch.undo()
    assert now(live, draft.pk).state == "calling" and len(in_sandbox(live)) == 1
    for minute in range(2, 9):
        live.tick(at(f"2026-03-10 10:0{minute}"))
    assert now(live, draft.pk).state == "out" and len(in_sandbox(live)) == 1


def test_words_that_are_refused_by_now(live: Live) -> None:
    with clock.at(THEN), in_brand(live.brand):
        draft = moments.save_draft(live.brand, given(at=THEN + timedelta(hours=1)), by=SYSTEM)
        moments.launch(live.brand, moment_id=draft.pk, by=SYSTEM)
        sensitive.add_words(live.brand, words=["到店"], level="refuse", by=SYSTEM)
    live.tick(THEN + timedelta(hours=1))
    row = now(live, draft.pk)
    assert row.state == "failed" and "到店" in row.error and not in_sandbox(live)


def test_wecom_has_forgotten_the_picture_early(live: Live) -> None:
    with in_brand(live.brand):
        picture = image(live.brand)
        MediaUpload.objects.create(
            file_id=picture,
            corp=live.corp,
            use="moment",
            media_id="gone",
            uploaded_at=THEN - timedelta(hours=1),
        )
    moment = order(live, attachments=[{"type": "image", "file_id": picture}])
    for minute in range(1, 4):
        live.tick(THEN + timedelta(minutes=minute))
    assert now(live, moment.pk).state == "out" and len(in_sandbox(live)) == 1


@pytest.mark.parametrize("errcode", [45009, -1])
def test_what_is_not_done_waits(live: Live, errcode: int) -> None:
    live.sandbox.post("faults", api=API, kind="errcode", errcode=errcode, times=5)
    moment = order(live)
    row = now(live, moment.pk)
    assert row.state == "planned" and row.error and row.next_try_at > at(NOW)
    assert in_sandbox(live) == []


def test_wecoms_no_is_final(live: Live) -> None:
    live.sandbox.post("faults", api=API, kind="errcode", errcode=40058, times=1)
    moment = order(live)
    assert now(live, moment.pk).state == "failed" and "40058" in now(live, moment.pk).error


def test_stop_before_and_after_the_guides_have_it(live: Live) -> None:
    early = order(live, at=at("2026-03-11 10:00"))
    with clock.at(at(NOW)), tenant_scope(live.brand):
        moments.cancel(live.brand, moment_id=early.pk, by=SYSTEM)
    assert now(live, early.pk).state == "cancelled"
    moment = order(live, text="乙")
    live.tick(at(NOW) + timedelta(seconds=10))
    wecom_id = now(live, moment.pk).moment_id
    live.sandbox.post("publish", corpid=live.corp.corpid, moment_id=wecom_id, userid=live.guides[0].userid)
    with clock.at(at(NOW) + timedelta(minutes=5)), tenant_scope(live.brand):
        moments.cancel(live.brand, moment_id=moment.pk, by=SYSTEM)
        with pytest.raises(ConflictError):
            moments.cancel(live.brand, moment_id=moment.pk, by=SYSTEM)
    assert parts(live) == {"published": 1, "missed": 1}
    assert sorted(t["status"] for t in in_sandbox(live)[0]["tasks"]) == [-1, 1]
    live.tick(at(NOW) + timedelta(days=8))
    live.tick(at(NOW) + timedelta(days=8, hours=8))
    assert now(live, moment.pk).state == "cancelled"


def test_nobody_publishes_for_a_month(live: Live) -> None:
    moment = order(live)
    for days in (1, 5, 31, 32):
        live.tick(at(NOW) + timedelta(days=days))
    assert parts(live) == {"missed": 2} and now(live, moment.pk).state == "cancelled"


def test_guides_are_reminded_once_in_some_hours(live: Live) -> None:
    moment = order(live)
    live.tick(at(NOW) + timedelta(seconds=10))
    with clock.at(at(NOW) + timedelta(minutes=1)):
        with in_brand(live.brand):
            assert moments.remind(live.brand, moment_id=moment.pk, by=SYSTEM) == 2
        with in_brand(live.brand), pytest.raises(LimitError):
            moments.remind(live.brand, moment_id=moment.pk, by=SYSTEM)
    told = live.sandbox.sent("app", corpid=live.corp.corpid)
    assert sorted(row["userid"] for row in told) == sorted(g.userid for g in live.guides)
    assert "春上新" in told[0]["text"]


def test_tags_reach_wecom_by_its_own_ids(live: Live, wecom_tag: Tag) -> None:
    order(live, tag_ids=[wecom_tag.pk], staff_ids=[live.guides[0].pk])
    (row,) = in_sandbox(live)
    assert row["tags"] == [wecom_tag.wecom_id]
    assert [t["userid"] for t in row["tasks"]] == [live.guides[0].userid]


def test_a_tag_that_wecom_does_not_know_never_means_everybody(live: Live, wecom_tag: Tag) -> None:
    with in_brand(live.brand):
        Tag.objects.filter(pk=wecom_tag.pk).update(wecom_id="gone")
    moment = order(live, tag_ids=[wecom_tag.pk])
    live.tick(at(NOW) + timedelta(seconds=10))
    row = now(live, moment.pk)
    assert (row.state, row.error) == ("failed", "tags")
    assert {t["status"] for t in in_sandbox(live)[0]["tasks"]} == {-1}


def test_the_same_order_twice_is_one_moment(live: Live) -> None:
    set_sandbox_clock(live.sandbox, at(NOW))
    ids = set()
    for _time in range(2):
        with clock.at(at(NOW)), in_brand(live.brand):
            made = moments.create_for(live.brand, given(), key="step7:2026-03-10", source="sop", source_id=7)
            ids.add(made.pk)
    assert len(ids) == 1 and len(in_sandbox(live)) == 1
    assert now(live, ids.pop()).source_id == 7
