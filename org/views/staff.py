"""Staff: list, one person, their log-in."""

from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from org.access import staff_can
from org.forms import add_errors
from org.models import AuditEntry, Region, Role, Staff, Store
from org.panels import panels_of
from org.services import people
from scrm.errors import NotFoundError, SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go


def tabs(active: str) -> list[dict[str, Any]]:
    """Tabs of the staff pages."""
    return [
        {"url": "/staff/", "label": _("Staff"), "active": active == "staff"},
        {"url": "/staff/roles/", "label": _("Roles"), "active": active == "roles"},
        {"url": "/staff/places/", "label": _("Stores and regions"), "active": active == "places"},
    ]


class StaffForm(forms.Form):
    """Role, place and state; a person who left WeCom cannot be made active here."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=64)
    role = forms.ModelChoiceField(Role.objects.none(), label=gettext_lazy("Role"), required=False)
    store = forms.ModelChoiceField(Store.objects.none(), label=gettext_lazy("Store"), required=False)
    region = forms.ModelChoiceField(
        Region.objects.none(),
        label=gettext_lazy("Region"),
        required=False,
        help_text=gettext_lazy("For people who look after a whole region."),
    )
    state = forms.ChoiceField(label=gettext_lazy("State"), choices=Staff.State.choices)

    def __init__(self, data: Any = None, *, staff: Staff) -> None:
        initial = {f: getattr(staff, f"{f}_id") for f in ("role", "store", "region")}
        super().__init__(data, initial=initial | {"name": staff.name, "state": staff.state})
        for field, model in (("role", Role), ("store", Store), ("region", Region)):
            self.fields[field].queryset = model.objects.order_by("name")  # type: ignore[attr-defined]
            self.fields[field].empty_label = "—"  # type: ignore[attr-defined]
        if staff.state == Staff.State.LEFT:
            self.fields["state"].disabled = True
        else:
            self.fields["state"].choices = [  # type: ignore[attr-defined]
                pair for pair in Staff.State.choices if pair[0] != Staff.State.LEFT
            ]
        if staff.corp_id:
            self.fields["name"].disabled = True
            self.fields["name"].help_text = _("Comes from WeCom.")


class LoginForm(forms.Form):
    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=100,
        help_text=gettext_lazy(
            "Somebody who already signs in to another brand here keeps name and password."
        ),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label=gettext_lazy("First password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    role = forms.ModelChoiceField(Role.objects.none(), label=gettext_lazy("Role"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # on a guide's page another form with a role stands beside it
        kwargs.setdefault("auto_id", "login_%s")
        super().__init__(*args, **kwargs)
        self.fields["role"].queryset = Role.objects.order_by("name")  # type: ignore[attr-defined]


class PersonForm(LoginForm):
    """A person of the dashboard who is no WeCom member."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    field_order = ["name", "username", "password", "role"]


def get_staff(request: Any, staff_id: int) -> Staff:
    """A colleague within the data scope of the person who asks."""
    found = (
        Staff.objects.visible_to(request.staff)
        .select_related("role", "store", "region", "corp")
        .filter(pk=staff_id)
        .first()
    )
    if found is None:
        raise NotFoundError()
    return found


