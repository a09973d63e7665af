"""Roles with their rights, stores, regions."""

from typing import Any

from django import forms
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org.access import RIGHTS, staff_can
from org.forms import RightsField, add_errors, right_groups
from org.models import Region, Role, Scope, Staff, Store
from org.services import places, roles
from org.views.staff import tabs
from scrm.errors import NotFoundError, SCRMError
from scrm.responses import go


class RoleForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=40)
    scope = forms.ChoiceField(
        label=gettext_lazy("Data scope"),
        choices=Scope.choices,
        help_text=gettext_lazy("Whose customers and figures people with this role see."),
    )
    rights = RightsField()


class StoreForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    code = forms.CharField(label=gettext_lazy("Store number"), max_length=30, required=False)
    region = forms.ModelChoiceField(
        Region.objects.none(), label=gettext_lazy("Region"), required=False, empty_label="—"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["region"].queryset = Region.objects.order_by("name")  # type: ignore[attr-defined]


class RegionForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)


def _get(model: Any, pk: int) -> Any:
    found = model.objects.filter(pk=pk).first()
    if found is None:
        raise NotFoundError()
    return found


@require_GET
@staff_can("staff.view")
def role_list(request: Any) -> HttpResponse:
    counts = dict(
        Staff.objects.filter(role__isnull=False).values_list("role").annotate(n=Count("pk")).order_by()
    )
    rows = [(role, counts.get(role.pk, 0)) for role in Role.objects.order_by("-is_preset", "pk")]
    return render(request, "org/roles/list.html", {"rows": rows, "tabs": tabs("roles"), "all_rights": RIGHTS})


@require_http_methods(["GET", "POST"])
@staff_can("staff.edit")
def role_edit(request: Any, role_id: int | None = None) -> HttpResponse:
    """Make a role or change one."""
    role = _get(Role, role_id) if role_id else None
    initial = (
        {"name": role.name, "scope": role.scope, "rights": role.rights} if role else {"scope": Scope.OWN}
    )
    form = RoleForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            if role:
                roles.edit_role(request.brand, by=request.actor, role=role, **form.cleaned_data)
            else:
                roles.create_role(request.brand, by=request.actor, **form.cleaned_data)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(request, "/staff/roles/", _("Saved"))
    chosen = form["rights"].value() or []
    context = {
        "form": form,
        "role": role,
        "groups": right_groups(chosen, allowed=request.actor.rights),
        "n_staff": Staff.objects.filter(role=role).count() if role else 0,
    }
    return render(request, "org/roles/edit.html", context, status=422 if form.errors else 200)


@require_POST
@staff_can("staff.edit")
def role_delete(request: Any, role_id: int) -> HttpResponse:
    role = _get(Role, role_id)
    roles.delete_role(request.brand, by=request.actor, role=role)
    return go(request, "/staff/roles/", _("%(name)s is deleted") % {"name": role.name})


@require_GET
@staff_can("staff.view")
def place_list(request: Any) -> HttpResponse:
    n_staff = dict(
        Staff.objects.filter(store__isnull=False).values_list("store").annotate(n=Count("pk")).order_by()
    )
    stores = list(Store.objects.select_related("region").order_by("name"))
    n_stores: dict[int | None, int] = {}
    for store in stores:
        n_stores[store.region_id] = n_stores.get(store.region_id, 0) + 1
    context = {
        "stores": [(store, n_staff.get(store.pk, 0)) for store in stores],
        "regions": [(region, n_stores.get(region.pk, 0)) for region in Region.objects.order_by("name")],
        "tabs": tabs("places"),
    }
    return render(request, "org/places/list.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("staff.edit")
def store_edit(request: Any, store_id: int | None = None) -> HttpResponse:
    """In the modal: make a store or change one."""
    store = _get(Store, store_id) if store_id else None
    initial = {"name": store.name, "code": store.code, "region": store.region_id} if store else None
    return _place(
        request, StoreForm(request.POST or None, initial=initial), store, places.save_store, "store"
    )


@require_http_methods(["GET", "POST"])
@staff_can("staff.edit")
def region_edit(request: Any, region_id: int | None = None) -> HttpResponse:
    """In the modal: make a region or rename one."""
    region = _get(Region, region_id) if region_id else None
    form = RegionForm(request.POST or None, initial={"name": region.name} if region else None)
    return _place(request, form, region, places.save_region, "region")


def _place(request: Any, form: forms.Form, place: Any, save: Any, word: str) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            save(request.brand, by=request.actor, **{word: place}, **form.cleaned_data)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(request, "/staff/places/", _("Saved"))
    context = {"form": form, "place": place, "word": word}
    return render(request, "org/places/_form.html", context, status=422 if form.errors else 200)


@require_POST
@staff_can("staff.edit")
def store_delete(request: Any, store_id: int) -> HttpResponse:
    places.delete_place(request.brand, by=request.actor, place=_get(Store, store_id))
    return go(request, "/staff/places/", _("Deleted"))


@require_POST
@staff_can("staff.edit")
def region_delete(request: Any, region_id: int) -> HttpResponse:
    places.delete_place(request.brand, by=request.actor, place=_get(Region, region_id))
    return go(request, "/staff/places/", _("Deleted"))
