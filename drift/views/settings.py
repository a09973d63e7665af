"""When the brand is reconciled, and what is repaired by itself."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from drift.kinds import AREAS, AUTO, KINDS
from drift.services.settings import edit_settings, settings_of
from org.access import staff_can
from scrm.responses import go
from wecom.views.tabs import sync_tabs


class SettingsForm(forms.Form):
    is_nightly = forms.BooleanField(label=gettext_lazy("Compare every night"), required=False)
    at = forms.TimeField(
        label=gettext_lazy("At"),
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=gettext_lazy("In the brand's time zone. A million customers take one to two minutes."),
    )
    auto = forms.MultipleChoiceField(
        choices=[(key, kind.label) for key, kind in KINDS.items()], required=False
    )


@require_http_methods(["GET", "POST"])
@staff_can("sync.run")
def drift_settings(request: Any) -> HttpResponse:
    chosen = settings_of(request.brand)
    auto = list(AUTO) if chosen.auto is None else chosen.auto
    initial = {"is_nightly": chosen.is_nightly, "at": chosen.at, "auto": auto}
    form = SettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        edit_settings(request.brand, by=request.actor, **form.cleaned_data)
        return go(request, "/sync/drift/", _("Saved"))
    picked = set(form["auto"].value() or [])
    areas = [
        (label, [(key, kind, key in picked) for key, kind in KINDS.items() if kind.area == area])
        for area, label in AREAS.items()
    ]
    context = {"form": form, "areas": areas, "tabs": sync_tabs("drift")}
    return render(request, "drift/settings.html", context, status=422 if form.errors else 200)