@require_GET
@staff_can("staff.view")
@vary_on_headers("HX-Request")
def staff_list(request: Any) -> HttpResponse:
    given = {k: request.GET.get(k, "").strip() for k in ("q", "role", "store", "state", "login")}
    rows = Staff.objects.visible_to(request.staff).select_related("role", "store", "region")
    if given["q"]:
        rows = rows.filter(Q(name__icontains=given["q"]) | Q(userid__icontains=given["q"]))
    if given["role"] == "none":
        rows = rows.filter(role=None)
    elif role := read_id(given["role"]):
        rows = rows.filter(role=role)
    if store := read_id(given["store"]):
        rows = rows.filter(store=store)
    if given["state"] in Staff.State.values:
        rows = rows.filter(state=given["state"])
    if given["login"] in ("yes", "no"):
        rows = rows.filter(user_id__isnull=given["login"] == "no")
    page = keyset_page(rows, order=("name", "id"), after=request.GET.get("after"))
    logins = people.logins_of(request.brand, [staff.pk for staff in page])
    context = {"page": page, "logins": logins}
    if request.htmx:
        return render(request, "org/staff/_rows.html", context)
    context |= {
        "given": given,
        "tabs": tabs("staff"),
        "roles": [("none", _("Without a role")), *Role.objects.order_by("name").values_list("pk", "name")],
        "stores": Store.objects.order_by("name").values_list("pk", "name"),
        "states": Staff.State.choices,
        "login_choices": [("yes", _("With log-in")), ("no", _("Without log-in"))],
    }
    return render(request, "org/staff/list.html", context)


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("password")
@staff_can("staff.edit")
def staff_new(request: Any) -> HttpResponse:
    """Somebody who uses the dashboard without being a WeCom member."""
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            staff, _user = people.give_login(
                request.brand, by=request.actor, **values | {"password": values["password"] or None}
            )
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(request, f"/staff/{staff.pk}/", _("%(name)s can sign in now") % {"name": staff.name})
    return render(request, "org/staff/new.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@staff_can("staff.view")
def staff_detail(request: Any, staff_id: int) -> HttpResponse:
    """One person; with staff.edit their role, place and state can be changed."""
    staff = get_staff(request, staff_id)
    may_edit = request.actor.can("staff.edit")
    if request.method == "POST" and not may_edit:
        raise NotFoundError()
    form = StaffForm(request.POST or None, staff=staff)
    if request.method == "POST" and form.is_valid():
        try:
            people.edit_staff(request.brand, by=request.actor, staff=staff, **form.cleaned_data)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(request, f"/staff/{staff.pk}/", _("Saved"))
    if staff.pk == request.staff.pk:
        form.fields["role"].disabled = form.fields["state"].disabled = True
    return _detail(request, staff, form=form)


def _detail(request: Any, staff: Staff, *, form: forms.Form | None = None, **more: Any) -> HttpResponse:
    login = people.logins_of(request.brand, [staff.pk]).get(staff.pk)
    entries = AuditEntry.objects.filter(object_type="staff", object_id=staff.pk).order_by("-at", "-id")[:10]
    login_form = more.pop("login_form", None) or LoginForm(
        initial={"role": staff.role_id, "username": staff.userid}
    )
    context = {
        "shown": staff,
        "form": form or StaffForm(staff=staff),
        "login": login,
        "login_form": login_form,
        "ours_alone": login is not None and people.is_ours_alone(request.brand, login["user"]),
        "is_self": staff.pk == request.staff.pk,
        "panels": panels_of(request, staff),
        "entries": entries if request.actor.can("audit.view") else [],
        **more,
    }
    bad = (form is not None and form.errors) or login_form.errors
    return render(request, "org/staff/detail.html", context, status=422 if bad else 200)


@require_POST
@sensitive_post_parameters("password")
@staff_can("staff.edit")
def staff_login(request: Any, staff_id: int) -> HttpResponse:
    """Give a log-in to a member."""
    staff = get_staff(request, staff_id)
    form = LoginForm(request.POST)
    if form.is_valid():
        values = form.cleaned_data
        try:
            people.give_login(
                request.brand,
                by=request.actor,
                name=staff.name,
                staff=staff,
                **values | {"password": values["password"] or None},
            )
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(request, f"/staff/{staff.pk}/", _("%(name)s can sign in now") % {"name": staff.name})
    return _detail(request, get_staff(request, staff_id), login_form=form)


@require_POST
@staff_can("staff.edit")
def staff_remove_login(request: Any, staff_id: int) -> HttpResponse:
    staff = get_staff(request, staff_id)
    people.remove_login(request.brand, by=request.actor, staff=staff)
    return go(request, f"/staff/{staff.pk}/", _("The log-in is gone"))


@require_POST
@never_cache
@staff_can("staff.edit")
def staff_password(request: Any, staff_id: int) -> HttpResponse:
    """A new password, shown in this answer only."""
    staff = get_staff(request, staff_id)
    password = people.reset_password(request.brand, by=request.actor, staff=staff)
    return _detail(request, staff, new_password=password)


@require_POST
@staff_can("staff.edit")
def staff_unlock(request: Any, staff_id: int) -> HttpResponse:
    staff = get_staff(request, staff_id)
    people.unlock(request.brand, by=request.actor, staff=staff)
    return go(request, f"/staff/{staff.pk}/", _("%(name)s may try again") % {"name": staff.name})
