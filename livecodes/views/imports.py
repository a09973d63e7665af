"""Codes from a spreadsheet: upload, preview, make, result."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from livecodes.services import batch, batch_sheet
from org.access import staff_can
from org.forms import add_errors
from org.models import Corp, Job
from scrm import sheets
from scrm.errors import InvalidError, NotFoundError
from scrm.responses import go

SHOWN = 200


class UploadForm(forms.Form):
    corp = forms.TypedChoiceField(label=gettext_lazy("WeCom corp"), coerce=int)
    file = forms.FileField(
        label=gettext_lazy("Spreadsheet"),
        help_text=gettext_lazy("XLSX or CSV, up to 1,000 rows. The first row names the columns."),
        widget=forms.ClearableFileInput(attrs={"accept": ".xlsx,.csv,.txt"}),
    )

    def __init__(self, *args: Any, corps: list[Corp], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["corp"].choices = [(c.pk, c.name) for c in corps]  # type: ignore[attr-defined]
        if len(corps) == 1:
            self.fields["corp"].widget = forms.HiddenInput()
            self.fields["corp"].initial = corps[0].pk


@require_http_methods(["GET", "POST"])
@staff_can("codes.edit")
def import_new(request: Any) -> HttpResponse:
    """Upload; the answer is the preview with what is wrong in which row."""
    corps = list(Corp.objects.order_by("pk"))
    form = UploadForm(request.POST or None, request.FILES or None, corps=corps)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            found = batch.preview(
                request.brand,
                corp=next(c for c in corps if c.pk == form.cleaned_data["corp"]),
                data=file.read(sheets.MAX_BYTES + 1),
                name=file.name or "",
            )
        except InvalidError as error:
            add_errors(form, error)
        else:
            return _preview(request, found)
    context = {"form": form, "columns": [words[0] for words in batch_sheet.COLUMNS.values()], "corps": corps}
    context["recent"] = Job.objects.filter(kind=batch.KIND).order_by("-created_at")[:5]
    return render(request, "livecodes/import.html", context, status=422 if form.errors else 200)


def _preview(request: Any, found: batch_sheet.Preview) -> HttpResponse:
    context = {"found": found, "good": found.good[:SHOWN], "bad": found.bad[:SHOWN], "shown": SHOWN}
    return render(request, "livecodes/import_preview.html", context)


@require_GET
@staff_can("codes.edit")
def import_template(request: Any) -> HttpResponse:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    response = HttpResponse(batch_sheet.template_xlsx(), content_type=kind)
    response["Content-Disposition"] = 'attachment; filename="channel-codes.xlsx"'
    return response


@require_POST
@staff_can("codes.edit")
def import_start(request: Any) -> HttpResponse:
    job = batch.start(request.brand, by=request.actor, token=request.POST.get("token", "")[:40])
    return go(request, f"/codes/import/{job.pk}/")


@require_GET
@staff_can("codes.edit")
def import_job(request: Any, job_id: int) -> HttpResponse:
    """Progress, then what was made and what was not."""
    job = Job.objects.filter(pk=job_id, kind=batch.KIND).first()
    if job is None:
        raise NotFoundError()
    context = {
        "job": job,
        "done_url": f"/codes/import/{job.pk}/",
        "code_ids": job.result.get("code_ids", []),
        "problems": job.result.get("problems", []),
        "label": _("Show the result"),
    }
    return render(request, "livecodes/import_job.html", context)
