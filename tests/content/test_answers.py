"""Forms on pages: what may be asked, who answers, what it does to the customer, and who sees it."""

from typing import Any

import pytest
from django.test import Client

from contacts.models import Contact, CustomField, CustomValue, Event, EventType
from contacts.services import fields
from content import pages, questions
from content.models import FormAnswer, TrackedLink, Visit
from content.services import answers, editing, links
from org.access import SYSTEM
from scrm.errors import InvalidError
from tenants.models import Brand
from tests.content.conftest import MAKER, make_content
from tests.content.test_links import browser, known
from tests.datafiles.test_exports import lines, newest, take
from tests.factories import in_brand, make_contact, make_staff

SKIN = {
    "key": "q1",
    "kind": "one",
    "label": "肤质",
    "options": ["干性", "油性"],
    "needed": True,
    "field": "skin",
}
LIKES = {"key": "q2", "kind": "many", "label": "喜欢", "options": ["香氛", "家居", "户外"]}
BIRTHDAY = {"key": "q3", "kind": "date", "label": "生日", "field": "birthday"}
STARS = {"key": "q4", "kind": "rating", "label": "满意吗"}
WORDS = {"key": "q5", "kind": "long", "label": "还想说"}
AGE = {"key": "q6", "kind": "number", "label": "几岁"}
FORM = {
    "type": "form",
    "label": "",
    "thanks": "收到啦",
    "questions": [SKIN, LIKES, BIRTHDAY, STARS, WORDS, AGE],
}
PAGE = {"title": "问卷", "blocks": [{"type": "text", "text": "两分钟"}, FORM]}
GOOD = {"q1": "油性", "q2": ["户外", "香氛"], "q3": "1990-05-04", "q4": "4", "q5": "<b>好</b>", "q6": "3.5"}


@pytest.fixture
def link(brand: Brand) -> TrackedLink:
    with in_brand(brand):
        fields.create_field(
            brand, by=SYSTEM, key="skin", label="肤质", type="choice", options=["干性", "油性"]
        )
        fields.create_field(brand, by=SYSTEM, key="birthday", label="生日", type="date")
        return links.link_of_page(brand, make_content(brand, "问卷", "", kind="page", page=PAGE), by=MAKER)


def opened(client: Client, link: TrackedLink) -> str:
    """The token of the visit that the page shows."""
    address = client.get(f"/l/{link.key}/")["Location"]
    assert "收到啦" not in client.get(address).text
    return address.partition("v=")[2]


# ---- what may be asked (pure)


@pytest.mark.parametrize(
    "change",
    [
        {"questions": []},
        {"questions": "x"},
        {"questions": [SKIN] * 2},
        {"questions": [{**SKIN, "label": ""}]},
        {"questions": [{**SKIN, "options": ["干性"]}]},
        {"questions": [{**SKIN, "options": ["干性", "干性"]}]},
        {"questions": [{**SKIN, "kind": "moon"}]},
        {"questions": [{**SKIN, "kind": ["one"]}]},
        {"questions": [{**SKIN, "key": "x"}]},
        {"questions": [{**SKIN, "field": "no such!"}]},
        {"questions": [{**SKIN, "label": 7}]},
        {"questions": [None]},
        {"questions": [{**WORDS, "key": f"q{n}", "label": str(n)} for n in range(1, 40)]},
        {"label": "x" * 21},
    ],
)
def test_a_form_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        questions.check_block({**FORM, **change})


def test_one_form_a_page_and_its_words_are_looked_at() -> None:
    clean = pages.check(PAGE)
    assert pages.check(clean) == clean  # nothing more is taken away the second time
    assert {"肤质", "油性", "收到啦"} <= set(pages.words_of(clean))
    with pytest.raises(InvalidError):
        pages.check({**PAGE, "blocks": [FORM, FORM]})


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, {"q1"}),
        ({"q1": "?"}, {"q1"}),
        ({**GOOD, "q2": ["香氛", "月亮"]}, {"q2"}),
        ({**GOOD, "q3": "4.5.1990"}, {"q3"}),
        ({**GOOD, "q4": "6"}, {"q4"}),
        ({**GOOD, "q5": "x" * 2001}, {"q5"}),
        ({**GOOD, "q6": "nan"}, {"q6"}),
        ({**GOOD, "q6": "viel", "q4": "0"}, {"q4", "q6"}),
    ],
)
def test_what_is_no_answer(given: dict[str, Any], wrong: set[str]) -> None:
    form = questions.check_block(FORM)
    with pytest.raises(InvalidError) as refused:
        questions.read(form["questions"], {k: v if isinstance(v, list) else [v] for k, v in given.items()})
    assert set(refused.value.details["fields"]) == wrong


