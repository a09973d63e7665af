"""Every act of campaigns, content and guides, called as one brand with the ids of another: refused or without effect. The
other brand's rows stay as they are to the last byte, and nothing that is told carries one of its names."""

import contextlib
import hashlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, transaction

import campaigns.services
import content.services
import guides.services
from campaigns import tasks as campaign_tasks
from campaigns.models import (
    AlertRule,
    Broadcast,
    Enrolment,
    Moment,
    NoContactRule,
    SendTask,
    Sop,
    SopRequest,
    StaffTask,
    Touch,
    Variant,
    Wave,
)
from campaigns.services.alerts import alert_rules
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.journeys import walking
from campaigns.services.moments import moments
from campaigns.services.moments.moments import MomentInput
from campaigns.services.sops import enrolments
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts.models import CustomField
from content.models import Content, ContentVersion, TrackedLink
from content.services import editing, links
from content.services.editing import ContentInput
from groups.models import GroupChat
from livecodes.models import ChannelCode
from org.access import RIGHTS, SYSTEM, Actor
from scrm import clock
from scrm.errors import InvalidError, SCRMError
from tagging.models import Segment
from tagging.services.segments import segments
from tenants.base import TenantModel
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.test_rubbish import every_kind
from tests.factories import in_brand, make_brand, make_contact, make_corp, make_staff, make_tag
from wecom.models import MediaFile

pytestmark = pytest.mark.django_db(transaction=True)
BY = Actor("乙", rights=frozenset(RIGHTS))
SECRET = "甲方机密"  # stands in every name of the other brand


class Theirs:
    """The other brand, with something of everything under way; `ids` by the names that services give their parameters."""

    def __init__(self) -> None:
        self.brand = make_brand()
        with in_brand(self.brand):
            corp = make_corp(self.brand)
            staff = make_staff(self.brand, corp, name=f"{SECRET}导购")
            contact = make_contact(self.brand, staff, name=f"{SECRET}客户")
            tag = make_tag(self.brand, f"{SECRET}标签")
            segment = segments.create_segment(
                self.brand, by=SYSTEM, name=f"{SECRET}包", condition={"kind": "everybody"}
            )
            code = ChannelCode.objects.create(corp=corp, name=f"{SECRET}码")
            file = MediaFile.objects.create(kind="image", name=f"{SECRET}.png", size=1, digest="x", path="x")
            field = CustomField.objects.create(key="secret", label=SECRET, type="text")
            item = editing.create_content(
                self.brand, given=ContentInput(name=f"{SECRET}话术", text=SECRET), by=SYSTEM
            ).content
            version = ContentVersion.objects.get(content=item)
            link = links.create_link(self.brand, name=f"{SECRET}链", url="https://a.example.com/", by=SYSTEM)
            group = GroupChat.objects.create(
                corp=corp, chat_id="wrX", name=f"{SECRET}群", created_at=clock.now()
            )
            policy.add_no_contact_rule(self.brand, name=f"{SECRET}规则", tag_id=tag.pk, by=SYSTEM)
            sop = graphs.create_graph_sop(self.brand, name=f"{SECRET}旅程", graph=every_kind(tag.pk))
            graphs.publish(self.brand, sop_id=sop.pk, by=SYSTEM)
            walked = graphs.create_graph_sop(
                self.brand, name=f"{SECRET}走", graph=line(entry(), touch(SECRET), wait(n=1))
            )
            graphs.publish(self.brand, sop_id=walked.pk, by=SYSTEM)
            asked = SopRequest.objects.create(
                sop=walked,
                kind=SopRequest.Kind.VERSION,
                proposal={"graph": line(entry(), touch(SECRET)), "people": "stay", "mapping": {}},
                asked_by=SECRET,
            )
            enrolments.enrol_many(self.brand, sop=walked, contact_ids=[contact.pk], source="page")
            walking.run(self.brand, clock.now())
            later = clock.now() + timedelta(days=1)
            draft = broadcasts.save_draft(
                self.brand,
                BroadcastInput(f"{SECRET}群发", {"segment": segment.pk}, [VariantInput(SECRET)]),
                by=SYSTEM,
            )
            broadcasts.launch(self.brand, broadcast_id=draft.pk, by=SYSTEM)
            waves.run_due(self.brand)
            moment = moments.save_draft(self.brand, MomentInput(SECRET, SECRET, at=later), by=SYSTEM)
            rule = alert_rules.save(
                self.brand, {"name": SECRET, "event": "carted", "filters": {}, "condition": {}}, by=SYSTEM
            )
            staff_tasks.add_tasks(
                self.brand, [TaskInput(staff.pk, "call", SECRET, later, "k", contact.pk)], source="page"
            )
            self.ids: dict[str, int] = {
                "sop_id": walked.pk, "contact_id": contact.pk, "staff_id": staff.pk, "tag_id": tag.pk, "segment_id": segment.pk,
                "broadcast_id": draft.pk, "moment_id": moment.pk, "rule_id": rule.pk, "content_id": item.pk,
                "version_id": version.pk, "link_id": link.pk, "code_id": code.pk, "file_id": file.pk, "group_id": group.pk,
                "channel_code_id": code.pk, "guide_id": staff.pk, "to_staff_id": staff.pk, "from_staff_id": staff.pk,
                "enrolment_id": Enrolment.objects.get().pk, "wave_id": Wave.objects.get().pk,
                "variant_id": Variant.objects.get().pk, "task_id": StaffTask.objects.get().pk,
                "send_task_id": SendTask.objects.order_by("pk")[0].pk, "touch_id": Touch.objects.order_by("pk")[0].pk,
                "source_id": walked.pk, "call_id": 1, "job_id": 1, "folder_id": 1, "parent_id": 1, "background_id": file.pk,
                "poster_id": 1, "request_id": asked.pk,
            }  # fmt: skip
            self.field = field.key
            self.rows: dict[str, Any] = {
                "sop": walked, "broadcast": draft, "moment": moment, "contact": contact, "staff": staff, "segment": segment,
                "wave": Wave.objects.select_related("broadcast").get(), "corp": corp,
            }  # fmt: skip

    def digest(self) -> str:
        """Of every row of the brand."""
        found = hashlib.sha256()
        with in_brand(self.brand):
            for model in sorted(tenant_models(), key=lambda m: m._meta.label):
                rows = sorted(json.dumps(list(row), default=str) for row in model.objects.values_list())
                found.update(json.dumps([model._meta.label, rows]).encode())
        return found.hexdigest()


