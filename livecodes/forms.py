"""What the pages of codes and welcomes send: a form for the plain fields, JSON for the lists that the editor
keeps."""

from collections.abc import Sequence
from datetime import time
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Sop
from campaigns.services.sops.enrolments import OPEN
from livecodes.models import ChannelCode, Welcome
from livecodes.services.content import CodeInput, GuideInput, HoursInput, WelcomeInput
from org.models import Corp, Staff, Store
from scrm import json_in
from scrm.errors import InvalidError

_BROKEN = gettext_lazy("The page did not arrive complete. Load it again.")


class CodeForm(forms.Form):
    """The plain fields of a code; guides, hours and welcomes come as JSON in `lists`."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("For your colleagues; customers see it only where a welcome says {渠道}."),
    )
    corp = forms.TypedChoiceField(label=gettext_lazy("WeCom corp"), coerce=int)
    place = forms.CharField(
        label=gettext_lazy("Where it hangs"),
        max_length=60,
        required=False,
        widget=forms.TextInput(attrs={"list": "places"}),
        help_text=gettext_lazy("Parcel card, shelf, poster, live room …"),
    )
    store = forms.TypedChoiceField(label=gettext_lazy("Store"), coerce=int, required=False, empty_value=None)
    owner = forms.TypedChoiceField(label=gettext_lazy("Owner"), coerce=int, required=False, empty_value=None)
    cost = forms.DecimalField(
        label=gettext_lazy("Cost in yuan"),
        min_value=0,
        max_value=Decimal(10**10),
        decimal_places=2,
        required=False,
        help_text=gettext_lazy("What the place costs in all; gives the cost per customer."),
    )
    strategy = forms.ChoiceField(
        label=gettext_lazy("How guides are chosen"), choices=ChannelCode.Strategy.choices
    )
    skip_verify = forms.BooleanField(
        label=gettext_lazy("Customers are added at once, without the guide's confirmation"), required=False
    )
    sop = forms.TypedChoiceField(
        label=gettext_lazy("Then into the SOP"), coerce=int, required=False, empty_value=None
    )
    remark = forms.CharField(
        label=gettext_lazy("Remark put on the customer"),
        max_length=20,
        required=False,
        help_text=gettext_lazy(
            "At most 20 characters; {客户昵称} and {渠道} are filled in. Empty leaves it to the guide."
        ),
    )
    lists = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, corps: Sequence[Corp], sop_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usable = Q(state__in=[*OPEN, Sop.State.DRAFT])
        sops = Sop.objects.filter(usable | Q(pk=sop_id) if sop_id else usable)
        owners = Staff.objects.filter(state=Staff.State.ACTIVE).order_by("name")
        choices: dict[str, list[tuple[Any, Any]]] = {
            "corp": [(c.pk, c.name) for c in corps],
            "store": [("", _("None")), *Store.objects.order_by("name").values_list("pk", "name")],
            "owner": [("", _("None")), *owners.values_list("pk", "name")[:2000]],
            "sop": [("", _("None")), *((s.pk, _sop_name(s)) for s in sops.order_by("-pk")[:500])],
        }
        for name, values in choices.items():
            self.fields[name].choices = values  # type: ignore[attr-defined]
        if len(corps) == 1:
            self.fields["corp"].widget = forms.HiddenInput()
            self.fields["corp"].initial = corps[0].pk

    def content(self, tag_ids: Sequence[int]) -> CodeInput:
        """The whole code as the page describes it.

        Raises:
            InvalidError: the lists are not what the editor sends.
        """
        given, lists = self.cleaned_data, parse_lists(self.cleaned_data["lists"])
        return CodeInput(
            name=given["name"],
            place=given["place"],
            strategy=given["strategy"],
            skip_verify=given["skip_verify"],
            remark=given["remark"],
            cost_fen=int((given["cost"] or Decimal(0)) * 100),
            store_id=given["store"],
            owner_id=given["owner"],
            sop_id=given["sop"],
            tag_ids=list(tag_ids),
            guides=[_guide(row) for row in _rows(lists, "guides")],
            hours=[_hours(row) for row in _rows(lists, "hours")],
            welcomes=[welcome_of(row) for row in _rows(lists, "welcomes")],
        )


def _sop_name(sop: Sop) -> str:
    return sop.name if sop.state == Sop.State.ON else f"{sop.name} ({sop.get_state_display()})"


def initial_of(code: ChannelCode) -> dict[str, Any]:
    """The plain fields of a code for its form."""
    return {
        "name": code.name,
        "corp": code.corp_id,
        "place": code.place,
        "store": code.store_id,
        "owner": code.owner_id,
        "cost": Decimal(code.cost_fen) / 100 if code.cost_fen else None,
        "strategy": code.strategy,
        "skip_verify": code.skip_verify,
        "sop": code.sop_id,
        "remark": code.remark,
    }


# ---- lists as JSON


def lists_of(given: CodeInput) -> dict[str, list[dict[str, Any]]]:
    """What the editor starts with."""
    return {
        "guides": [
            {"id": g.staff_id, "weight": g.weight, "limit": g.daily_limit, "standby": g.is_standby}
            for g in given.guides
        ],
        "hours": [
            {
                "weekdays": list(h.weekdays),
                "start": f"{h.start:%H:%M}",
                "end": f"{h.end:%H:%M}",
                "guide": h.staff_id,
            }
            for h in given.hours
        ],
        "welcomes": [welcome_row(w) for w in given.welcomes],
    }


def welcome_row(given: WelcomeInput) -> dict[str, Any]:
    return {
        "text": given.text,
        "attachments": list(given.attachments),
        "audience": given.audience,
        "gender": given.gender,
        "weekdays": list(given.weekdays),
        "start": f"{given.start:%H:%M}" if given.start else "",
        "end": f"{given.end:%H:%M}" if given.end else "",
        "guide": given.staff_id,
        "department": given.department_wecom_id,
        "content": given.content_version,
    }


def parse_lists(text: str) -> dict[str, Any]:
    try:
        lists = json_in.loads(text)
    except ValueError as error:
        raise InvalidError(_BROKEN) from error
    if not isinstance(lists, dict):
        raise InvalidError(_BROKEN)
    return lists


def _rows(lists: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = lists.get(name, [])
    if not isinstance(rows, list) or len(rows) > 1000 or not all(isinstance(row, dict) for row in rows):
        raise InvalidError(_BROKEN)
    return rows


def _guide(row: dict[str, Any]) -> GuideInput:
    return GuideInput(
        _int(row.get("id")),
        _int(row.get("weight") or 1),
        _optional(row.get("limit")),
        bool(row.get("standby")),
    )


def _hours(row: dict[str, Any]) -> HoursInput:
    start, end = _time(row.get("start")), _time(row.get("end"))
    if start is None or end is None:
        raise InvalidError(_("Working hours: give a beginning and an end"))
    return HoursInput(_weekdays(row.get("weekdays")), start, end, _optional(row.get("guide")))


def welcome_of(row: dict[str, Any]) -> WelcomeInput:
    """One welcome of the editor.

    Raises:
        InvalidError: not what the editor sends.
    """
    attachments = row.get("attachments") or []
    if not isinstance(attachments, list) or not all(isinstance(a, dict) for a in attachments):
        raise InvalidError(_BROKEN)
    return WelcomeInput(
        text=str(row.get("text") or "").replace("\r\n", "\n")[:20_000],
        attachments=tuple(attachments),
        audience=str(row.get("audience") or Welcome.Audience.ALL),
        gender=_optional(row.get("gender")),
        weekdays=_weekdays(row.get("weekdays")),
        start=_time(row.get("start")),
        end=_time(row.get("end")),
        staff_id=_optional(row.get("guide")),
        department_wecom_id=_optional(row.get("department")),
        content_version=_optional(row.get("content")),
    )


def _int(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise InvalidError(_BROKEN) from error
    if abs(number) >= 2**63:
        raise InvalidError(_BROKEN)
    return number


def _optional(value: Any) -> int | None:
    return None if value in (None, "") else _int(value)


def _weekdays(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidError(_BROKEN)
    return tuple(sorted({_int(day) for day in value}))


def _time(value: Any) -> time | None:
    if not value:
        return None
    try:
        return time.fromisoformat(str(value)[:8])
    except ValueError as error:
        raise InvalidError(_BROKEN) from error
