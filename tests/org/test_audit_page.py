"""The audit log: what is written, who reads it, filters, pages."""

import ast
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devtools.places import ROOT
from org import audit
from org.access import RIGHTS, Actor
from org.models import AuditEntry, Region
from org.templatetags.audit import action_words, changes
from scrm import clock
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)
HX = {"HX-Request": "true"}


def entry(at: datetime, **over: Any) -> AuditEntry:
    return AuditEntry.objects.create(
        **{"at": at, "actor": "甲", "action": "role.edit", "object_type": "role", **over}
    )


def rows(client: Any, **query: Any) -> list[AuditEntry]:
    return list(client.get("/audit/", query, headers=HX).context["page"])


def test_filters_and_walls(brand: Any, other_brand: Any, sign_in: Any) -> None:
    at = datetime(2026, 5, 1, 15, 59, tzinfo=UTC)  # 23:59 of 1 May in Shanghai
    with in_brand(brand):
        first = entry(at, actor="王芳", object_id=7)
        second = entry(at + timedelta(minutes=2), action="staff.edit", object_type="staff", object_id=7)
    with in_brand(other_brand):
        entry(at, actor="王芳")
    admin = sign_in(brand)
    assert rows(admin) == [second, first]
    assert rows(admin, who="芳") == [first]
    assert rows(admin, what="staff") == [second]
    assert rows(admin, what="nonsense") == [second, first]
    assert rows(admin, type="role", id=7) == [first]
    assert rows(admin, until="2026-05-01") == [first]
    assert rows(admin, since="2026-05-02") == [second]
    assert rows(admin, since="2026-05-02", until="2026-05-02") == [second]
    assert rows(admin, since="31-12-99", until="2026-13-45", id="x" * 40) == [second, first]
    assert rows(sign_in(other_brand), who="芳")[0].brand_id == other_brand.pk
    assert sign_in(brand, "operator").get("/audit/").status_code == 403


def test_pages_and_query_count(brand: Any, sign_in: Any) -> None:
    admin, at = sign_in(brand), clock.now()
    with in_brand(brand):
        for _ in range(2):
            entry(at, before={"name": "a"}, after={"name": "b"})

    def n_queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            admin.get("/audit/")
        return len(queries)

    few = n_queries()
    with in_brand(brand):
        for n in range(118):
            entry(at + timedelta(seconds=n // 5), before={"name": "a"}, after={"name": str(n)})
    assert n_queries() == few
    seen, after = [], ""
    while True:
        page = admin.get("/audit/", {"after": after}, headers=HX).context["page"]
        seen += [e.pk for e in page]
        if not (after := page.next):
            break
    assert len(seen) == len(set(seen)) == 120


def test_what_an_entry_says(brand: Any) -> None:
    """Only what changed; secrets are masked; the words of unknown actions stay readable."""
    with in_brand(brand):
        region = Region.objects.create(name="华东")
        audit.record(
            Actor("甲", 5),
            "role.edit",
            region,
            before={"name": "a", "rights": ["contacts.view", "tags.edit"], "secret": "x", "same": 1},
            after={"name": "b", "rights": ["contacts.view"], "secret": "y", "same": 1},
        )
        found = AuditEntry.objects.get()
    assert (found.actor, found.user_id, found.object_name) == ("甲", 5, "华东")
    assert found.before.keys() == found.after.keys() == {"name", "rights"}
    by_name = {str(row["name"]): (row["old"], row["new"]) for row in changes(found)}
    assert len(by_name) == 2 and ("a", "b") in by_name.values()
    assert action_words("thing.unknown") == "thing.unknown"
    assert action_words("role.edit") != "role.edit"


def test_values_are_escaped(brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        entry(clock.now(), actor="<b>x</b>", object_name="<script>1</script>", after={"name": "<img src=x>"})
    page = sign_in(brand).get("/audit/").content.decode()
    assert "<b>x</b>" not in page and "<script>1" not in page and "<img src=x>" not in page


def recorded_acts() -> set[str]:
    """Every act that is written as a word beside `audit.record`, anywhere in the product."""
    found: set[str] = set()
    for path in sorted(ROOT.glob("*/**/*.py")):
        if path.relative_to(ROOT).parts[0] in {"tests", "bench", "demo", "devtools", "var", ".venv"}:
            continue
        source = path.read_text()
        if "audit.record(" in source:
            calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
            words = [word for call in calls for word in [*call.args, *(k.value for k in call.keywords)]]
            words += [
                side for word in words if isinstance(word, ast.IfExp) for side in (word.body, word.orelse)
            ]
            found |= {
                str(word.value)
                for word in words
                if isinstance(word, ast.Constant) and re.fullmatch(r"[a-z_]+\.[a-z_]+", str(word.value))
            }
    return {word for word in found - set(RIGHTS) if not word.endswith(".csv")}


def test_every_act_has_words() -> None:
    acts = recorded_acts()
    assert {"broadcast.launch", "moment.create", "sop.publish"} <= acts
    assert [act for act in sorted(acts) if action_words(act) == act] == []


def test_states_and_moments_are_read_as_words(brand: Any) -> None:
    with in_brand(brand):
        found = entry(
            clock.now(),
            action="broadcast.launch",
            before={"state": "draft", "at": ""},
            after={"state": "on", "at": "2026-03-01T10:00:00+00:00", "late_hours": 48},
        )
    shown = {str(row["name"]): (row["old"], row["new"]) for row in changes(found, ZoneInfo("Asia/Shanghai"))}
    assert list(shown.values()) == [("草稿", "已开启"), ("", "2026-03-01 18:00"), ("", "48")]
    assert "late_hours" not in shown


@pytest.mark.parametrize("name", ["2026-03-01T10:00 上新", "2026-13-45T99:99", "9999-12-31T23:59:59+00:00"])
def test_a_name_like_a_moment_is_a_name(brand: Any, sign_in: Any, name: str) -> None:
    with in_brand(brand):
        entry(clock.now(), action="poster.edit", before={"name": ""}, after={"name": name})
    assert name[:10] in sign_in(brand).get("/audit/").content.decode()