def tenant_models() -> list[Any]:
    return [m for m in apps.get_models() if issubclass(m, TenantModel) and not m._meta.abstract]


@pytest.fixture
def theirs() -> Theirs:
    return Theirs()


@pytest.fixture
def mine(theirs: Theirs) -> Any:
    brand = make_brand()
    with in_brand(brand):
        corp = make_corp(brand)
        make_contact(brand, make_staff(brand, corp))
    return brand


# ---- acts with an id


def acts() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function of the three apps' services whose first parameter is the brand."""
    for package in (campaigns.services, content.services, guides.services):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = import_module(info.name)
            for name, act in inspect.getmembers(module, inspect.isfunction):
                whole = inspect.unwrap(act)
                if whole.__module__ != info.name or name.startswith("_"):
                    continue
                if next(iter(inspect.signature(whole).parameters), "") == "brand":
                    yield f"{info.name}.{name}", act


def given_to(act: Callable[..., Any], theirs: Theirs) -> dict[str, Any] | None:
    """Arguments with the other brand's ids wherever one is asked for; None: something cannot be made up."""
    now = clock.now()
    plain: dict[str, Any] = {
        "by": BY, "at": now, "now": now, "name": "x", "title": "x", "text": "x", "until": now, "since": now, "first": now.date(),
        "last": now.date(), "source": "page", "key": "k", "kind": 2, "viewer": None, "graph": line(entry(), wait(n=1)),
        "mapping": {}, "n": 1, "no": 1, "approve": True, "archive": True, "url": "https://x.example.com/", "people": "stay",
        "steps": [], "late_days": 3, "refused": True, "note": "", "result": "", "days": 30, "limit": 10, "personal": False,
        "condition": {"kind": "everybody"}, "ticket": "t", "welcome_code": "w", "reason": Touch.Reason.CAPPED,
        "state": Touch.State.FAILED, "done_at": now, "asks_who": False, "error": "",
        "on": True,
    }  # fmt: skip
    found: dict[str, Any] = {}
    asks = False
    for name, parameter in list(inspect.signature(inspect.unwrap(act)).parameters.items())[1:]:
        if name in theirs.ids:
            found[name], asks = theirs.ids[name], True
        elif name.endswith("_ids") and name.removesuffix("s") in theirs.ids:
            found[name], asks = [theirs.ids[name.removesuffix("s")]], True
        elif name in theirs.rows:
            found[name], asks = theirs.rows[name], True
        elif parameter.default is not inspect.Parameter.empty:
            continue
        elif name in plain:
            found[name] = plain[name]
        else:
            return None
    return found if asks else None