# ---- answered


@pytest.mark.django_db(transaction=True)
class TestAnswered:
    def test_a_customer(self, brand: Brand, staff: Any, link: TrackedLink) -> None:
        """Recorded once, on the timeline as rules read it, into the fields; again: replaced, told once."""
        with in_brand(brand):
            contact = make_contact(brand, staff)
        client = browser()
        known(brand, client, contact)
        token = opened(client, link)
        done = client.post(f"/p/{link.key}/answer/", {"token": token, **GOOD})
        assert done.status_code == 302 and "收到啦" in client.get(done["Location"]).text
        with in_brand(brand):
            row = FormAnswer.objects.get()
            assert row.contact_id == contact.pk and row.answers == {
                "q1": "油性", "q2": ["香氛", "户外"], "q3": "1990-05-04", "q4": 4, "q5": "<b>好</b>", "q6": 3.5,
            }  # fmt: skip
            event = Event.objects.get(type=EventType.FORM_ANSWERED)
            assert event.object_id == link.content_id and event.data["title"] == "问卷"
            assert event.data["answers"]["肤质"] == "油性" and event.data["answers"]["喜欢"] == [
                "香氛",
                "户外",
            ]
            assert CustomValue.objects.get(field__key="skin").value_text == "油性"
            assert f"{CustomValue.objects.get(field__key='birthday').value_date}" == "1990-05-04"
        shown = client.get(
            f"/p/{link.key}/?n=1"
        ).text  # a colleague, or too many at once: why nothing can be sent is said
        assert "暂不能提交" in shown and f'href="/l/{link.key}/"' in shown
        again = client.get(f"/p/{link.key}/?v={token}&again=1").text
        assert "暂不能提交" not in again
        assert "&lt;b&gt;好" in again and "<b>好" not in again
        client.post(f"/p/{link.key}/answer/", {"token": token, "q1": "干性"})
        with in_brand(brand):
            row.refresh_from_db()
            assert row.answers == {"q1": "干性"} and row.n_times == 2
            assert Event.objects.filter(type=EventType.FORM_ANSWERED).count() == 1
            assert CustomValue.objects.get(field__key="skin").value_text == "干性"

    def test_nobody_reads_anothers_answers(self, brand: Brand, staff: Any, link: TrackedLink) -> None:
        """The address is passed on: a browser without a cookie, and another one, get the empty form."""
        with in_brand(brand):
            contact = make_contact(brand, staff)
        owner, reader = browser(), browser()
        known(brand, owner, contact)
        token = opened(owner, link)
        owner.post(f"/p/{link.key}/answer/", {"token": token, **GOOD})
        assert "checked" in owner.get(f"/p/{link.key}/?v={token}&again=1").text
        for client in (browser(), reader):
            answer = client.get(f"/p/{link.key}/?v={token}&again=1", follow=True)
            assert (
                "&lt;b&gt;" not in answer.text
                and "checked" not in answer.text
                and "收到啦" not in answer.text
            )

    def test_what_is_wrong_stands_at_its_question(self, brand: Brand, link: TrackedLink) -> None:
        client = browser()
        token = opened(client, link)
        refused = client.post(f"/p/{link.key}/answer/", {"token": token, "q5": "bleibt stehen", "q6": "viel"})
        assert refused.status_code == 422
        assert "bleibt stehen" in refused.text and refused.text.count('class="wrong"') == 2
        with in_brand(brand):
            assert not FormAnswer.objects.exists()

    def test_nobody_answers_for_another(
        self, brand: Brand, other_brand: Brand, link: TrackedLink, staff: Any
    ) -> None:
        """Only the browser of the visit; a stolen, a changed and another brand's token lead to the page, and write nothing."""
        with in_brand(brand):
            contact = make_contact(brand, staff)
        owner, thief = browser(), browser()
        known(brand, owner, contact)
        token = opened(owner, link)
        opened(thief, link)
        for given in (token, token[:-2] + "AA", ""):
            answer = thief.post(f"/p/{link.key}/answer/", {"token": given, **GOOD})
            assert answer.status_code == 302 and answer["Location"] == f"/l/{link.key}/"
        assert owner.post("/p/nosuchkey/answer/", {"token": token}).status_code == 404
        assert owner.post(f"/p/{link.key}/answer/", {"token": token, "q5": "x" * 200_000}).status_code == 429
        with in_brand(brand):
            assert not FormAnswer.objects.exists()
        with in_brand(other_brand):
            assert not FormAnswer.objects.exists()

    def test_a_browser_that_becomes_somebody(self, brand: Brand, staff: Any, link: TrackedLink) -> None:
        """Answers of a nameless browser become the customer's when they answer again by name."""
        client = browser()
        token = opened(client, link)
        client.post(f"/p/{link.key}/answer/", {"token": token, **GOOD})
        with in_brand(brand):
            assert FormAnswer.objects.get().contact_id is None
            assert not Event.objects.filter(type=EventType.FORM_ANSWERED).exists()
            contact = make_contact(brand, staff)
            visit = Visit.objects.get()
            Visit.objects.filter(pk=visit.pk).update(contact_id=contact.pk)
        client.post(f"/p/{link.key}/answer/", {"token": token, **GOOD})
        with in_brand(brand):
            assert FormAnswer.objects.get().contact_id == contact.pk
            assert Event.objects.filter(type=EventType.FORM_ANSWERED).count() == 1

    def test_a_field_that_cannot_hold_it(self, brand: Brand, staff: Any, link: TrackedLink) -> None:
        """The answer is kept; the field is left as it was."""
        with in_brand(brand):
            CustomField.objects.filter(key="skin").update(options=["敏感"])
            contact = make_contact(brand, staff)
        client = browser()
        known(brand, client, contact)
        client.post(f"/p/{link.key}/answer/", {"token": opened(client, link), **GOOD})
        with in_brand(brand):
            assert FormAnswer.objects.exists() and not CustomValue.objects.filter(field__key="skin").exists()

    def test_results(self, brand: Brand, corp: Any, staff: Any, link: TrackedLink, sign_in: Any) -> None:
        """Counted by option, averaged, exported; a guide sees own customers' answers only."""
        with in_brand(brand):
            people: list[Contact] = [make_contact(brand, staff, name=f"客{n}") for n in range(3)]
        for n, contact in enumerate(people):
            client = browser()
            known(brand, client, contact)
            client.post(f"/p/{link.key}/answer/", {"token": opened(client, link), **GOOD, "q4": str(3 + n)})
        client = browser()
        client.post(f"/p/{link.key}/answer/", {"token": opened(client, link), "q1": "干性"})
        boss = sign_in(brand)
        text = boss.get(f"/content/{link.content_id}/answers/").text
        assert "客0" in text and "&lt;b&gt;好" in text and "<b>好" not in text
        with in_brand(brand):
            content = editing.get_content(link.content_id or 0)
            n, found = answers.results(content, pages.check(PAGE), staff=None)
            assert n == 4
            by_key = {r.question["key"]: r for r in found}
            assert by_key["q1"].counts == [("干性", 1), ("油性", 3)] and by_key["q4"].average == 4
            assert (
                by_key["q2"].counts == [("香氛", 3), ("家居", 0), ("户外", 3)] and by_key["q6"].average == 3.5
            )
            other = make_staff(brand, corp)
            assert (
                not answers.visible(content, other).exists() and answers.visible(content, staff).count() == 3
            )
        assert sign_in(brand, "guide", staff=other).get(f"/content/{content.pk}/answers/").status_code == 403
        take(boss, f"kind=answers&content={content.pk}")
        table = lines(boss, newest(brand))
        assert table[0][5:11] == ["肤质", "喜欢", "生日", "满意吗", "还想说", "几岁"]
        assert ["油性", "香氛、户外", "1990-05-04", "3", "<b>好</b>", "3.5"] in [row[5:11] for row in table]
        assert boss.post("/exports/new/?kind=answers&content=987", {"format": "csv"}).status_code == 404

    def test_a_page_without_a_form(self, brand: Brand, sign_in: Any) -> None:
        with in_brand(brand):
            page = {"title": "故事", "blocks": [{"type": "text", "text": "很久以前"}]}
            plain = links.link_of_page(
                brand, make_content(brand, "故事", "", kind="page", page=page), by=MAKER
            )
        client = browser()
        address = client.get(f"/l/{plain.key}/")["Location"]
        refused = client.post(f"/p/{plain.key}/answer/", {"token": address.partition("v=")[2], "q1": "x"})
        assert refused.status_code == 422
        assert "empty-state" in sign_in(brand).get(f"/content/{plain.content_id}/answers/").text
