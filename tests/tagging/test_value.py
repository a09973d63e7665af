"""Value of customers: scores, groups, next order, models, stages; everybody at once and one at a time agree."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commerce.services import products
from commerce.services.orders import record_orders, record_refunds
from contacts.models import Contact, ContactStat, Event, EventType, Identity
from org.access import SYSTEM
from scrm import clock
from scrm.errors import InvalidError
from tagging import lifetime
from tagging.models import LifecycleFlow, LifecycleStage, ValueGroup, ValueSetting
from tagging.services.value import lifecycle, value, value_model, value_reader
from tagging.services.value.lifecycle import EVERYBODY, StageInput
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact
from tests.tagging.test_hot_plans import explained

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
DAY = timedelta(days=1)
SAMPLE = Path(__file__).resolve().parents[2] / "demo_data" / "cdnow_sample.txt"


def order(no: str, phone: str, at: datetime, yuan: int = 100, **over: Any) -> dict[str, Any]:
    return {
        "order_no": no, "buyer_kind": "phone", "buyer_value": phone, "paid_at": at, "amount_fen": yuan * 100,
        "updated_at": at, **over,
    }  # fmt: skip


@pytest.fixture
def people(brand: Any, corp: Any, staff: Any) -> list[Contact]:
    """20 contacts; number n has n orders of n × 10 yuan, the last one 10 × (20 - n) days ago."""
    with in_brand(brand), clock.at(NOW):
        found = [make_contact(brand, staff) for _ in range(20)]
        Identity.objects.bulk_create(
            Identity(contact=c, kind="phone", value=f"138000000{n:02}") for n, c in enumerate(found)
        )
        rows = [
            order(f"{n}-{k}", f"138000000{n:02}", NOW - 10 * (20 - n) * DAY - 15 * k * DAY, n * 10)
            for n in range(20)
            for k in range(n)
        ]
        assert all(
            outcome.result.value == "accepted" for outcome in record_orders(brand, rows, source="test")
        )
    return found


def stat(contact: Contact) -> ContactStat:
    return ContactStat.objects.get(contact=contact)


def test_fifths_scores_and_groups(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        assert value.recompute(brand) == 19
        assert value.recompute(brand) == 0
        assert stat(people[0]).value_score is None
        best, worst = stat(people[19]), stat(people[1])
        assert (best.recency, best.frequency, best.monetary, best.value_score) == (5, 5, 5, 100)
        assert best.value_group == ValueGroup.LOYAL
        assert (worst.recency, worst.frequency, worst.monetary, worst.value_score) == (1, 1, 1, 0)
        assert worst.value_group == ValueGroup.LOST  # 190 days
        counts = [ContactStat.objects.filter(recency=n).count() for n in range(1, 6)]
        assert sum(counts) == 19 and max(counts) - min(counts) <= 1
        scores = list(
            ContactStat.objects.filter(n_orders__gt=0)
            .order_by("n_orders")
            .values_list("value_score", flat=True)
        )
        assert scores == sorted(scores)


def test_a_whole_brand_is_never_gone_through_row_by_row(brand: Any, people: list[Contact]) -> None:
    """A brand that was empty when statistics were taken counts as one row: what joins its orders, lines and products
    by loops reads all of them for each buyer. Some contacts are looked up."""
    with in_brand(brand), clock.at(NOW):
        with explained() as plans:
            value.recompute(brand)
        (following,) = [plan for plan in plans if "WindowAgg" in plan]
        assert "Nested Loop" not in following and following.count("Hash") > 2
        with explained() as plans:
            value.refresh(brand, [people[3].pk])
        (following,) = [plan for plan in plans if "WindowAgg" in plan]
        assert "Nested Loop" in following


def test_own_rhythm_and_usage_time(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        products.record_products(
            brand, [{"sku": "P90", "name": "90天装", "usage_days": 90, "updated_at": NOW}]
        )
        lines = [{"sku": "P90", "name": "90天装", "quantity": 2, "amount_fen": 100}]
        for phone in ("13800000005", "13800000002"):
            record_orders(brand, [order(f"pack{phone}", phone, NOW - DAY, lines=lines)], source="test")
        value.recompute(brand)
        today = NOW.astimezone().date()
        assert stat(people[10]).next_order_on == (NOW - 100 * DAY + 15 * DAY).date()
        # five orders, the longest pause 149 days: not only after 180, however much is at home
        assert stat(people[5]).next_order_on == (NOW - DAY + 149 * DAY).date()
        assert stat(people[2]).next_order_on == (NOW - DAY + 180 * DAY).date()  # two pauses tell too little
        assert stat(people[1]).next_order_on is None and today


def test_one_contact_at_once_equals_the_night(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        value.recompute(brand)
        lifecycle.place(brand)
        value.change_setting(brand, by=SYSTEM, method="cuts")
    with in_brand(brand), clock.at(NOW + DAY):
        record_orders(brand, [order("new", "13800000003", NOW + DAY, 9_000)], source="test")
        record_refunds(
            brand,
            [
                {
                    "refund_no": "r",
                    "order_no": "1-0",
                    "amount_fen": 1_000,
                    "refunded_at": NOW + DAY,
                    "updated_at": NOW + DAY,
                }
            ],
            source="test",
        )
    with clock.at(NOW + DAY):
        _read(brand)
    with in_brand(brand), clock.at(NOW + DAY):
        changed = [people[3].pk, people[1].pk]
        columns = (
            "contact_id",
            "value_score",
            "value_group",
            "recency",
            "monetary",
            "next_order_on",
            "lifecycle",
        )
        at_once = list(ContactStat.objects.filter(contact__in=changed).order_by("contact").values(*columns))
        value.recompute(brand)
        lifecycle.place(brand)
        assert (
            list(ContactStat.objects.filter(contact__in=changed).order_by("contact").values(*columns))
            == at_once
        )
        assert stat(people[1]).value_score is None  # wholly refunded
        assert stat(people[3]).recency == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_night_finds_nothing_left(brand: Any, people: list[Contact], seed: int) -> None:
    """Random orders, late ones, repeated ones and refunds: everybody's row is as the night makes it, all of it."""
    dice = random.Random(seed)
    later = NOW + DAY
    with in_brand(brand), clock.at(NOW):
        value.change_setting(brand, by=SYSTEM, method="cuts")  # and everybody is recomputed after commit
    with in_brand(brand):
        # parameters as published for the CDNOW sample (tests/tagging/test_lifetime.py), money in fen
        model = {"purchasing": [0.243, 4.414, 0.793, 2.426, -9582.4], "spending": [6.25, 3.74, 1544.0, 0.0]}
        ValueSetting.objects.update(model=model)
    with tenant_scope(brand), clock.at(NOW):
        value_model.apply(brand)
    told: set[int] = set()
    with in_brand(brand), clock.at(later):
        for n in range(dice.randint(3, 12)):
            told.add(k := dice.randrange(20))
            at = later - timedelta(hours=dice.choice([1, 30, 800, 5000]))
            row = order(f"n{n}", f"138000000{k:02}", at, dice.choice([1, 50, 900]))
            record_orders(brand, [row] * dice.choice([1, 2]), source="test")
        for n in range(dice.randint(0, 8)):
            told.add(k := dice.randrange(1, 5))
            row = {
                "refund_no": f"r{n}", "order_no": f"{k}-0", "amount_fen": dice.choice([500, 1000, 90_000]),
                "refunded_at": later, "updated_at": later,
            }  # fmt: skip
            record_refunds(brand, [row], source="test")
    with clock.at(later):
        _read(brand)
    columns = [field.attname for field in ContactStat._meta.concrete_fields]
    with in_brand(brand):
        rows = ContactStat.objects.filter(contact__in=[people[k].pk for k in told]).order_by("contact")
        at_once = list(rows.values(*columns))
    with tenant_scope(brand), clock.at(later):
        with in_brand(brand):
            value.recompute(brand)
        value_model.apply(brand)
        with in_brand(brand):
            lifecycle.place(brand)
    with in_brand(brand):
        assert list(rows.all().values(*columns)) == at_once
        assert any(row["ltv_fen"] for row in at_once)


