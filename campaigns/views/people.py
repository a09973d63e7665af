"""Who is in an SOP: the list, putting people in by hand, taking them out."""

from typing import Any
from uuid import uuid4

from django import forms
from django.core.cache import cache
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from campaigns.models import Enrolment, Sop
from campaigns.services import scope
from campaigns.services.broadcasts import recipients
from campaigns.services.broadcasts.recipients import Found
from campaigns.services.graphs import graph_checks
from campaigns.services.journeys import plans
from campaigns.services.sops import enrolments, sop_approval, sop_requests, sops
from campaigns.views.sop_tabs import WAITS, tabs_of
from contacts.models import Contact
from org.access import staff_can
from org.forms import add_errors
from org.models import Job
from scrm.errors import ConflictError, InvalidError, NotFoundError
from scrm.ids import read_id, read_ids
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.models import Segment

KEEP_S = 3600  # how long a preview waits for its yes
SAMPLE = 8


@require_GET
@staff_can("sops.view")
def people(request: Any, sop_id: int) -> HttpResponse:
    """People of one SOP: those in it now (newest customers first), or those who have left (last entered
    first)."""
    sop = sops.get_sop(sop_id)
    left = request.GET.get("show") == "left"
    rows = Enrolment.objects.filter(sop=sop, ended_at__isnull=not left).select_related("contact")
    order = ("-pk",) if left else ("-contact_id",)
    page = keyset_page(scope.of_contacts(rows, request.staff), order=order, after=request.GET.get("after"))
    steps = {s.position: s for s in sops.live_steps(sop.pk)}
    context = {"sop": sop, "page": page, "left": left, "steps": steps}
    if sop.is_graph:
        context["places"] = plans.places(page, graph_checks.say_for(request.brand))
    if request.htmx:
        return render(request, "campaigns/sops/_people.html", context)
    jobs = Job.objects.filter(kind="sop_enrol", params__sop_id=sop.pk).order_by("-created_at")
    context |= {
        "tabs": tabs_of(sop, "people"),
        "jobs": [job for job in jobs[:3] if job.is_live or str(job.pk) == request.GET.get("job")],
        "choices": [("", _("In it now")), ("left", pgettext("SOP", "Have left"))],
        "show": "left" if left else "",
        "can_enrol": sop.state in enrolments.OPEN,
    }
    return render(request, "campaigns/sops/people.html", context)


@require_POST
@staff_can("sops.edit")
def remove(request: Any, sop_id: int, enrolment_id: int) -> HttpResponse:
    row = Enrolment.objects.filter(pk=enrolment_id, sop=sop_id).first()
    if row is None or not Contact.objects.visible_to(request.staff).filter(pk=row.contact_id).exists():
        raise NotFoundError()
    enrolments.remove(request.brand, enrolment_id=row.pk, by=request.actor)
    return go(request, f"/sops/{sop_id}/people/", _("Taken out"))


# ---- put people in: a list, a preview, a yes


class ListForm(forms.Form):
    values = forms.CharField(
        label=gettext_lazy("People"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, "placeholder": "wmXXXXXXXX\n13800000000"}),
        help_text=gettext_lazy(
            "WeCom's external ids, phone numbers or member numbers; one on each line, or with commas."
        ),
    )
    file = forms.FileField(
        label=gettext_lazy("Or a file"),
        required=False,
        help_text=gettext_lazy("CSV, text or XLSX; the first column is read."),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.xlsx"}),
    )
    segment = forms.ModelChoiceField(
        Segment.objects.none(),
        label=gettext_lazy("Or a segment"),
        required=False,
        help_text=gettext_lazy("Those who are in it now."),
        widget=forms.Select(attrs={"data-search-select": gettext_lazy("Nothing found")}),
    )

    def __init__(self, *args: Any, with_segments: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if with_segments:
            rows = Segment.objects.filter(deleted_at=None).order_by("name", "pk")
            self.fields["segment"].queryset = rows  # type: ignore[attr-defined]
        else:
            del self.fields["segment"]


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def enrol(request: Any, sop_id: int) -> HttpResponse:
    """Paste or upload a list; the answer is its preview."""
    sop = _open_sop(sop_id)
    may_segments = request.actor.can("segments.view")
    form = ListForm(request.POST or None, request.FILES or None, with_segments=may_segments)
    if request.method == "POST" and form.is_valid():
        try:
            given = form.cleaned_data
            if segment := given.get("segment"):
                found = recipients.of_segment(request.brand, segment, sop=sop, staff=request.staff)
                return _preview(request, sop, found)
            values = (
                recipients.values_of_file(given["file"])
                if given["file"]
                else recipients.values_of_text(given["values"])
            )
            return _preview(request, sop, recipients.resolve(values, sop=sop, staff=request.staff))
        except InvalidError as error:
            add_errors(form, error)
    context = {"sop": sop, "form": form}
    return render(request, "campaigns/sops/enrol.html", context, status=422 if form.errors else 200)


@require_POST
@staff_can("sops.edit")
def enrol_chosen(request: Any) -> HttpResponse:
    """People chosen in the list of contacts (`ids`): which SOP (`sop`), then the preview."""
    ids = read_ids(request.POST)
    if not ids:
        raise InvalidError(_("Choose at least one contact"))
    if sop_id := request.POST.get("sop", ""):
        sop = _open_sop(read_id(sop_id) or 0)
        return _preview(request, sop, recipients.check_ids(ids, sop=sop, staff=request.staff))
    choices = Sop.objects.filter(state__in=enrolments.OPEN).order_by("name")
    return render(request, "campaigns/sops/choose.html", {"ids": ids, "sops": choices})


def _open_sop(sop_id: int) -> Sop:
    sop = sops.get_sop(sop_id)
    if sop.state not in enrolments.OPEN:
        raise ConflictError(_("Switch the SOP on first"))
    return sop


def _preview(request: Any, sop: Sop, found: Found) -> HttpResponse:
    token = uuid4().hex
    cache.set(_key(request, token), {"sop_id": sop.pk, "ids": found.contact_ids}, KEEP_S)
    sample = Contact.objects.filter(pk__in=found.contact_ids[:SAMPLE]).order_by("pk")
    context = {
        "sop": sop,
        "found": found,
        "token": token,
        "sample": sample,
        "unknown": found.unknown[: recipients.SHOWN],
        "n_unknown": len(found.unknown),
        "needs": len(found.contact_ids) > enrolments.MANY and sop_requests.are_needed(request.brand),
        "asked": sop_requests.waiting().filter(sop=sop).first(),
    }
    return render(request, "campaigns/sops/preview.html", context)


def _key(request: Any, token: str) -> str:
    return f"enrol:{request.brand.pk}:{request.user.pk}:{token}"


@require_POST
@staff_can("sops.edit")
def enrol_confirm(request: Any, sop_id: int) -> HttpResponse:
    """The yes to a preview starts the job."""
    kept = cache.get(_key(request, request.POST.get("token", "")[:32]))
    if not kept or kept["sop_id"] != sop_id:
        raise ConflictError(_("This preview is too old. Give the list again."))
    outcome = sop_approval.put_in(
        request.brand,
        sop_id=sop_id,
        contact_ids=kept["ids"],
        by=request.actor,
        note=request.POST.get("note", ""),
    )
    if outcome.request:
        return go(request, f"/sops/requests/{outcome.request.pk}/", WAITS)
    assert outcome.job
    return go(request, f"/sops/{sop_id}/people/?job={outcome.job.pk}", _("They are being put in"), "info")
