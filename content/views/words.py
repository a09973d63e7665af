"""The list of sensitive words, and the look for them while somebody writes."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from content.models import SensitiveWord
from content.services import sensitive
from content.views.picker import need_writer
from content.views.tabs import tabs
from content.words import plain
from org.access import signed_in, staff_can
from scrm import json_in
from scrm.errors import InvalidError
from scrm.ids import read_ids
from scrm.keyset import keyset_page
from scrm.responses import flash, go


@require_GET
@staff_can("content.view")
@vary_on_headers("HX-Request")
def word_list(request: Any) -> HttpResponse:
    found = SensitiveWord.objects.all()
    if q := plain(request.GET.get("q", "")[:40]):
        found = found.filter(plain__contains=q)
    if request.GET.get("level") in SensitiveWord.Level.values:
        found = found.filter(level=request.GET["level"])
    page = keyset_page(found, order=("-pk",), after=request.GET.get("after"), size=100)
    context: dict[str, Any] = {"page": page}
    if request.htmx and request.GET.get("after"):
        return render(request, "content/_words.html", context)
    context |= {
        "tabs": tabs(request, "content_words"),
        "levels": SensitiveWord.Level.choices,
        "n": SensitiveWord.objects.count(),
    }
    return render(request, "content/words.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("content.approve")
def words_add(request: Any) -> HttpResponse:
    """The modal: words typed, or a text file with one a line."""
    error = ""
    if request.method == "POST":
        try:
            words = request.POST.get("words", "").replace("，", "\n").replace(",", "\n").splitlines()
            if file := request.FILES.get("file"):
                words += sensitive.read_file(file.read(2 * 1024 * 1024 + 1))
            n, bad = sensitive.add_words(
                request.brand,
                words=words,
                level=request.POST.get("level", ""),
                note=request.POST.get("note", ""),
                by=request.actor,
            )
            if not n:
                raise InvalidError(_("Write at least one word") if not bad else _bad(bad))
            if bad:
                flash(request, _bad(bad), "warning")
            text = ngettext("%(n)d word is on the list", "%(n)d words are on the list", n) % {"n": n}
            return go(request, "content_words", text)
        except InvalidError as problem:
            error = str(problem.message)
    context = {"error": error, "levels": SensitiveWord.Level.choices, "given": request.POST}
    return render(request, "content/words_add.html", context, status=422 if error else 200)


def _bad(bad: list[str]) -> str:
    n = len(bad)
    text = ngettext("%(n)d line cannot be used: %(words)s", "%(n)d lines cannot be used: %(words)s", n)
    return text % {"n": n, "words": _(", ").join(word[:20] for word in bad[:5])}


@require_POST
@staff_can("content.approve")
def words_remove(request: Any) -> HttpResponse:
    ids = read_ids(request.POST)
    n = sensitive.remove_words(request.brand, word_ids=ids, by=request.actor)
    text = ngettext("%(n)d word taken off the list", "%(n)d words taken off the list", n) % {"n": n}
    return go(request, "content_words", text)


@require_POST
@staff_can("content.view")
def words_try(request: Any) -> HttpResponse:
    """Which words stand in a text that somebody tries."""
    text = request.POST.get("text", "")[:20_000]
    return render(
        request, "content/_words_tried.html", {"found": sensitive.find(request.brand, [text]), "text": text}
    )


@require_POST
@signed_in
def wording(request: Any) -> HttpResponse:
    """Sensitive words of a text and its attachments, for every form that speaks to customers.

    POST: `text`, `attachments` (JSON), `only=warnings` where the form itself says what is refused.
    """
    need_writer(request)
    context: dict[str, Any] = {"problem": "", "warnings": []}
    text = request.POST.get("text", "")[:20_000]
    attached = attached_of(request.POST.get("attachments", ""))
    found = sensitive.find(request.brand, [text, *sensitive.words_of(attached)])
    if request.POST.get("only") != "warnings":
        context["problem"] = sensitive.refusal(found)
    context["warnings"] = sensitive.warnings(found)
    return render(request, "content/_check.html", context)


def attached_of(text: str) -> list[dict[str, Any]]:
    """Attachments as a form writes them; what cannot be read is none: saving says so."""
    try:
        given = json_in.loads(text or "[]")
    except ValueError:
        given = []
    return [a for a in given[:9] if isinstance(a, dict)] if isinstance(given, list) else []