def test_ids_of_another_brand_do_nothing(theirs: Theirs, mine: Any, settings: Any) -> None:
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    before, n, told = theirs.digest(), 0, []
    for name, act in acts():
        given = given_to(act, theirs)
        if given is None:
            continue
        n += 1
        answer: Any = None
        try:
            with in_brand(mine):
                answer = act(mine, **given)
                answer = list(answer) if inspect.isgenerator(answer) else answer
        except (
            SCRMError,
            ObjectDoesNotExist,
            IntegrityError,
            LookupError,
        ) as error:  # refused, or nothing found
            answer = error
        told.append((name, repr(answer)))
        assert theirs.digest() == before, name
    assert n > 80, n
    rows = set(theirs.rows.values())
    assert [
        (name, text) for name, text in told if SECRET in text and not any(repr(r) in text for r in rows)
    ] == []


def test_tasks_with_ids_of_another_brand(theirs: Theirs, mine: Any, settings: Any) -> None:
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    before, ids = theirs.digest(), theirs.ids
    for task, given in (
        (campaign_tasks.hand_over, {"task_ids": [ids["send_task_id"]]}),
        (campaign_tasks.recover, {"task_ids": [ids["send_task_id"]]}),
        (campaign_tasks.poll, {"task_ids": [ids["send_task_id"]]}),
        (campaign_tasks.run_moment, {"moment_id": ids["moment_id"]}),
        (campaign_tasks.close_sop, {"sop_id": ids["sop_id"]}),
    ):
        with contextlib.suppress(SCRMError, ObjectDoesNotExist):
            task.delay(brand_id=mine.pk, **given)
        assert theirs.digest() == before, task.name
    for each in (
        "tick_brand", "plan_waves", "finish_brand", "rebuild_brand_planes", "mark_brand", "staff_tasks_of_brand",
        "react_brand", "call_hooks", "alert_brand", "purge_alerts",
    ):  # fmt: skip
        getattr(campaign_tasks, each).delay(brand_id=mine.pk)
        assert theirs.digest() == before, each


# ---- ids inside of JSON


def nested(ids: dict[str, int], field: str) -> list[tuple[str, dict[str, Any]]]:
    """(field, node or settings) of a graph with an id of the other brand in it."""
    conditions = [
        {"kind": "tags", "mode": "any", "ids": [ids["tag_id"]]},
        {"kind": "segment", "mode": "any", "ids": [ids["segment_id"]]},
        {"kind": "code", "mode": "any", "ids": [ids["code_id"]]},
        {"kind": "staff", "mode": "any", "ids": [ids["staff_id"]]},
        {"kind": "group", "mode": "any", "ids": [ids["group_id"]]},
        {"kind": "field", "key": field, "test": "filled"},
        {"not": {"all": [{"kind": "everybody"}, {"kind": "tags", "mode": "none", "ids": [ids["tag_id"]]}]}},
    ]
    image = [{"type": "image", "file_id": ids["file_id"]}]
    return [
        *(("condition", {"kind": "branch", "condition": c}) for c in conditions),
        ("cases.0.condition", {"kind": "branch", "mode": "cases", "cases": [{"key": "a", "condition": conditions[0]}]}),
        ("add_tag_ids", {"kind": "tag", "add_tag_ids": [ids["tag_id"]]}),
        ("remove_tag_ids", {"kind": "tag", "remove_tag_ids": [ids["tag_id"]]}),
        ("field", {"kind": "field", "field": field, "value": "x"}),
        ("content_id", touch("", content_id=ids["content_id"])),
        ("content_id", {"kind": "moments", "content_id": ids["content_id"]}),
        ("attachments", touch("x", attachments=image)),
        ("text", {"kind": "moments", "text": "x", "attachments": image}),
    ]  # fmt: skip


