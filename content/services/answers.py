"""Answers to forms: recorded once a person, told to the timeline, put into custom fields, counted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.models import Contact, CustomField, EventType, visible_follows
from contacts.services import timeline, values
from contacts.services.fields import live_fields
from content import questions
from content.models import Content, ContentVersion, FormAnswer, TrackedLink, Visit
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand

MOST_COUNTED = 100_000  # answers that a results page reads: the newest
SAMPLE = 5  # texts that it shows at a question
SLICE = 5_000


@transaction.atomic
def record(
    brand: Brand, *, version: ContentVersion, visit: Visit, given: Mapping[str, Sequence[str]]
) -> tuple[FormAnswer, bool]:
    """Write down what the browser of a visit answered; (answers, whether they are the first of this person).

    Args:
        version: of the page; the questions of its form judge what was given.
        given: texts by key of the question, as a form sends them.

    Raises:
        InvalidError: `fields` says what is wrong at which question.
    """
    form = questions.form_of(version.page)
    if form is None:
        raise InvalidError(_("This page asks nothing any more"))
    answers = questions.read(form["questions"], given)
    contact = Contact.objects.filter(pk=visit.contact_id).first() if visit.contact_id else None
    row, is_new = _keep(version, visit, contact.pk if contact else None, answers)
    if contact is not None:
        _fill_fields(brand, contact.pk, form["questions"], answers)
    if is_new and contact is not None:
        _tell(brand, row, version, questions.by_label(form["questions"], answers))
    return row, is_new


def _keep(
    version: ContentVersion, visit: Visit, contact_id: int | None, answers: dict[str, Any]
) -> tuple[FormAnswer, bool]:
    now = clock.now()
    row, made = FormAnswer.objects.get_or_create(
        content_id=version.content_id,
        **_person(visit.visitor, contact_id),
        defaults={
            "version_id": version.pk, "link_id": visit.link_id, "visitor": visit.visitor, "staff_id": visit.staff_id,
            "answers": answers, "first_at": now, "at": now,
        },
    )  # fmt: skip
    if made and contact_id:
        # what this browser answered before WeCom named its owner was this person's
        FormAnswer.objects.filter(content_id=version.content_id, **_person(visit.visitor, None)).delete()
    if not made:
        row = FormAnswer.objects.select_for_update().get(pk=row.pk)
        row.answers, row.version_id, row.at, row.n_times = answers, version.pk, now, row.n_times + 1
        row.save(update_fields=["answers", "version_id", "at", "n_times"])
    return row, made


def _person(visitor: str, contact_id: int | None) -> dict[str, Any]:
    return {"contact_id": contact_id} if contact_id else {"contact_id": None, "visitor": visitor}


def _fill_fields(
    brand: Brand, contact_id: int, asked: Sequence[Mapping[str, Any]], answers: Mapping[str, Any]
) -> None:
    """Put answers into the custom fields that their questions name; what a field cannot hold stays out of it."""
    wanted = {q["field"]: q["key"] for q in asked if q.get("field") and q["key"] in answers}
    found: dict[CustomField, values.Value] = {}
    for kept in live_fields() if wanted else ():
        if kept.key not in wanted:
            continue
        answer = answers[wanted[kept.key]]
        text = "、".join(answer) if isinstance(answer, list) else str(answer)
        with suppress(InvalidError):
            found[kept] = values.parse(kept, text)
    if found:
        values.set_many(brand, {contact_id: found}, by=SYSTEM, source="form")


def _tell(brand: Brand, row: FormAnswer, version: ContentVersion, words: dict[str, Any]) -> None:
    timeline.record_event(
        brand,
        contact_id=row.contact_id or 0,
        type=EventType.FORM_ANSWERED,
        at=row.at,
        staff_id=row.staff_id,
        object_id=version.content_id,
        source="form",
        source_key=str(row.pk),
        data={"title": version.page["title"], "answers": words},
    )


def of_visit(content_id: int, visit: Visit | None) -> FormAnswer | None:
    """What the person of a visit has answered already, in the caller's transaction."""
    if visit is None:
        return None
    return FormAnswer.objects.filter(
        content_id=content_id, **_person(visit.visitor, visit.contact_id)
    ).first()


# ---- results


@dataclass
class Result:
    """What was answered to one question."""

    question: Mapping[str, Any]
    n: int = 0
    counts: list[tuple[str, int]] = field(
        default_factory=list
    )  # options with how many chose them, in their order
    average: float | None = None
    texts: list[str] = field(default_factory=list)  # some of the newest


def visible(content: Content, staff: Staff | None) -> Any:
    """Answers to a page that a person may see: of own customers; nameless ones only with sight of the whole brand."""
    rows = FormAnswer.objects.filter(content=content)
    follows = visible_follows(staff) if staff else None  # no person: an API key of the brand
    return rows if follows is None else rows.filter(contact_id__in=follows.values("contact"))


def results(content: Content, page: Mapping[str, Any], staff: Staff | None) -> tuple[int, list[Result]]:
    """(how many answered, what to each question of the page in force); of very many the newest are counted."""
    form = questions.form_of(page)
    rows = visible(content, staff)
    found = {q["key"]: Result(q) for q in form["questions"]} if form else {}
    tally: dict[str, Counter[str]] = {key: Counter() for key in found}
    sums = dict.fromkeys(found, 0.0)
    for answers in (
        rows.order_by("-at", "-pk").values_list("answers", flat=True)[:MOST_COUNTED].iterator(SLICE)
    ):
        for key, answer in answers.items():
            if key not in found:
                continue
            result = found[key]
            result.n += 1
            if isinstance(answer, list) or result.question["kind"] in ("one", "rating"):
                tally[key].update(map(str, answer if isinstance(answer, list) else [answer]))
            elif len(result.texts) < SAMPLE:
                result.texts.append(f"{answer:g}" if isinstance(answer, float) else str(answer))
            if isinstance(answer, (int, float)):
                sums[key] += answer
    for key, result in found.items():
        options = result.question.get("options") or ("12345" if result.question["kind"] == "rating" else ())
        gone = [option for option in tally[key] if option not in options]  # of earlier versions
        result.counts = [(option, tally[key][option]) for option in [*options, *sorted(gone)]]
        if result.question["kind"] in ("number", "rating") and result.n:
            result.average = sums[key] / result.n
    return rows.count(), list(found.values())


def rows_of(
    content_id: int, staff: Staff | None, after: int, size: int
) -> Iterator[tuple[FormAnswer, str, str]]:
    """Answers after a number, for an export: (answer, name of the customer, name of the link)."""
    content = Content.objects.get(pk=content_id)
    page = list(visible(content, staff).filter(pk__gt=after).order_by("pk")[:size])
    names = dict(
        Contact.objects.filter(pk__in=[a.contact_id for a in page if a.contact_id]).values_list("pk", "name")
    )
    links = dict(TrackedLink.objects.filter(pk__in={a.link_id for a in page}).values_list("pk", "name"))
    for row in page:
        yield row, names.get(row.contact_id or 0, ""), links.get(row.link_id, "")
