"""Moments: the list, the editor, what a draft would do, results by guide, and their states."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from campaigns.models import Moment, MomentGuide
from campaigns.services.moments import moment_content, moment_reach, moments
from campaigns.services.moments.moment_failures import PROBLEMS, reason_of
from campaigns.services.moments.moments import MomentInput
from campaigns.views.launching import at_night, when_words
from campaigns.views.media import files_of
from content.services import library
from org.access import brand_transaction, staff_can, staff_can_outside
from org.forms import add_errors, is_for_saving
from org.models import Corp, Staff
from scrm import clock, json_in
from scrm.errors import ConflictError, ForbiddenError, InvalidError, SCRMError
from scrm.ids import read_ids
from scrm.keyset import keyset_page
from scrm.responses import go
from tenants.models import Brand
from tenants.scoping import tenant_scope

State, Part = Moment.State, MomentGuide.State
OVER = [State.DONE, State.CANCELLED, State.FAILED]
MOST_CHOICES = 2_000


class MomentForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("For your colleagues; customers do not see it."),
    )
    corp = forms.TypedChoiceField(
        label=gettext_lazy("WeCom corp"), coerce=int, required=False, empty_value=None
    )
    at = forms.CharField(
        label=gettext_lazy("Goes out"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("Empty: as soon as you launch it."),
    )
    late_hours = forms.IntegerField(
        label=gettext_lazy("Hand over at most so many hours late"),
        min_value=1,
        max_value=moments.MAX_LATE_HOURS,
        initial=24,
    )

    def __init__(self, *args: Any, corps: list[Corp], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["corp"].choices = [(corp.pk, corp.name) for corp in corps]  # type: ignore[attr-defined]
        if len(corps) < 2:
            del self.fields["corp"]


@require_GET
@staff_can("broadcasts.view")
def moment_list(request: Any) -> HttpResponse:
    over = request.GET.get("show") == "over"
    rows = Moment.objects.filter(state__in=OVER) if over else Moment.objects.exclude(state__in=OVER)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=30)
    context = {
        "page": page,
        "problems": PROBLEMS,
        "tabs": [
            {"url": "/moments/", "label": _("In use"), "active": not over},
            {"url": "/moments/?show=over", "label": _("Ended"), "active": over},
        ],
    }
    template = "campaigns/moments/_rows.html" if request.htmx else "campaigns/moments/list.html"
    return render(request, template, context)


# ---- editor


@require_http_methods(["GET", "POST"])
@staff_can("broadcasts.edit")
def moment_edit(request: Any, moment_id: int | None = None) -> HttpResponse:
    moment = moments.get_moment(moment_id) if moment_id else None
    if moment and moment.state != State.DRAFT:
        raise ConflictError(_("Only a draft can be changed; copy the moment to use it again"))
    corps = list(Corp.objects.order_by("pk"))
    posted = request.method == "POST"
    form = MomentForm(request.POST or None, corps=corps, initial=_initial(request, moment))
    given = _given(request.POST) if posted else _stored(moment)
    text_error = ""
    if is_for_saving(request, form):
        try:
            written = _input(request, form.cleaned_data, given)
            saved = moments.save_draft(request.brand, written, by=request.actor, moment_id=moment_id)
            return go(request, f"/moments/{saved.pk}/", _("Saved. Check who could see it, then launch it."))
        except SCRMError as error:
            text_error = str(error.details.get("fields", {}).get("text", ""))
            add_errors(form, error)
    elif posted and form.errors:
        text_error = _wrong_text(request, given)
    corp = moment.corp if moment else corps[0] if corps else None
    context = {
        "form": form,
        "moment": moment,
        "given": given,
        "text_error": text_error,
        "corps": corps,
        "guides": _guide_choices(corps),
        "tags": _tag_choices(corps),
        "corp": corp,
        "picked": library.names_of([given["content"]]).get(given["content"]),
        "files": files_of([given["attachments"]]),
    }
    return render(request, "campaigns/moments/edit.html", context, status=422 if posted else 200)


def _wrong_text(request: Any, given: dict[str, Any]) -> str:
    """What is wrong with the words, told together with what else is missing."""
    try:
        moment_content.checked(request.brand, given["text"], json_in.loads(given["attachments"]))
    except InvalidError as error:
        return str(error)
    except ValueError:  # the attachments did not arrive as they were written
        pass
    return ""


def _initial(request: Any, moment: Moment | None) -> dict[str, Any]:
    if moment is None:
        at = request.GET.get("at", "")[:16]
        return {"at": at, "late_hours": 24}
    local = moment.at.astimezone(ZoneInfo(request.brand.timezone))
    return {
        "name": moment.name,
        "corp": moment.corp_id,
        "at": "" if moment.is_now else local.strftime("%Y-%m-%dT%H:%M"),
        "late_hours": moment.late_hours,
    }


def _stored(moment: Moment | None) -> dict[str, Any]:
    if moment is None:
        return {"text": "", "attachments": "[]", "guides": [], "tags": [], "content": ""}
    return {
        "text": moment.text,
        "attachments": json.dumps(moment.attachments, ensure_ascii=False),
        "guides": moment.staff_ids,
        "tags": moment.tag_ids,
        "content": moment.content_id or "",
    }


def _given(data: Any) -> dict[str, Any]:
    return {
        "text": data.get("text", ""),
        "attachments": data.get("attachments") or "[]",
        "guides": read_ids(data, "guides"),
        "tags": read_ids(data, "tags"),
        "content": next(iter(read_ids(data, "content")), ""),
    }


def _input(request: Any, cleaned: dict[str, Any], given: dict[str, Any]) -> MomentInput:
    try:
        attachments = json_in.loads(given["attachments"])
        at = (
            datetime.fromisoformat(cleaned["at"]).replace(tzinfo=ZoneInfo(request.brand.timezone))
            if cleaned["at"]
            else None
        )
    except (ValueError, OverflowError) as error:
        text = _("This cannot be read")
        raise InvalidError(
            text, fields={"at" if isinstance(given["attachments"], str) else "text": text}
        ) from error
    return MomentInput(
        name=cleaned["name"],
        text=given["text"],
        attachments=attachments,
        corp_id=cleaned.get("corp"),
        staff_ids=given["guides"],
        tag_ids=given["tags"],
        at=at,
        late_hours=cleaned["late_hours"],
        content_id=given["content"] or None,
    )


def _guide_choices(corps: list[Corp]) -> list[dict[str, Any]]:
    """{id, name, group} of guides who can publish, by store."""
    rows = Staff.objects.guides().exclude(userid="").filter(corp__in=[c.pk for c in corps])
    named = rows.order_by("store__name", "name").values_list("pk", "name", "store__name")[:MOST_CHOICES]
    return [{"id": pk, "name": name, "group": store or ""} for pk, name, store in named]


def _tag_choices(corps: list[Corp]) -> list[dict[str, Any]]:
    """The same of WeCom's tags, by their group; with several corps its name stands before."""
    found = []
    for corp in corps:
        rows = moments.corp_tags(corp).order_by("group__order", "group_id", "order", "pk")
        prefix = f"{corp.name} · " if len(corps) > 1 else ""
        for pk, name, group in rows.values_list("pk", "name", "group__name")[:MOST_CHOICES]:
            found.append({"id": pk, "name": name, "group": f"{prefix}{group}"})
    return found


