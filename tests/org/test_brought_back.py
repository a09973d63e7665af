"""A form that brings back what was typed before the session ended is drawn with it, and saves nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from campaigns.models import Broadcast, Moment, Sop, StaffTask
from content.models import Content
from livecodes.models import ChannelCode
from org.models import AuditEntry
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
SAID = "写了很久"
STEP = {"step_id": "", "day": "1", "time": "10:00", "text": SAID, "attachments": "[]", "content": ""}
CONTENT = {"text": SAID, "attachments": "[]", "content": "", "weight": "1"}
WAVE = {"at": "", "after": "", "segment": ""}
RULES = {"audience": "everybody", "priority": "5", "hold_out_percent": "0", "late_hours": "48"}
PAGE = {"title": SAID, "intro": "", "cover": None, "blocks": [{"type": "text", "text": "x"}]}
# of each form that is marked: its address and what somebody typed
TYPED: dict[str, tuple[str, dict[str, str]]] = {
    "campaigns/sops/edit.html": ("/sops/new/", {"name": "写", "late_days": "3", **STEP}),
    "campaigns/broadcasts/edit.html": ("/broadcasts/new/", {"name": "写", **RULES, **CONTENT, **WAVE}),
    "campaigns/moments/edit.html": ("/moments/new/", {"name": "写", "text": SAID, "attachments": "[]"}),
    "campaigns/staff_tasks/new.html": ("/tasks/new/", {"kind": "call", "title": SAID, "who": "guides"}),
    "content/edit.html": ("/content/new/", {"name": "写", "text": SAID, "attachments": "[]"}),
    "content/page_edit.html": ("/content/new/?kind=page", {"name": "写", "page": json.dumps(PAGE)}),
    "livecodes/edit.html": ("/codes/new/", {"name": SAID, "strategy": "in_turn", "lists": "{}"}),
}


def test_every_form_that_is_kept_is_here() -> None:
    root, form = Path("templates"), re.compile(r"<form[^>]* data-keep")
    marked = {str(p.relative_to(root)) for p in root.rglob("*.html") if form.search(p.read_text())}
    assert marked == set(TYPED)


@pytest.mark.parametrize("template", TYPED)
def test_it_is_drawn_and_not_saved(brand: Any, sign_in: Any, template: str) -> None:
    with in_brand(brand):
        make_contact(brand, make_staff(brand, make_corp(brand)))
    client, (url, typed) = sign_in(brand), TYPED[template]
    with in_brand(brand):
        before = AuditEntry.objects.count()
    answer = client.post(url, {**typed, "brought_back": "1"})
    page = answer.content.decode()
    assert answer.status_code == 422 and (SAID in page or json.dumps(SAID).strip('"') in page)
    assert "尚未保存" in page
    with in_brand(brand):
        for model in (Sop, Broadcast, Moment, StaffTask, Content, ChannelCode):
            assert not model.objects.exists(), model
        assert AuditEntry.objects.count() == before


def test_the_same_form_without_the_mark_is_saved(brand: Any, sign_in: Any) -> None:
    """Else the tests above would prove nothing."""
    client = sign_in(brand)
    forms = (
        "campaigns/sops/edit.html",
        "campaigns/broadcasts/edit.html",
        "content/edit.html",
        "content/page_edit.html",
    )
    for template in forms:
        url, typed = TYPED[template]
        answer = client.post(url, typed)
        assert answer.status_code == 302, (template, answer.context["form"].errors)
