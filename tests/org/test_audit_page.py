"""The audit log: what is written, who reads it, filters, pages."""

import ast
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from devtools.places import ROOT
from org import audit
from org.access import RIGHTS, Actor
from org.audit_fields import FIELDS
from org.audit_values import VALUES, _of_table
from org.audit_words import OBJECTS
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
            tree = ast.parse(source)
            # a column in the text of a statement (`{who("r.phone")}`) looks like an act and is none
            texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
            inside = {id(node) for text in texts for node in ast.walk(text)}
            calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and id(n) not in inside]
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


def test_every_field_has_words() -> None:
    """No Python name reaches the page: each that is written as a word beside an act."""
    names: set[str] = set()
    for path in sorted(ROOT.glob("*/**/*.py")):
        if path.relative_to(ROOT).parts[0] in {"tests", "bench", "demo", "devtools", "var", ".venv"}:
            continue
        source = path.read_text()
        for call in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)):
            if ast.unparse(call.func) in {"audit.record", "audit.record_many"}:
                given = [k.value for k in call.keywords if k.arg in {"before", "after"}]
                dicts = [n for value in given for n in ast.walk(value) if isinstance(n, ast.Dict)]
                names |= {str(k.value) for d in dicts for k in d.keys if isinstance(k, ast.Constant)}
            elif ast.unparse(call.func) == "audit.snapshot" and isinstance(call.args[1], ast.List):
                names |= {str(e.value) for e in call.args[1].elts if isinstance(e, ast.Constant)}
    assert {"state", "guides", "tag_id"} <= names
    assert sorted(names - set(FIELDS)) == []


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


# ---- values that are kept as codes


def words_of(
    brand: Any, action: str, object_type: str, values: dict[str, Any], language: str = "zh-hans"
) -> dict[str, str]:
    with in_brand(brand), translation.override(language):
        found = entry(clock.now(), action=action, object_type=object_type, after=values)
        return dict(zip(values, [row["new"] for row in changes(found)], strict=True))


@pytest.mark.parametrize(
    ("action", "object_type", "values", "chinese", "english"),
    [
        ("code.edit", "channelcode", {"strategy": "in_turn"}, "轮流", "In turn"),
        ("touch_policy.edit", "touchpolicy", {"sender": "latest"}, "最近添加的导购", None),
        ("intercept.edit", "interceptrule", {"act": 1, "semantics": [1, 2]}, "", None),
        (
            "broadcast.edit",
            "broadcast",
            {"repeat": {"every": "week"}},
            "频率: 每周",
            "How often: Every week",
        ),
        ("sensitive_word.add", "sensitive_word", {"level": "refuse"}, "", None),
        ("export.start", "exportfile", {"kind": "contacts"}, "客户", None),
        ("import.start", "importfile", {"kind": "orders"}, "订单", "Orders"),
        ("tag_rule.edit", "tagrule", {"event": "order_paid", "kind": "event"}, "", None),
        ("no_contact.edit", "nocontactrule", {"kinds": [2, 3]}, "", None),
        ("role.edit", "role", {"scope": "store"}, "", None),
        ("task.give", "job", {"kind": "call"}, "", None),
        ("computed_tag.edit", "computedtag", {"measure": "months_joined"}, "", None),
    ],
)
def test_codes_are_said_in_words(
    brand: Any, action: str, object_type: str, values: dict[str, Any], chinese: str, english: str | None
) -> None:
    said, told = (
        words_of(brand, action, object_type, values),
        words_of(brand, action, object_type, values, "en"),
    )
    for name, code in values.items():
        assert any("\u4e00" <= c <= "\u9fff" for c in said[name]) and str(code) not in said[name], (
            name,
            said[name],
        )
        assert told[name] not in ("", str(code), said[name])
    if chinese:
        assert said.popitem()[1] == chinese
    if english:
        assert told.popitem()[1] == english


def test_what_is_no_code_stays_as_it_is(brand: Any) -> None:
    assert words_of(brand, "role.edit", "role", {"name": "store", "n": 3}) == {"name": "store", "n": "3"}
    assert words_of(brand, "sop.edit", "sop", {"state": "moon", "note": "on"}) == {
        "state": "moon",
        "note": "on",
    }


def test_every_table_of_words_is_there() -> None:
    for (thing, name), given in VALUES.items():
        assert thing in OBJECTS and name in FIELDS, (thing, name)
        words = _of_table(thing, name)
        assert words and all(str(word) for word in words.values()), given
