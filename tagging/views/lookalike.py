"""People like those of a segment: the search, and its list."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from org.access import staff_can
from org.forms import add_errors
from org.models import Job
from scrm.errors import InvalidError
from scrm.responses import go
from tagging.models import Segment
from tagging.services.segments import segments
from tagging.services.value import lookalike
from tagging.views.value import value_tabs


class LikeForm(forms.Form):
    segment = forms.ChoiceField(
        label=gettext_lazy("Like the people of"),
        widget=forms.Select(attrs={"data-search-select": gettext_lazy("Nothing found")}),
    )
    size = forms.IntegerField(
        label=gettext_lazy("How many"), min_value=1, max_value=lookalike.MAX_SIZE, initial=1000
    )
    name = forms.CharField(label=gettext_lazy("Name of the list"), max_length=60)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Segment.objects.filter(deleted_at=None).order_by("name").values_list("pk", "name")
        self.fields["segment"].choices = [(str(pk), name) for pk, name in rows]  # type: ignore[attr-defined]


@require_http_methods(["GET", "POST"])
@staff_can("segments.edit")
def lookalike_page(request: Any) -> HttpResponse:
    """Look for more people like those of a segment; below, what earlier searches found and why."""
    form = LikeForm(request.POST or None, initial={"segment": request.GET.get("segment", "")})
    if request.method == "POST" and form.is_valid():
        segment = segments.get_segment(int(form.cleaned_data["segment"]))
        try:
            lookalike.start(
                request.brand,
                segment=segment,
                size=form.cleaned_data["size"],
                name=form.cleaned_data["name"],
                by=request.actor,
            )
        except InvalidError as error:
            add_errors(form, error)
        else:
            return go(request, "/value/lookalike/", _("Looking. The list appears among the segments."))
    jobs = Job.objects.filter(kind="lookalike").order_by("-pk")[:10]
    made = {job.params.get("made") for job in jobs} - {None}
    there = set(Segment.objects.filter(pk__in=made, deleted_at=None).values_list("pk", flat=True))
    searches = [
        (job, f"/segments/{job.params['made']}/" if job.params.get("made") in there else "") for job in jobs
    ]
    context = {"form": form, "searches": searches, "tabs": value_tabs("like")}
    return render(request, "tagging/value/lookalike.html", context, status=422 if form.errors else 200)