def test_nested_ids_of_another_brand_are_refused(theirs: Theirs, mine: Any) -> None:
    with in_brand(mine):
        for field, node in nested(theirs.ids, theirs.field):
            graph = line(entry(), node, wait(n=1))
            if node["kind"] == "branch":
                other = "else" if node.get("mode") == "cases" else "no"
                graph = rewired(graph, ("n2", other, "n3"))
            problems = graphs.validate(mine, graph)
            assert ("n2", field) in {(p["node"], p["field"]) for p in problems}, (node, problems)
            assert SECRET not in json.dumps([problems, graphs.summary(mine, graph)], ensure_ascii=False), node
            sop = graphs.create_graph_sop(mine, name=f"稿{Sop.objects.count()}", graph=graph)
            with pytest.raises(InvalidError), transaction.atomic():
                graphs.publish(mine, sop_id=sop.pk, by=BY)
        entries = [
            ("segment_id", entry("segment", segment_id=theirs.ids["segment_id"])),
            ("code_ids", entry("code", code_ids=[theirs.ids["code_id"]])),
            ("date_field", entry("date", date_field=f"field:{theirs.field}")),
            ("condition", entry(condition={"kind": "tags", "mode": "any", "ids": [theirs.ids["tag_id"]]})),
        ]
        for field, node in entries:
            problems = graphs.validate(mine, line(node, wait(n=1)))
            assert ("n1", field) in {(p["node"], p["field"]) for p in problems}, node


def test_campaigns_that_name_rows_of_another_brand_reach_nobody(theirs: Theirs, mine: Any) -> None:
    ids, before = theirs.ids, theirs.digest()
    tags = {"kind": "tags", "mode": "any", "ids": [ids["tag_id"]]}
    image = [{"type": "image", "file_id": ids["file_id"]}]
    refused: list[Callable[[], Any]] = [
        lambda: save_broadcast(mine, {"segment": ids["segment_id"]}),
        lambda: save_broadcast(mine, {"condition": tags}),
        lambda: save_broadcast(mine, {"condition": {"kind": "everybody"}}, waves=[WaveInput(condition=tags)]),
        lambda: save_broadcast(
            mine, {"condition": {"kind": "everybody"}}, variants=[VariantInput("x", image)]
        ),
        lambda: moments.save_draft(mine, MomentInput("x", "x", staff_ids=[ids["staff_id"]]), by=BY),
        lambda: moments.save_draft(mine, MomentInput("x", "x", tag_ids=[ids["tag_id"]]), by=BY),
        lambda: moments.save_draft(mine, MomentInput("x", "x", image), by=BY),
        lambda: moments.save_draft(mine, MomentInput("x", "x", corp_id=theirs.rows["corp"].pk), by=BY),
        lambda: alert_rules.save(
            mine, {"name": "x", "event": "carted", "filters": {}, "condition": tags}, by=BY
        ),
        lambda: segments.create_segment(mine, by=BY, name="x", condition=tags),
        lambda: editing.create_content(
            mine, given=ContentInput(name="x", text="x", attachments=image), by=BY
        ),
    ]
    for n, act in enumerate(refused):
        with in_brand(mine), pytest.raises((SCRMError, ObjectDoesNotExist)), transaction.atomic():
            raise AssertionError(f"{n}: {act()}")
    with in_brand(mine):
        draft = save_broadcast(mine, {"contacts": [ids["contact_id"]]})
        broadcasts.launch(mine, broadcast_id=draft.pk, by=BY)
        waves.run_due(mine)
        assert not Touch.objects.exists() and not SendTask.objects.exists()
        with contextlib.suppress(SCRMError), transaction.atomic():
            variants = [VariantInput("x", content_version=ids["version_id"])]
            save_broadcast(mine, {"condition": {"kind": "everybody"}}, variants=variants)
        assert not Variant.objects.filter(content_id__isnull=False).exists()
    assert theirs.digest() == before
    with in_brand(mine):
        models: list[Any] = [Moment, AlertRule, Segment, Content, NoContactRule, TrackedLink]
        assert [m.__name__ for m in models if m.objects.exists()] == []


def save_broadcast(brand: Any, audience: dict[str, Any], **over: Any) -> Broadcast:
    variants = over.pop("variants", [VariantInput("x")])
    return broadcasts.save_draft(brand, BroadcastInput("x", audience, variants, **over), by=BY)
