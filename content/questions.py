"""Forms on a page: what may be asked, and whether an answer is one. Pure.

A block of a page: {"type": "form", "label": words on the button, "thanks": words afterwards, "questions": [
    {"key": "q1", "kind": "one", "label": "肤质", "options": ["干性", "油性"], "needed": true, "field": "skin"}]}

`key` stays when the words change, so that old answers still count. `field` is the key of a custom field of contacts that
an answer of a known customer fills.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.errors import InvalidError

KINDS: dict[str, Any] = {
    "one": gettext_lazy("One of several"),
    "many": gettext_lazy("Any of several"),
    "text": gettext_lazy("A short text"),
    "long": gettext_lazy("A long text"),
    "number": gettext_lazy("A number"),
    "date": gettext_lazy("A date"),
    "rating": gettext_lazy("One to five stars"),
}
WITH_OPTIONS = ("one", "many")
MAX_QUESTIONS, MAX_OPTIONS, MAX_OPTION = 30, 30, 60
LENGTHS = {"text": 200, "long": 2_000}
KEY = re.compile(r"q[0-9]{1,4}")
FIELD_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")

Answer = str | float | int | list[str]


def check_block(block: Mapping[str, Any]) -> dict[str, Any]:
    """A form as somebody has put it together, with known parts only.

    Raises:
        InvalidError: says what is wrong.
    """
    questions = block.get("questions")
    if not isinstance(questions, list) or not questions:
        raise InvalidError(_("ask something: add a question"))
    if len(questions) > MAX_QUESTIONS:
        raise InvalidError(_("At most %(n)d questions") % {"n": MAX_QUESTIONS})
    clean = [_question(given) for given in questions]
    if len({q["key"] for q in clean}) < len(clean) or len({q["label"] for q in clean}) < len(clean):
        raise InvalidError(_("Each question needs words of its own"))
    return {
        "type": "form",
        "label": _words(block.get("label"), 20) or _("Submit"),
        "thanks": _words(block.get("thanks"), 200) or _("Thank you!"),
        "questions": clean,
    }


def _question(given: Any) -> dict[str, Any]:
    kind = given.get("kind") if isinstance(given, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidError(_("unknown type"))
    key, label = given.get("key"), _words(given.get("label"), 60)
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise InvalidError(_("The page did not arrive complete. Load it again."))
    if not label:
        raise InvalidError(_("A question has no words"))
    field = given.get("field") or ""
    if not isinstance(field, str) or (field and not FIELD_KEY.fullmatch(field)):
        raise InvalidError(_("unknown type"))
    clean = {
        "key": key,
        "kind": kind,
        "label": label,
        "needed": given.get("needed") is True,
        "field": field,
    }
    if kind in WITH_OPTIONS:
        options = given.get("options")
        found = [
            o for o in (_words(o, MAX_OPTION) for o in (options if isinstance(options, list) else [])) if o
        ]
        if not 2 <= len(found) <= MAX_OPTIONS or len(set(found)) < len(found):
            raise InvalidError(
                _("“%(label)s” needs 2 to %(n)d different options") % {"label": label, "n": MAX_OPTIONS}
            )
        clean["options"] = found
    return clean


def form_of(page: Mapping[str, Any]) -> dict[str, Any] | None:
    """The form of a page, if it has one."""
    return next((block for block in page.get("blocks", []) if block["type"] == "form"), None)


def read(questions: Sequence[Mapping[str, Any]], given: Mapping[str, Sequence[str]]) -> dict[str, Answer]:
    """Answers as a browser sent them ({key: texts}), by key; what was left empty is left out.

    Raises:
        InvalidError: `fields` says what is wrong at which question.
    """
    answers: dict[str, Answer] = {}
    wrong: dict[str, str] = {}
    for question in questions:
        texts = [text.replace("\x00", "").strip() for text in given.get(question["key"], [])]
        texts = [text for text in texts if text]
        if not texts:
            if question["needed"]:
                wrong[question["key"]] = _("Please answer this")
            continue
        try:
            answers[question["key"]] = _READ[question["kind"]](question, texts)
        except ValueError as error:
            wrong[question["key"]] = str(error) or _("This is no answer to this question")
    if wrong:
        raise InvalidError(_("Some answers are missing or wrong"), fields=wrong)
    if not answers:
        raise InvalidError(_("Nothing was answered"))
    return answers


def texts(answer: Any) -> list[str]:
    """An answer as the texts of a form; none for None."""
    if answer is None or isinstance(answer, list):
        return answer or []
    return [f"{answer:g}" if isinstance(answer, float) else str(answer)]


def by_label(questions: Sequence[Mapping[str, Any]], answers: Mapping[str, Answer]) -> dict[str, Any]:
    """{question in words: answer}, as rules and timelines read it; numbers as text."""
    words = {q["key"]: q["label"] for q in questions}
    return {
        words[key]: answer if isinstance(answer, list) else texts(answer)[0]
        for key, answer in answers.items()
        if key in words
    }


def _one(question: Mapping[str, Any], texts: list[str]) -> str:
    if texts[0] not in question["options"]:
        raise ValueError
    return texts[0]


def _many(question: Mapping[str, Any], texts: list[str]) -> list[str]:
    if set(texts) - set(question["options"]):
        raise ValueError
    return [option for option in question["options"] if option in texts]


def _short(question: Mapping[str, Any], texts: list[str]) -> str:
    most = LENGTHS[question["kind"]]
    if len(texts[0]) > most:
        raise ValueError(_("At most %(n)d characters") % {"n": most})
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", texts[0])


def _number(question: Mapping[str, Any], texts: list[str]) -> float:
    try:
        value = float(texts[0].replace(",", "").replace("，", ""))
    except ValueError:
        raise ValueError(_("A number is needed")) from None
    if not math.isfinite(value) or abs(value) > 1e12:
        raise ValueError(_("A number is needed"))
    return value


def _date(question: Mapping[str, Any], texts: list[str]) -> str:
    try:
        return date.fromisoformat(texts[0]).isoformat()
    except ValueError:
        raise ValueError(_("A date is needed")) from None


def _rating(question: Mapping[str, Any], texts: list[str]) -> int:
    if texts[0] not in {"1", "2", "3", "4", "5"}:
        raise ValueError
    return int(texts[0])


def _words(value: Any, most: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidError(_("must be text"))
    text = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", value).split())
    if len(text) > most:
        raise InvalidError(_("At most %(n)d characters") % {"n": most})
    return text


_READ: dict[str, Callable[[Mapping[str, Any], list[str]], Answer]] = {
    "one": _one,
    "many": _many,
    "text": _short,
    "long": _short,
    "number": _number,
    "date": _date,
    "rating": _rating,
}
