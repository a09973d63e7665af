"""Log-in by password, log-out, choice of brand, language, own password."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org import session
from org.access import public, signed_in_outside
from org.middleware import signed_in_user
from org.models import Corp
from org.services import signin
from scrm.errors import InvalidError, LimitError, NotFoundError
from scrm.responses import flash
from tenants.models import Brand, UserBrand
from tenants.scoping import tenant_scope


class SignInForm(forms.Form):
    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=100,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class FindBrandForm(forms.Form):
    brand = forms.SlugField(label=gettext_lazy("Brand's short name"), max_length=40)


@public
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest, slug: str = "") -> HttpResponse:
    """Name and password; below, the WeCom log-in of the brand in the address."""
    user = signed_in_user(request)
    target = request.POST.get("next") or request.GET.get("next")
    if user is not None and request.method == "GET" and request.session.get("brand_id"):
        return redirect(session.safe_next(request, target))
    brand = Brand.objects.filter(slug=slug).exclude(state=Brand.State.CLOSED).first() if slug else None
    form = SignInForm(request.POST or None)
    status, retry_after_s = 200, None
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                user = signin.check_password(**form.cleaned_data, address=session.address_of(request))
            except (InvalidError, LimitError) as error:
                form.add_error(None, str(error.message))
                status, retry_after_s = error.http_status, error.details.get("retry_after_s")
            else:
                return session.welcome_in(
                    request, user, signin.brands_of(user), brand=brand, target=target or "/"
                )
    context = {
        "form": form,
        "brand": brand,
        "slug": slug,
        "unsaved": request.method == "GET" and "unsaved" in request.GET,
        "corps": _corps(brand),
        "next": (back := session.safe_next(request, target)),
        "any_brand": session.on_the_way(reverse("login"), back),
    }
    response = render(request, "org/login.html", context, status=status)
    if retry_after_s:
        response["Retry-After"] = str(retry_after_s)
    return response


def _corps(brand: Brand | None) -> list[Corp]:
    if brand is None:
        return []
    with tenant_scope(brand), transaction.atomic():
        return list(Corp.objects.only("name", "corpid").order_by("pk"))


@public
@require_GET
def find_brand(request: HttpRequest) -> HttpResponse:
    """From the brand's short name to its log-in page; the same answer whether it exists or not."""
    form = FindBrandForm(request.GET)
    door = (
        reverse("login_brand", args=[form.cleaned_data["brand"].lower()])
        if form.is_valid()
        else reverse("login")
    )
    return redirect(session.on_the_way(door, session.safe_next(request, request.GET.get("next"))))


@public
@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return redirect("login")


@signed_in_outside
@never_cache
@require_http_methods(["GET", "POST"])
def switch(request: Any) -> HttpResponse:
    """Choose one of one's brands."""
    brands = signin.brands_of(request.user)
    if request.method == "POST":
        wanted = next((b for b in brands if str(b.pk) == request.POST.get("brand")), None)
        if wanted is None:
            raise NotFoundError()
        session.enter_brand(request, wanted)
        return redirect(session.safe_next(request, request.POST.get("next")))
    context = {"my_brands": brands, "next": session.safe_next(request, request.GET.get("next"))}
    return render(request, "org/switch.html", context)


@public
@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Keep the language in a cookie, and with the user for the next device."""
    language = request.POST.get("language", "")
    response = redirect(session.safe_next(request, request.POST.get("next")))
    session.set_language_cookie(response, language)
    user = signed_in_user(request)
    if user is not None and response.cookies and user.language != language:
        user.language = language
        user.save(update_fields=["language"])
    return response


class PasswordForm(forms.Form):
    old = forms.CharField(
        label=gettext_lazy("Present password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label=gettext_lazy("New password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label=gettext_lazy("New password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("new") != values.get("again"):
            self.add_error("again", _("The two new passwords differ"))
        return values


@signed_in_outside
@never_cache
@sensitive_post_parameters("old", "new", "again")
@require_http_methods(["GET", "POST"])
def account(request: Any) -> HttpResponse:
    """Change one's own password: other devices are signed out, this one stays."""
    form = PasswordForm(request.POST or None)
    form.fields["new"].help_text = " ".join(password_validators_help_texts())
    if request.method == "POST" and form.is_valid():
        try:
            signin.check_password(
                request.user.username, form.cleaned_data["old"], address=session.address_of(request)
            )
        except (InvalidError, LimitError) as error:
            form.add_error(
                "old",
                str(error.message)
                if isinstance(error, LimitError)
                else _("This is not the present password"),
            )
        else:
            try:
                signin.set_password(request.user, form.cleaned_data["new"])
            except InvalidError as error:
                form.add_error("new", str(error.message))
            else:
                session.begin(request, request.user, request.brand)
                flash(request, _("Password changed. Other devices are signed out."))
                return redirect("account")
    has_password = request.user.has_usable_password()
    n_brands = UserBrand.objects.filter(user=request.user).count()
    context = {"form": form, "has_password": has_password, "n_brands": n_brands}
    return render(request, "org/account.html", context, status=422 if form.errors else 200)
