"""Settings of how often and when customers hear from the brand, do-not-contact rules, and customers' wishes."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from campaigns.governance import MAX_DAYS, CapRule
from campaigns.models import NoContactRule, Touch, TouchPolicy
from campaigns.services.governance import policy, rules
from contacts import hooks
from org.access import staff_can
from org.forms import add_errors
from org.views.settings import tabs as settings_tabs
from scrm.errors import InvalidError, NotFoundError
from scrm.responses import go
from tagging.models import Tag

WINDOWS = (1, 7, 30)  # days, always offered; others that a brand has (through the API) stand beside them
KINDS = [
    (0, gettext_lazy("Total")),
    (int(Touch.Kind.SOP), Touch.Kind.SOP.label),
    (int(Touch.Kind.BROADCAST), Touch.Kind.BROADCAST.label),
]
_COLUMNS = (
    "min_gap_hours",
    "quiet_start",
    "quiet_end",
    "allowance",
    "sender",
    "guide_tasks_a_day",
    "guide_people_a_day",
    "guide_busy",
    "attribution_days",
    "hold_out_percent",
    "needs_approval",
    "sops_need_approval",
)


# fields of the form, by what they are about
GROUPS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (gettext_lazy("Quiet hours and gap"), ("quiet_start", "quiet_end", "min_gap_hours")),
    (gettext_lazy("Sending through WeCom"), ("allowance", "sender")),
    (gettext_lazy("A guide's day"), ("guide_tasks_a_day", "guide_people_a_day", "guide_busy")),
    (gettext_lazy("Effect"), ("attribution_days", "hold_out_percent", "redraw")),
    (gettext_lazy("A second person"), ("needs_approval", "sops_need_approval")),
)


class PolicyForm(forms.Form):
    """The columns of TouchPolicy; the caps are fields `cap_<kind>_<days>`, an empty one is no cap."""

    min_gap_hours = forms.IntegerField(
        label=gettext_lazy("Hours between two touches at least"), min_value=0, max_value=policy.MAX_GAP_HOURS
    )
    quiet_start = forms.TimeField(
        label=gettext_lazy("Quiet hours from"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=gettext_lazy(
            "What falls into them waits until they are over; nothing is lost. Empty: none."
        ),
    )
    quiet_end = forms.TimeField(
        label=gettext_lazy("until"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )
    allowance = forms.ChoiceField(
        label=gettext_lazy("WeCom's allowance per customer"),
        choices=TouchPolicy.Allowance.choices,
        help_text=gettext_lazy("As it is set in WeCom's console (群发助手); messages of all guides count."),
    )
    sender = forms.ChoiceField(
        label=gettext_lazy("Who writes to a customer with several guides"), choices=TouchPolicy.Sender.choices
    )
    guide_tasks_a_day = forms.IntegerField(
        label=gettext_lazy("Things to do of a guide a day at most"),
        required=False,
        min_value=1,
        max_value=policy.MAX_N,
        help_text=gettext_lazy(
            "Send tasks to confirm of all broadcasts and SOPs, moments to publish and tasks with their deadline on that day."
            " Empty: any number."
        ),
    )
    guide_people_a_day = forms.IntegerField(
        label=gettext_lazy("Customers of a guide a day at most"),
        required=False,
        min_value=1,
        max_value=policy.MAX_GUIDE_PEOPLE,
        help_text=gettext_lazy(
            "Who answers so many in one day? Customers in the send tasks. Empty: any number."
        ),
    )
    guide_busy = forms.ChoiceField(
        label=gettext_lazy("What is too much for a guide"),
        choices=TouchPolicy.Busy.choices,
        required=False,  # left out: as it is
        help_text=gettext_lazy(
            "Campaigns of higher priority keep the place. What waits is tried for seven days and then left out; the ledger names"
            " the reason."
        ),
    )
    attribution_days = forms.IntegerField(
        label=gettext_lazy("Days in which an order counts for a message"),
        min_value=1,
        max_value=policy.MAX_ATTRIBUTION_DAYS,
        help_text=gettext_lazy(
            "An order or an answer counts for the message that was delivered last before it, if that was not longer ago."
        ),
    )
    hold_out_percent = forms.IntegerField(
        label=gettext_lazy("Brand's hold-out group, per cent of all customers"),
        min_value=0,
        max_value=policy.MAX_HOLD_OUT,
        help_text=gettext_lazy(
            "These people get no SOP message and no broadcast at all (welcomes and chats go on), so that Touches → Effect"
            " can say what all campaigns together do. 0: none."
        ),
    )
    redraw = forms.BooleanField(
        label=gettext_lazy("Draw the hold-out group anew"),
        required=False,
        help_text=gettext_lazy("Other people, and the comparison begins today."),
    )
    needs_approval = forms.BooleanField(
        label=gettext_lazy("Broadcasts and moments need a second person's approval"), required=False
    )
    sops_need_approval = forms.BooleanField(
        label=gettext_lazy("SOPs need a second person's approval: switching on, other steps, new versions"),
        required=False,
        help_text=gettext_lazy(
            "Nobody approves their own work. Pausing, ending and going back to an approved version need nobody."
        ),
    )

    def __init__(self, *args: Any, caps: list[CapRule], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.windows = sorted({*WINDOWS, *(cap.days for cap in caps)})
        present = {(cap.kind, cap.days): cap.n for cap in caps}
        for kind, _label in KINDS:
            for days in self.windows:
                self.fields[f"cap_{kind}_{days}"] = forms.IntegerField(
                    required=False, min_value=1, max_value=policy.MAX_N, initial=present.get((kind, days))
                )

    def groups(self) -> list[tuple[Any, list[Any]]]:
        """(what they are about, fields) beside the caps."""
        hidden = set() if self.initial.get("hold_out_percent") else {"redraw"}
        return [(title, [self[name] for name in names if name not in hidden]) for title, names in GROUPS]

    def cap_rows(self) -> list[tuple[Any, list[Any]]]:
        """(kind in words, its fields by window)."""
        return [(label, [self[f"cap_{kind}_{days}"] for days in self.windows]) for kind, label in KINDS]

    def caps(self) -> list[CapRule]:
        given = [
            (kind, days, self.cleaned_data.get(f"cap_{kind}_{days}"))
            for kind, _label in KINDS
            for days in self.windows
        ]
        return [CapRule(days, n, kind) for kind, days, n in given if n]


class RuleForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=40)
    tag = forms.ChoiceField(label=gettext_lazy("People with the tag"), required=False)
    code = forms.ChoiceField(label=gettext_lazy("or of the channel code"), required=False)
    starts_on = forms.DateField(
        label=gettext_lazy("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    ends_on = forms.DateField(
        label=gettext_lazy("Until"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=gettext_lazy("Without a tag and a code the rule is for everybody, and needs both days."),
    )
    kinds = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Only these messages"),
        required=False,
        coerce=int,
        choices=KINDS[1:],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: all kinds are held back."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tags = (
            Tag.objects.filter(deleted_at=None)
            .select_related("group")
            .order_by("group__order", "order", "pk")
        )
        names = [(str(tag.pk), f"{tag.group.name} · {tag.name}") for tag in tags[:2000]]
        codes = [(str(pk), name) for pk, name in hooks.code_choices()]
        self.fields["tag"].choices = [("", "—"), *names]  # type: ignore[attr-defined]
        self.fields["code"].choices = [("", "—"), *codes]  # type: ignore[attr-defined]


@require_http_methods(["GET", "POST"])
@staff_can("brand.edit")
def touch_policy(request: Any) -> HttpResponse:
    """Caps, gap, quiet hours, allowance; below them the do-not-contact rules."""
    present = rules.policy_of(request.brand)
    initial = {name: getattr(present, name) for name in _COLUMNS}
    form = PolicyForm(request.POST or None, initial=initial, caps=rules.caps_of(request.brand))
    if request.method == "POST" and form.is_valid():
        values = {name: form.cleaned_data[name] for name in _COLUMNS}
        values["guide_busy"] = values["guide_busy"] or present.guide_busy
        try:
            policy.change_policy(
                request.brand,
                by=request.actor,
                caps=form.caps(),
                redraw=form.cleaned_data["redraw"],
                **values,
            )
        except InvalidError as error:
            add_errors(form, error)
        else:
            return go(request, "/settings/touch/", _("Saved. It applies from the next step on."))
    return _page(request, form, RuleForm())


def _page(request: Any, form: PolicyForm, rule_form: RuleForm) -> HttpResponse:
    found = list(NoContactRule.objects.select_related("tag").order_by("name"))
    codes = hooks.code_names({rule.channel_code_id for rule in found if rule.channel_code_id})
    words = dict(KINDS)
    context = {
        "form": form,
        "rule_form": rule_form,
        "rules": [
            (rule, codes.get(rule.channel_code_id or 0, ""), [words[kind] for kind in rule.kinds])
            for rule in found
        ],
        "max_days": MAX_DAYS,
        "tabs": settings_tabs(request, "touch"),
    }
    bad = bool(form.errors or rule_form.errors)
    return render(request, "campaigns/touches/policy.html", context, status=422 if bad else 200)


@require_POST
@staff_can("brand.edit")
def rule_add(request: Any) -> HttpResponse:
    form = RuleForm(request.POST)
    if form.is_valid():
        try:
            policy.add_no_contact_rule(request.brand, by=request.actor, **_rule_values(form))
        except InvalidError as error:
            _add_rule_errors(form, error)
        else:
            return go(request, "/settings/touch/", _("The rule applies from now on"))
    present = rules.policy_of(request.brand)
    initial = {name: getattr(present, name) for name in _COLUMNS}
    return _page(request, PolicyForm(initial=initial, caps=rules.caps_of(request.brand)), form)


def _rule_values(form: RuleForm) -> dict[str, Any]:
    given = form.cleaned_data
    return {
        "name": given["name"],
        "tag_id": int(given["tag"]) if given["tag"] else None,
        "channel_code_id": int(given["code"]) if given["code"] else None,
        "starts_on": given["starts_on"],
        "ends_on": given["ends_on"],
        "kinds": given["kinds"],
    }


def _add_rule_errors(form: RuleForm, error: InvalidError) -> None:
    fields = {"tag_id": "tag", "channel_code_id": "code"}
    wrong = {fields.get(k, k): v for k, v in error.details["fields"].items()}
    add_errors(form, InvalidError(error.message, fields=wrong))


@require_http_methods(["GET", "POST"])
@staff_can("brand.edit")
def rule_edit(request: Any, rule_id: int) -> HttpResponse:
    rule = NoContactRule.objects.filter(pk=rule_id).first()
    if rule is None:
        raise NotFoundError()
    initial = {
        "name": rule.name, "tag": rule.tag_id, "code": rule.channel_code_id, "starts_on": rule.starts_on,
        "ends_on": rule.ends_on, "kinds": rule.kinds,
    }  # fmt: skip
    form = RuleForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            policy.change_no_contact_rule(
                request.brand, rule_id=rule_id, by=request.actor, **_rule_values(form)
            )
        except InvalidError as error:
            _add_rule_errors(form, error)
        else:
            return go(request, "/settings/touch/", _("The rule applies from now on"))
    context = {"form": form, "rule": rule, "tabs": settings_tabs(request, "touch")}
    return render(request, "campaigns/touches/rule.html", context, status=422 if form.errors else 200)


@require_POST
@staff_can("brand.edit")
def rule_delete(request: Any, rule_id: int) -> HttpResponse:
    policy.delete_no_contact_rule(request.brand, rule_id=rule_id, by=request.actor)
    return go(request, "/settings/touch/", _("The rule is gone"))
