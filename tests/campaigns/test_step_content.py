"""Steps by day say what stands in the library."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import SendTask, Sop, SopStep
from campaigns.services import content_uses
from campaigns.services.graphs import graphs
from campaigns.services.sops import enrolments, sops, stepping
from campaigns.services.sops.sops import StepInput
from content.models import Content
from content.services import editing
from org.access import SYSTEM
from scrm import clock
from scrm.errors import InvalidError
from tests.campaigns.conftest import at
from tests.campaigns.test_api import client_of
from tests.campaigns.test_pages import rows_of
from tests.content.conftest import MAKER, make_content
from tests.factories import in_brand, make_contact

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hello(brand: Any) -> Content:
    with in_brand(brand):
        return make_content(brand, "问候", "你好，新朋友")


def test_chosen_on_the_page(brand: Any, other_brand: Any, hello: Content, sign_in: Any) -> None:
    operator = sign_in(brand, "operator")
    assert "data-content-open" in operator.get("/sops/new/").content.decode()
    rows = rows_of(("", 1, "10:00", "你好，新朋友"), ("", 2, "10:00", "自己写的"))
    form = {"name": "新客", "late_days": 3, **rows, "content": [hello.current_id, hello.current_id]}
    assert operator.post("/sops/new/", form).status_code == 302
    with in_brand(brand):
        sop = Sop.objects.get()
        one, two = sops.live_steps(sop.pk)
        assert (one.content_id, two.content_id) == (
            hello.current_id,
            None,
        )  # other words are not the library's
        assert [use["name"] for use in content_uses.uses(brand, [hello.current_id or 0])] == ["新客"]
    page = operator.get(f"/sops/{sop.pk}/edit/").content.decode()
    assert "问候 v1" in page
    # it is kept when something else is changed, and leaves with its words
    rows = rows_of((one.pk, 3, "10:00", "你好，新朋友"), (two.pk, 4, "10:00", "自己写的"))
    form = {"name": "新客", "late_days": 3, **rows, "content": [hello.current_id, ""]}
    assert operator.post(f"/sops/{sop.pk}/edit/", form).status_code == 302
    with in_brand(brand):
        assert SopStep.objects.get(pk=one.pk).content_id == hello.current_id
    form["text"] = ["改过的", "自己写的"]
    operator.post(f"/sops/{sop.pk}/edit/", form)
    with in_brand(brand):
        assert SopStep.objects.get(pk=one.pk).content_id is None
    with in_brand(other_brand):
        theirs = make_content(other_brand, "别家", "别家的")
    form |= {"text": ["别家的", "自己写的"], "content": [theirs.current_id, ""]}
    operator.post(f"/sops/{sop.pk}/edit/", form)
    with in_brand(brand):
        assert SopStep.objects.get(pk=one.pk).content_id is None


def test_what_may_not_be_sent_is_said_at_its_step(brand: Any, hello: Content, sign_in: Any) -> None:
    given = StepInput(1, 10, 0, "你好，新朋友", content_version=hello.current_id)
    with in_brand(brand):
        sop = sops.create_sop(brand, name="新客", steps=[given], by=SYSTEM)
        editing.archive(brand, content_id=hello.pk, by=MAKER)
        with pytest.raises(InvalidError) as caught:
            sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
        assert caught.value.details["step"] == 1 and "问候" in str(caught.value)
        with pytest.raises(InvalidError):
            sops.create_sop(brand, name="另一个", steps=[given], by=SYSTEM)
    rows = rows_of(("", 1, "10:00", "你好，新朋友"))
    form = {"name": "第三个", "late_days": 3, **rows, "content": [hello.current_id]}
    answer = sign_in(brand, "operator").post("/sops/new/", form)
    assert answer.status_code == 422 and "问候" in answer.content.decode()


def test_the_ledger_names_it_and_what_is_gone_is_held_back(brand: Any, staff: Any, hello: Content) -> None:
    with in_brand(brand):
        steps = [StepInput(n, 10, 0, "你好，新朋友", content_version=hello.current_id) for n in (1, 2)]
        sop = sops.create_sop(brand, name="新客", steps=steps, by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
        contact = make_contact(brand, staff)
        start = at("2026-03-10 09:00")
        enrolments.enrol_many(brand, sop=sop, contact_ids=[contact.pk], source="page", at=start)
        with clock.at(start + timedelta(days=1, hours=1)):
            stepping.run(brand, clock.now())
            assert SendTask.objects.get().content_id == hello.current_id
        drawn = graphs.open_as_graph(brand, sop_id=sop.pk, by=SYSTEM)
        said = [node for node in drawn.draft["nodes"] if node["kind"] == "touch"]
        assert [node["content_id"] for node in said] == [hello.pk, hello.pk]
        copy = sops.duplicate(brand, sop_id=sop.pk, by=SYSTEM)
        assert {step.content_id for step in sops.live_steps(copy.pk)} == {hello.current_id}
    (step, *_rest) = client_of(brand, "sops.view").get(f"/api/v1/sops/{sop.pk}/").json()["steps"]
    assert step["content_version_id"] == hello.current_id
