"""The back office of the platform owner: brands, their state, quotas and health.

No brand is in scope here, so that no customer can be read even by mistake.
"""

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

from org.access import platform_only
from org.forms import ZONES, add_errors
from org.services import platform, signin
from org.services.brands import set_brand_state
from scrm.errors import ConflictError, InvalidError, NotFoundError
from scrm.keyset import keyset_page
from scrm.responses import go
from tenants.models import Brand, PlatformEntry, User, UserBrand


class OpenBrandForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    slug = forms.SlugField(
        label=gettext_lazy("Short name"),
        max_length=40,
        required=False,
        help_text=gettext_lazy(
            "Part of the log-in address: letters, digits, hyphens. Made up if left empty."
        ),
    )
    timezone = forms.ChoiceField(label=gettext_lazy("Time zone"), choices=ZONES, initial="Asia/Shanghai")
    contact_quota = forms.IntegerField(label=gettext_lazy("Contact quota"), min_value=1, initial=1_000_000)
    staff_quota = forms.IntegerField(label=gettext_lazy("Log-in quota"), min_value=1, initial=1_000)
    admin_name = forms.CharField(label=gettext_lazy("Administrator's name"), max_length=60)
    admin_username = forms.CharField(
        label=gettext_lazy("Administrator's user name"),
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    admin_password = forms.CharField(
        label=gettext_lazy("First password"),
        required=False,
        strip=False,
        min_length=8,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Not needed for somebody who has a log-in on this platform already."),
    )


class QuotaForm(forms.Form):
    contact_quota = forms.IntegerField(
        label=gettext_lazy("Contact quota"), min_value=1, max_value=2_000_000_000
    )
    staff_quota = forms.IntegerField(label=gettext_lazy("Log-in quota"), min_value=1, max_value=1_000_000)


def _tabs(active: str) -> list[dict[str, Any]]:
    return [
        {"url": "/platform/", "label": _("Brands"), "active": active == "brands"},
        {"url": "/platform/people/", "label": _("Log-ins"), "active": active == "people"},
        {"url": "/platform/log/", "label": _("Log"), "active": active == "log"},
    ]


def _brand(brand_id: int) -> Brand:
    brand = Brand.objects.select_related("health").filter(pk=brand_id).first()
    if brand is None:
        raise NotFoundError()
    return brand


@platform_only
@require_GET
def brand_list(request: Any) -> HttpResponse:
    brands = Brand.objects.select_related("health")
    if q := request.GET.get("q", "").strip():
        brands = brands.filter(Q(name__icontains=q) | Q(slug__icontains=q))
    state = request.GET.get("state", "")
    if state in Brand.State.values:
        brands = brands.filter(state=state)
    page = keyset_page(brands, order=("-id",), after=request.GET.get("after"))
    context = {"page": page, "tabs": _tabs("brands"), "q": q, "state": state, "states": Brand.State.choices}
    return render(request, "org/platform/_rows.html" if request.htmx else "org/platform/list.html", context)


@platform_only
@sensitive_post_parameters("admin_password")
@require_http_methods(["GET", "POST"])
def brand_open(request: Any) -> HttpResponse:
    form = OpenBrandForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data | {"admin_password": form.cleaned_data["admin_password"] or None}
        try:
            brand = platform.open_brand(by=request.user, **values)
        except (ConflictError, InvalidError) as error:
            if text := error.details.get("fields", {}).pop("password", ""):  # of the administrator
                form.add_error("admin_password", str(text))
            else:
                add_errors(form, error)
        else:
            return go(request, f"/platform/{brand.pk}/", _("%(name)s is open") % {"name": brand.name})
    return render(request, "org/platform/open.html", {"form": form}, status=422 if form.errors else 200)


@platform_only
@require_GET
def brand_detail(request: Any, brand_id: int) -> HttpResponse:
    brand = _brand(brand_id)
    return _detail(
        request,
        brand,
        QuotaForm(initial={"contact_quota": brand.contact_quota, "staff_quota": brand.staff_quota}),
    )


def _detail(request: Any, brand: Brand, form: QuotaForm) -> HttpResponse:
    entries = PlatformEntry.objects.filter(brand=brand).select_related("user").order_by("-id")[:20]
    context = {"shown": brand, "health": getattr(brand, "health", None), "form": form, "entries": entries}
    return render(request, "org/platform/detail.html", context, status=422 if form.errors else 200)


@platform_only
@require_POST
def brand_quota(request: Any, brand_id: int) -> HttpResponse:
    brand = _brand(brand_id)
    form = QuotaForm(request.POST)
    if not form.is_valid():
        return _detail(request, brand, form)
    platform.set_quota(brand, by=request.user, **form.cleaned_data)
    return go(request, f"/platform/{brand.pk}/", _("Quota saved"))


@platform_only
@require_POST
def brand_state(request: Any, brand_id: int) -> HttpResponse:
    """Suspend, open again, close."""
    brand = _brand(brand_id)
    state = request.POST.get("state", "")
    if state not in Brand.State.values:
        raise InvalidError(_("Unknown state"))
    if state != brand.state:
        set_brand_state(brand, state=state, by=request.user)
    return go(
        request,
        f"/platform/{brand.pk}/",
        _("%(name)s: %(state)s") % {"name": brand.name, "state": brand.get_state_display()},
    )


@platform_only
@require_GET
def people(request: Any) -> HttpResponse:
    """Log-ins over all brands: each brand looks after its own, this is for those who serve several."""
    return _people(request)


def _people(request: Any, **more: Any) -> HttpResponse:
    users = User.objects.all()
    if q := request.GET.get("q", "").strip():
        users = users.filter(Q(username__icontains=q.lower()) | Q(name__icontains=q))
    page = keyset_page(users, order=("username",), after=request.GET.get("after"))
    brands: dict[int, list[Brand]] = {}
    for entry in UserBrand.objects.filter(user__in=[user.pk for user in page]).select_related("brand"):
        brands.setdefault(entry.user_id, []).append(entry.brand)
    locks = signin.locks_of([user.username for user in page])
    rows = [(user, brands.get(user.pk, []), locks.get(user.username)) for user in page]
    context = {"page": page, "rows": rows, "q": q, "tabs": _tabs("people"), **more}
    return render(
        request, "org/platform/_people_rows.html" if request.htmx else "org/platform/people.html", context
    )


def _user(user_id: int) -> User:
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFoundError()
    return user


@platform_only
@require_POST
def user_unlock(request: Any, user_id: int) -> HttpResponse:
    user = _user(user_id)
    platform.unlock_user(user, by=request.user)
    return go(request, "/platform/people/", _("%(name)s may try again") % {"name": user.username})


@platform_only
@never_cache
@require_POST
def user_password(request: Any, user_id: int) -> HttpResponse:
    """A new password, shown in this answer only."""
    user = _user(user_id)
    password = platform.reset_user_password(user, by=request.user)
    return _people(request, new_password=password, whose=user)


@platform_only
@require_GET
def platform_log(request: Any) -> HttpResponse:
    entries = PlatformEntry.objects.select_related("user", "brand")
    page = keyset_page(entries, order=("-id",), after=request.GET.get("after"))
    template = "org/platform/_log_rows.html" if request.htmx else "org/platform/log.html"
    return render(request, template, {"page": page, "tabs": _tabs("log")})