def _read(brand: Any) -> None:
    """Read the outbox in transactions of its own."""
    with tenant_scope(brand):
        value_reader.run(brand)


test_one_contact_at_once_equals_the_night = pytest.mark.django_db(transaction=True)(
    test_one_contact_at_once_equals_the_night
)


@pytest.mark.parametrize(
    "bad",
    [
        {"r_cuts": [1, 2, 3]}, {"r_cuts": [4, 3, 2, 1]}, {"r_weight": 101}, {"r_weight": 0, "f_weight": 0, "m_weight": 0},
        {"good_score": 80}, {"lost_days": 0}, {"method": "magic"}, {"m_cuts": [-1, 0, 1, 2]},
    ],
)  # fmt: skip
def test_settings_out_of_range(brand: Any, bad: dict[str, Any]) -> None:
    with in_brand(brand), pytest.raises(InvalidError) as refused:
        value.change_setting(brand, by=SYSTEM, **bad)
    assert refused.value.details["fields"]


def test_a_preview_writes_nothing(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        value.recompute(brand)
        before = list(ContactStat.objects.order_by("contact").values_list("value_group", flat=True))
        found = value.preview(brand, loyal_score=100, good_score=100)
        assert found.n_changed > 0 and sum(found.after.values()) == 19
        assert list(ContactStat.objects.order_by("contact").values_list("value_group", flat=True)) == before
        assert ValueSetting.objects.get().loyal_score == 75


# ---- stages


def test_everybody_is_in_the_first_stage_that_holds(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        assert lifecycle.place(brand) == 20
        names = {s.number: s.name for s in LifecycleStage.objects.all()}
        found = [names[stat(c).lifecycle] for c in people]
        assert found[0] == "新客" and found[1] == "沉睡" and found[3] == "复购" and found[19] == "忠诚"
        assert lifecycle.place(brand) == 0
        assert not Event.objects.filter(
            type=EventType.LIFECYCLE_CHANGED
        ).exists()  # nobody came from anywhere
    with in_brand(brand), clock.at(NOW + 200 * DAY):
        moved = lifecycle.place(brand)
        assert moved and Event.objects.filter(type=EventType.LIFECYCLE_CHANGED).count() == moved
        lifecycle.note_counts(brand)
        flow = lifecycle.flow(brand, (NOW + 150 * DAY).date())
        assert sum(n for _stage, n in flow.stages) == 20
        assert sum(n for _a, _b, n in flow.moves) == moved
        assert ("新客", "未购", 1) in flow.moves
        assert LifecycleFlow.objects.filter(from_stage=0).count() > 0


def test_changed_stages_keep_their_numbers(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        first, *_rest, last = lifecycle.stages_of(brand)
        own = {"kind": "number", "measure": "spent_fen", "compare": {"op": "ge", "value": 100_000}}
        given = [StageInput("大客", own), StageInput(last.name, EVERYBODY, number=last.number)]
        lifecycle.change_stages(brand, given, by=SYSTEM)
        stages = lifecycle.stages_of(brand)
        assert [s.name for s in stages] == ["大客", last.name] and stages[1].number == last.number
        assert stages[0].number not in (first.number, last.number)
        lifecycle.place(brand)
        rich = ContactStat.objects.filter(lifecycle=stages[0].number)
        assert rich.count() == ContactStat.objects.filter(spent_fen__gte=100_000).count() > 0


@pytest.mark.parametrize(
    "stages",
    [
        [], [StageInput("a", {"kind": "moon"}), StageInput("b", EVERYBODY)],
        [StageInput("a", {"kind": "named"})], [StageInput("a", EVERYBODY), StageInput("a", EVERYBODY)],
        [StageInput("", EVERYBODY)],
    ],
)  # fmt: skip
def test_stages_that_leave_somebody_out_are_refused(brand: Any, stages: list[StageInput]) -> None:
    with in_brand(brand), pytest.raises(InvalidError):
        lifecycle.change_stages(brand, stages, by=SYSTEM)


# ---- models


def test_models_of_the_cdnow_sample(brand: Any, corp: Any, staff: Any) -> None:
    """From the file through orders and ContactStat to the fit: near the parameters published for days with an order."""
    end = datetime(1997, 9, 30, 23, tzinfo=UTC)
    with in_brand(brand), clock.at(end):
        rows, seen = [], {}
        for n, line in enumerate(SAMPLE.read_text().splitlines()):
            _, customer, day, _, dollars = line.split()
            at = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), 12, tzinfo=UTC)
            if at <= end and (customer, day) not in seen:
                seen[customer, day] = n
                rows.append(
                    order(f"o{n}", f"1390000{customer}", at, 0) | {"amount_fen": round(float(dollars) * 100)}
                )
        contacts = Contact.objects.bulk_create(
            Contact(name=c, position=10_000 + n)
            for n, c in enumerate(sorted({row["buyer_value"] for row in rows}))
        )
        Identity.objects.bulk_create(Identity(contact=c, kind="phone", value=c.name) for c in contacts)
        from contacts.services import stats

        stats.refresh(brand, [c.pk for c in contacts])
        record_orders(brand, rows, source="cdnow")
        assert ContactStat.objects.filter(n_orders__gt=0).count() == 2357
    with tenant_scope(brand), clock.at(end):
        assert value_model.fit(brand)
        with in_brand(brand):
            r, alpha, a, b, _ll = ValueSetting.objects.get().model["purchasing"]
        # tests/tagging/test_lifetime.py holds the published ones
        assert (r, alpha, a, b) == pytest.approx((0.243, 4.414, 0.793, 2.426), rel=0.1)
        assert value_model.apply(brand) == 2357
        assert value_model.apply(brand) == 0
        with in_brand(brand):
            buyers = ContactStat.objects.filter(n_orders__gt=0)
            assert not buyers.filter(
                n_orders=1, alive_ratio__isnull=False
            ).exists()  # the model's 1 says nothing
            assert not buyers.filter(n_orders__gt=1, alive_ratio=None).exists()
            alive = np.array(buyers.filter(n_orders__gt=1).values_list("alive_ratio", flat=True))
            assert ((alive >= 0) & (alive <= 1)).all() and 0.3 < alive.mean() < 1
            assert ContactStat.objects.filter(ltv_fen__gt=0).count() > 2000


def test_too_little_history_says_so(brand: Any, people: list[Contact]) -> None:
    with tenant_scope(brand), clock.at(NOW):
        assert not value_model.fit(brand)
        assert value_model.apply(brand) == 0
    with in_brand(brand):
        assert "too few" in ValueSetting.objects.get().fit_error


# ---- pages


def test_pages(brand: Any, other_brand: Any, people: list[Contact], sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    for page in ("/value/", "/value/lifecycle/", "/value/next/", "/value/settings/"):
        assert client.get(page).status_code == 200, page
    with in_brand(brand), clock.at(NOW):
        value.recompute(brand)
        lifecycle.place(brand)
        number = stat(people[19]).lifecycle
    assert people[19].name in client.get("/value/people/?r=5&f=5").content.decode()
    assert people[19].name in client.get(f"/value/people/?stage={number}").content.decode()
    assert client.get(f"/contacts/{people[19].pk}/").status_code == 200
    for bad in ("", "?r=x", "?r=99999"):
        assert client.get(f"/value/people/{bad}").status_code == 404, bad
    given = {
        "method": "cuts", "r_cuts": "30, 60，90 180", "f_cuts": "1,2,3,5", "m_cuts": "100 300 600 1500", "r_weight": "50",
        "f_weight": "25", "m_weight": "25", "loyal_score": "80", "good_score": "40", "lost_days": "200",
    }  # fmt: skip
    assert client.post("/value/settings/", {**given, "preview": "1"}).status_code == 200
    assert client.post("/value/settings/", given).status_code == 302
    for bad_values in ({"r_cuts": "1 2"}, {"r_cuts": "a b c d"}, {"lost_days": ""}, {"good_score": "90"}):
        assert client.post("/value/settings/", {**given, **bad_values}).status_code == 422
    with in_brand(brand):
        assert ValueSetting.objects.get().m_cuts == [10_000, 30_000, 60_000, 150_000]
    assert "忠诚" in client.get("/value/stages/").text
    stages = json.dumps([{"name": "所有人", "condition": EVERYBODY}])
    assert client.post("/value/stages/", {"stages": stages}).status_code == 302
    for bad_text in ("", "{", "[]", '[{"name": "x"}]', '[{"name": "x", "condition": {"kind": "moon"}}]'):
        assert client.post("/value/stages/", {"stages": bad_text}).status_code == 422, bad_text
    assert people[19].name not in sign_in(other_brand).get("/value/people/?r=5&f=5").content.decode()
    assert sign_in(brand, "guide").get("/value/").status_code == 403


# ---- lookalike


def test_people_with_the_same_marks_come_first(brand: Any, corp: Any, staff: Any) -> None:
    """Half of the mothers are given; the other half is found before everybody else, for the tag's sake."""
    from tagging.models import Segment
    from tagging.services.segments import segments
    from tagging.services.tags.tags import add_tags
    from tagging.services.value import lookalike
    from tests.factories import make_tag

    with in_brand(brand):
        mothers = [make_contact(brand, staff, gender=2) for _ in range(60)]
        others = [make_contact(brand, staff, gender=1) for _ in range(100)]
        baby, common = make_tag(brand, "宝妈"), make_tag(brand, "会员")
        add_tags(brand, contacts=mothers, tags=[baby.pk], source="page")
        add_tags(brand, contacts=[*mothers[::2], *others[::2]], tags=[common.pk], source="page")
        seed = segments.create_list(brand, by=SYSTEM, name="种子", contact_ids=[c.pk for c in mothers[:30]])
        found = lookalike.find(brand, seed, 30)
        assert set(found.contact_ids) == {c.pk for c in mothers[30:]}
        assert {found.reasons[0].name, found.reasons[1].name} <= {"宝妈", "男", "女", "Male", "Female"}
        assert found.reasons[0].of_seed > found.reasons[0].of_others
        assert len(lookalike.find(brand, seed, 1_000).contact_ids) == 130
        few = segments.create_list(brand, by=SYSTEM, name="少", contact_ids=[mothers[0].pk])
        with pytest.raises(InvalidError):
            lookalike.find(brand, few, 10)
        assert Segment.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_lookalike_page_makes_a_list(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    from tagging.models import Segment
    from tagging.services.segments import segments

    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(30)]
        seed = segments.create_list(brand, by=SYSTEM, name="种子", contact_ids=[c.pk for c in people[:20]])
    client = sign_in(brand)
    assert client.post("/value/lookalike/", {"segment": seed.pk, "size": "0", "name": "x"}).status_code == 422
    assert (
        client.post("/value/lookalike/", {"segment": seed.pk, "size": "5", "name": "像种子"}).status_code
        == 302
    )
    with in_brand(brand):
        made = Segment.objects.get(name="像种子")
        assert made.kind == "list"
    page = client.get("/value/lookalike/").content.decode()
    assert "种子" in page and f"/segments/{made.pk}/" in page
    with in_brand(brand):
        segments.delete_segment(brand, by=SYSTEM, segment=made)
    assert f"/segments/{made.pk}/" not in client.get("/value/lookalike/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_scored_when_somebody_asks(brand: Any, other_brand: Any, staff: Any, sign_in: Any) -> None:
    """After the first import nobody waits for the night."""
    from org.models import AuditEntry

    with in_brand(brand):
        make_contact(brand, staff)
    client = sign_in(brand, "operator")
    assert "/value/recompute/" in client.get("/value/").content.decode()
    assert sign_in(brand, "guide").post("/value/recompute/").status_code == 403
    assert client.post("/value/recompute/").status_code == 302
    with in_brand(brand):
        assert ValueSetting.objects.get().computed_at and ContactStat.objects.get().lifecycle
        assert AuditEntry.objects.filter(action="value.recompute").count() == 1
    assert client.post("/value/recompute/").status_code == 409
    with in_brand(brand):
        ValueSetting.objects.update(computed_at=None)  # as while it is still under way
    assert client.post("/value/recompute/").status_code == 409
    with clock.at(clock.now() + timedelta(minutes=2)):
        assert client.post("/value/recompute/").status_code == 302
    with in_brand(other_brand):
        assert not ValueSetting.objects.exists()


def test_what_is_set_while_everybody_is_scored_stays(
    brand: Any, people: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large brand takes its time: settings of that time are neither those before it nor its cuts."""
    fifths, fitted = value.quintiles, lifetime.fit_purchasing

    def meanwhile(brand: Any) -> Any:
        ValueSetting.objects.create(**value.DEFAULT_CUTS, lost_days=77)
        return fifths(brand)

    def later(brand: Any) -> Any:
        ValueSetting.objects.update(method=ValueSetting.Method.CUTS, lost_days=78, r_cuts=[1, 2, 3, 4])
        return fifths(brand)

    def even_later(*given: Any) -> Any:
        ValueSetting.objects.update(lost_days=79)
        return fitted(*given)

    with in_brand(brand), clock.at(NOW):
        monkeypatch.setattr(value, "quintiles", meanwhile)
        value.recompute(brand)
        setting = ValueSetting.objects.get()
        assert (setting.lost_days, setting.computed_at) == (77, NOW)
        assert setting.r_cuts == fifths(brand)["r_cuts"] != value.DEFAULT_CUTS["r_cuts"]
        monkeypatch.setattr(value, "quintiles", later)
        value.recompute(brand)
        setting.refresh_from_db()
        assert (setting.method, setting.lost_days, setting.r_cuts) == ("cuts", 78, [1, 2, 3, 4])
        monkeypatch.setattr(lifetime, "fit_purchasing", even_later)
        value_model.fit(brand)
        setting.refresh_from_db()
        assert setting.lost_days == 79 and setting.fitted_at == NOW


def test_who_was_expected_and_has_not_come(brand: Any, staff: Any, sign_in: Any) -> None:
    with clock.at(NOW):  # all of it on one day
        _expected(brand, staff, sign_in(brand, "operator"))


def _expected(brand: Any, staff: Any, client: Any) -> None:
    with in_brand(brand):
        names = {"今天": 0, "上周": -7, "很久": -31, "下周": 7}
        for name, days in names.items():
            contact = make_contact(brand, staff, name=name)
            day = clock.today(brand.timezone) + timedelta(days=days)
            ContactStat.objects.filter(contact=contact).update(next_order_on=day)
    for days, expected in (("7", ["今天", "下周"]), ("past", ["今天", "上周"]), ("x", ["今天", "下周"])):
        answer = client.get("/value/next/", {"days": days})
        assert [row.contact.name for row in answer.context["page"].rows] == expected
        found = client.post("/segments/count/", {"condition": answer.context["condition"]}).json()
        assert found["n"] == len(expected)
    assert "days=past" in client.get("/value/next/").content.decode()