# ---- one moment


@require_GET
@staff_can("broadcasts.view")
def moment_detail(request: Any, moment_id: int) -> HttpResponse:
    moment = moments.get_moment(moment_id)
    context = {
        "files": files_of([json.dumps(moment.attachments)]),
        **_range_words(moment),
        **_numbers(request, moment),
    }
    context["acts"] = _acts(moment, request.actor)
    if found := context.get("reach"):
        for act in context["acts"]:
            if act["act"] in ("launch", "approve"):
                act["confirm"] = f"{_launch_words(request.brand, moment, found)}\n{act['confirm']}"
    return render(request, "campaigns/moments/detail.html", context)


def _launch_words(brand: Brand, moment: Moment, found: moment_reach.Reach) -> str:
    """Who would publish it to how many, and when; a sentence a line."""
    guides = ngettext("%(n)s guide", "%(n)s guides", found.n_guides) % {"n": f"{found.n_guides:,}"}
    people = ngettext("%(n)s customer", "%(n)s customers", found.n_customers)
    who = _("%(guides)s publish it, up to %(people)s can see it.")
    at = found.held_until or (clock.now() if moment.is_now else moment.at)
    said = [
        who % {"guides": guides, "people": people % {"n": f"{found.n_customers:,}"}},
        when_words(brand, at, is_held=found.held_until is not None),
        *at_night(brand, at),
    ]
    return "\n".join(said)


def _range_words(moment: Moment) -> dict[str, Any]:
    names = list(
        Staff.objects.filter(pk__in=moment.staff_ids[:5]).order_by("name").values_list("name", flat=True)
    )
    tags = list(
        moments.corp_tags(moment.corp).filter(pk__in=moment.tag_ids).values_list("name", flat=True)[:10]
    )
    return {"guide_names": names, "more_guides": max(0, len(moment.staff_ids) - 5), "tag_names": tags}


