"""Brand settings, quotas, API keys."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org.access import RIGHTS, staff_can
from org.forms import ZONES, RightsField, add_errors, right_groups
from org.models import ApiKey
from org.services import keys, settings
from scrm.errors import NotFoundError, SCRMError
from scrm.responses import go


class BrandForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    timezone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("Days of figures, hours of SOPs and working hours are in this zone."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        present = self.initial.get("timezone")
        own = [] if present in dict(ZONES) else [(present, present)]
        self.fields["timezone"].choices = [*own, *ZONES]  # type: ignore[attr-defined]


class KeyForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("What uses the key, e.g. the mall's ERP."),
    )
    rights = RightsField()


# tab, right, name of the address; touch and tasks belong to the app `campaigns`
_TABS = [
    ("brand", "brand.edit", "settings", gettext_lazy("Brand")),
    ("touch", "brand.edit", "touch_policy", gettext_lazy("Cap of touches")),
    ("tasks", "brand.edit", "task_settings", gettext_lazy("Guides' tasks")),
    ("fields", "fields.edit", "own_page", gettext_lazy("Fields and stages")),
    ("keys", "keys.edit", "keys", gettext_lazy("API keys")),
]


def tabs(request: Any, active: str) -> list[dict[str, Any]]:
    """Tabs of the settings that the person may open."""
    found = []
    for key, right, name, label in _TABS:
        try:
            url = reverse(name)
        except NoReverseMatch:  # an installation without that app
            continue
        if request.actor.can(right):
            found.append({"url": url, "label": label, "active": key == active})
    return found


@require_http_methods(["GET", "POST"])
@staff_can("brand.edit")
def brand_settings(request: Any) -> HttpResponse:
    brand = request.brand
    form = BrandForm(request.POST or None, initial={"name": brand.name, "timezone": brand.timezone})
    if request.method == "POST" and form.is_valid():
        try:
            settings.edit_brand(brand, by=request.actor, **form.cleaned_data)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(request, "/settings/", _("Saved"))
    context = {"form": form, "usage": settings.usage(brand), "tabs": tabs(request, "brand")}
    return render(request, "org/settings/brand.html", context, status=422 if form.errors else 200)


@require_GET
@staff_can("keys.edit")
def key_list(request: Any) -> HttpResponse:
    rows = ApiKey.objects.order_by("-id")
    return render(
        request, "org/settings/keys.html", {"rows": rows, "tabs": tabs(request, "keys"), "all_rights": RIGHTS}
    )


@never_cache
@require_http_methods(["GET", "POST"])
@staff_can("keys.edit")
def key_new(request: Any) -> HttpResponse:
    """Make a key; the answer to the post shows it, once."""
    form = KeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            key, whole = keys.create_key(request.brand, by=request.actor, **form.cleaned_data)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return render(request, "org/settings/key_made.html", {"key": key, "whole": whole})
    groups = right_groups(form["rights"].value() or [], allowed=request.actor.rights)
    context = {"form": form, "groups": groups}
    return render(request, "org/settings/key_new.html", context, status=422 if form.errors else 200)


@require_POST
@staff_can("keys.edit")
def key_revoke(request: Any, key_id: int) -> HttpResponse:
    key = ApiKey.objects.filter(pk=key_id).first()
    if key is None:
        raise NotFoundError()
    keys.revoke_key(request.brand, by=request.actor, key=key)
    return go(request, "/settings/keys/", _("%(name)s is revoked") % {"name": key.name})
