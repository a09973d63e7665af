"""What people answered on a page: figures at each question, and everybody's answers, the newest first."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from contacts.models import Contact
from content import questions
from content.models import Content, ContentVersion, TrackedLink
from content.services import answers as services
from content.services.editing import get_content
from org.access import staff_can
from scrm.errors import NotFoundError
from scrm.keyset import keyset_page


@require_GET
@staff_can("content.view")
@vary_on_headers("HX-Request")
def answers(request: Any, content_id: int) -> HttpResponse:
    content = get_content(content_id)
    if content.kind != Content.Kind.PAGE:
        raise NotFoundError()
    version = ContentVersion.objects.filter(pk=content.current_id or 0).first()
    written = version.page if version else {}
    form = questions.form_of(written)
    rows = services.visible(content, request.staff)
    page = keyset_page(rows, order=("-at", "-pk"), after=request.GET.get("after"), size=20)
    names = dict(
        Contact.objects.filter(pk__in=[a.contact_id for a in page if a.contact_id]).values_list("pk", "name")
    )
    links = dict(TrackedLink.objects.filter(pk__in={a.link_id for a in page}).values_list("pk", "name"))
    asked = form["questions"] if form else []
    for row in page:
        row.name, row.link = names.get(row.contact_id), links.get(row.link_id, "—")
        row.cells = ["、".join(questions.texts(row.answers.get(q["key"]))) for q in asked]
    context: dict[str, Any] = {"content": content, "page": page, "asked": asked}
    if request.htmx and request.GET.get("after"):
        return render(request, "content/forms/_answers.html", context)
    n, found = services.results(content, written, request.staff)
    context |= {"n": n, "results": [(result, _chart(result)) for result in found]}
    return render(request, "content/forms/answers.html", context)


def _chart(result: services.Result) -> dict[str, Any] | None:
    if not result.counts:
        return None
    return {
        "kind": "hbar",
        "x": [option for option, _n in result.counts],
        "series": [{"name": _("Answers"), "data": [n for _option, n in result.counts], "color": "blue"}],
    }
