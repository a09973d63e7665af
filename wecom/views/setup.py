"""WeCom set-up: connect a company, its callback keys (shown once), and the doctor."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org.access import brand_transaction, staff_can, staff_can_outside
from org.forms import add_errors
from org.models import Corp
from org.services.brands import connect_corp
from scrm.errors import SCRMError
from scrm.responses import go, toast
from tenants.scoping import tenant_scope
from wecom.services import corps, doctor
from wecom.services.call_log import last_failures
from wecom.services.doctor_words import Finding, findings


class CorpForm(forms.Form):
    """The help says where each value stands in WeCom's console."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("As you call this company here, e.g. when a brand has several."),
    )
    corpid = forms.RegexField(
        r"^\s*w[wx][0-9A-Za-z]{8,62}\s*$",
        label=gettext_lazy("Corp ID"),
        max_length=64,
        help_text=gettext_lazy(
            "WeCom console: My company, Company information, at the very bottom. Begins with ww."
        ),
        error_messages={"invalid": gettext_lazy("A corp ID begins with ww and has letters and digits only")},
    )
    agent_id = forms.IntegerField(
        label="AgentId",
        min_value=1,
        max_value=2_147_483_647,
        help_text=gettext_lazy("WeCom console: App management, your self-built app, on top. Seven digits."),
    )
    secret = forms.CharField(
        label="Secret",
        max_length=200,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy(
            "The same page, below the AgentId: View. WeCom sends it to your WeCom client."
        ),
    )

    def __init__(self, *args: Any, corp: Corp | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if corp:
            secret = self.fields["secret"]
            secret.required = False
            secret.help_text = gettext_lazy("Empty: the stored secret stays. It is never shown.")


@require_GET
@staff_can("corps.edit")
def setup_list(request: Any) -> HttpResponse:
    """The connected companies, each with what the doctor found last."""
    rows = [(corp, _summary(findings(corp))) for corp in Corp.objects.order_by("pk")]
    return render(request, "wecom/setup/list.html", {"rows": rows})


def _summary(found: list[Finding]) -> dict[str, Any]:
    bad = [one for one in found if one.state == "failed"]
    warned = [one for one in found if one.state == "warning"]
    state = "failed" if bad else "warning" if warned else "ok" if found else ""
    return {"state": state, "first": next(iter(bad + warned), None), "n_bad": len(bad)}


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("secret")
@never_cache
@staff_can("corps.edit")
def setup_new(request: Any) -> HttpResponse:
    """Connect a company; afterwards its callback keys are shown, this once."""
    form = CorpForm(request.POST or None, initial={"name": request.brand.name})
    if request.method == "POST" and form.is_valid():
        try:
            corp = connect_corp(request.brand, by=request.actor, **form.cleaned_data)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return _shown_once(request, corp, is_new=True)
    status = 422 if form.errors else 200
    return render(request, "wecom/setup/new.html", {"form": form}, status=status)


def _shown_once(request: Any, corp: Corp, *, is_new: bool) -> HttpResponse:
    context = {"corp": corp, "callback_url": corps.callback_url(corp), "is_new": is_new}
    return render(request, "wecom/setup/keys.html", context)


@require_GET
@staff_can("corps.edit")
def setup_corp(request: Any, corp_id: int) -> HttpResponse:
    """One company: the doctor's findings, address of the callback, the last calls that failed."""
    corp = corps.get_corp(corp_id)
    context = {
        "corp": corp,
        "callback_url": corps.callback_url(corp),
        "failures": last_failures(corp_id=corp.pk),
        "may_message": request.staff.corp_id == corp.pk and bool(request.staff.userid),
        **_findings(corp),
    }
    return render(request, "wecom/setup/corp.html", context)


def _findings(corp: Corp) -> dict[str, Any]:
    found = findings(corp)
    return {"corp": corp, "findings": found, "summary": _summary(found)}


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("secret")
@staff_can("corps.edit")
def setup_edit(request: Any, corp_id: int) -> HttpResponse:
    corp = corps.get_corp(corp_id)
    initial = {"name": corp.name, "corpid": corp.corpid, "agent_id": corp.agent_id}
    form = CorpForm(request.POST or None, initial=initial, corp=corp)
    if request.method == "POST" and form.is_valid():
        try:
            corps.edit_corp(request.brand, by=request.actor, corp=corp, **form.cleaned_data)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(
                request, f"/setup/{corp.pk}/", _("Saved. Run the check to see whether WeCom accepts it.")
            )
    status = 422 if form.errors else 200
    return render(request, "wecom/setup/edit.html", {"form": form, "corp": corp}, status=status)


@require_POST
@never_cache
@staff_can("corps.edit")
def setup_keys(request: Any, corp_id: int) -> HttpResponse:
    """New callback keys, shown this once."""
    corp = corps.renew_callback(request.brand, by=request.actor, corp=corps.get_corp(corp_id))
    return _shown_once(request, corp, is_new=False)


@require_POST
@staff_can_outside("corps.edit")
def setup_check(request: Any, corp_id: int) -> HttpResponse:
    """Let the doctor look now; for htmx the findings alone."""
    corp = _corp_outside(request, corp_id)
    with tenant_scope(request.brand):
        doctor.examine(request.brand, corp)
    if not request.htmx:
        return go(request, f"/setup/{corp.pk}/")
    with brand_transaction(request):
        return render(request, "wecom/setup/_findings.html", _findings(corp))


@require_POST
@staff_can_outside("corps.edit")
def setup_message(request: Any, corp_id: int) -> HttpResponse:
    """A message of the app to the person who asks."""
    corp = _corp_outside(request, corp_id)
    with tenant_scope(request.brand):
        doctor.send_message(corp, request.staff)
    if not request.htmx:
        return go(request, f"/setup/{corp.pk}/", _("Sent. Look into your WeCom client."))
    return toast(HttpResponse(status=204), _("Sent. Look into your WeCom client."))


def _corp_outside(request: Any, corp_id: int) -> Corp:
    with brand_transaction(request):
        return corps.get_corp(corp_id)