def _numbers(request: Any, moment: Moment) -> dict[str, Any]:
    context: dict[str, Any] = {"moment": moment, "problem": reason_of(moment.error)}
    context["is_live"] = moment.state in (State.PLANNED, State.CALLING, State.RUNNING)
    if moment.state in (State.DRAFT, State.APPROVAL):
        context["reach"] = moment_reach.reach(request.brand, moment)
        return context
    if moment.state == State.PLANNED:
        context["held_until"] = moment_reach.held_until(request.brand, max(moment.at, clock.now()))
    parts = MomentGuide.objects.filter(moment=moment).select_related("staff")
    wanted = request.GET.get("state", "")
    if wanted in Part.values:
        parts = parts.filter(state=wanted)
    context["page"] = keyset_page(parts, order=("userid",), after=request.GET.get("after"), size=50)
    context["part_states"] = Part.choices
    context["wanted"] = wanted
    return context


@require_GET
@staff_can("broadcasts.view")
def moment_guides(request: Any, moment_id: int) -> HttpResponse:
    """Rows of the guides' table alone: filter and further pages."""
    moment = moments.get_moment(moment_id)
    return render(request, "campaigns/moments/_guides.html", _numbers(request, moment))


_ACTS: dict[str, tuple[set[str], str, Any, str, Any]] = {
    # act: (states, icon, label, kind, question); the right is broadcasts.edit, of `approve` broadcasts.approve
    "launch": (
        {State.DRAFT}, "rocket", gettext_lazy("Launch"), "primary",
        gettext_lazy("Guides get it in WeCom as planned and publish it by hand. What is published cannot be taken back here."),
    ),
    "approve": (
        {State.APPROVAL}, "check", gettext_lazy("Approve"), "primary", gettext_lazy("It goes out as planned."),
    ),
    "reject": ({State.APPROVAL}, "undo-2", gettext_lazy("Back to a draft"), "", ""),
    "remind": ({State.OUT}, "bell", gettext_lazy("Remind guides"), "",
               gettext_lazy("Everybody who has not published it yet gets a message in WeCom.")),
    "cancel": (
        {State.APPROVAL, State.PLANNED, State.RUNNING, State.OUT}, "circle-x", gettext_lazy("Stop"), "danger",
        gettext_lazy("Who has not published it yet does not any more. What is published stays."),
    ),
    "duplicate": (set(State), "copy", gettext_lazy("Copy"), "", ""),
    "delete": ({State.DRAFT}, "trash-2", gettext_lazy("Delete"), "danger", gettext_lazy("The draft is deleted.")),
}  # fmt: skip


def _acts(moment: Moment, actor: Any) -> list[dict[str, Any]]:
    return [
        {"act": act, "icon": icon, "label": label, "kind": kind, "confirm": question}
        for act, (states, icon, label, kind, question) in _ACTS.items()
        if moment.state in states
        and actor.can(_right(act))
        and not (act in ("cancel", "remind") and moment.cancelled_at)
    ]


def _right(act: str) -> str:
    return "broadcasts.approve" if act == "approve" else "broadcasts.edit"


@require_POST
@staff_can_outside("broadcasts.view")
def moment_act(request: Any, moment_id: str, act: str) -> HttpResponse:
    """Some acts ask WeCom, so each opens its own transaction."""
    number = int(moment_id)
    if not request.actor.can(_right(act)):
        raise ForbiddenError()
    given: dict[str, Any] = {"moment_id": number, "by": request.actor}
    if act == "cancel":
        with tenant_scope(request.brand):
            moments.cancel(request.brand, **given)
        return go(request, f"/moments/{number}/", _("Stopped. What was published already stays."))
    with brand_transaction(request):
        if act == "duplicate":
            copy = moments.duplicate(request.brand, **given)
            return go(request, f"/moments/{copy.pk}/edit/", _("A copy, still a draft"))
        if act == "delete":
            moments.delete_draft(request.brand, **given)
            return go(request, "/moments/", _("Deleted"))
        if act == "remind":
            n = moments.remind(request.brand, **given)
            return go(request, f"/moments/{number}/", _("%(n)s guides were reminded") % {"n": n})
        if act == "reject":
            moments.reject(request.brand, **given)
            return go(request, f"/moments/{number}/", _("It is a draft again"))
        if act == "approve":
            moments.approve(request.brand, **given)
            return go(request, f"/moments/{number}/", _("Approved. It is on its way"))
        moment = moments.launch(request.brand, **given)
    waits = moment.state == State.APPROVAL
    text = _("A second person has to approve it now") if waits else _("It is on its way")
    return go(request, f"/moments/{number}/", text)
