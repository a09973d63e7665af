"""Lists of numbers to add, for operators and managers: made, given out, followed up, closed."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from contacts import hooks
from contacts.identities import readable
from contacts.models import Contact, Identity
from guides.lead_forms import GiveForm, ListForm, PasteForm
from guides.models import Lead, LeadList
from guides.services.leads import giving, lists, numbers
from org.access import staff_can
from org.forms import add_errors
from org.models import Staff
from scrm.errors import FilterError, InvalidError, NotFoundError, SCRMError
from scrm.ids import read_id, read_ids
from scrm.keyset import keyset_page
from scrm.responses import go

SIZE = 50
MANY = 500


@require_GET
@staff_can("leads.view")
@vary_on_headers("HX-Request")
def lead_lists(request: Any) -> HttpResponse:
    """All lists, newest first, with what has become of their numbers."""
    page = keyset_page(LeadList.objects.all(), order=("-pk",), after=request.GET.get("after"), size=20)
    context: dict[str, Any] = {
        "page": page,
        "figures": numbers.of_lists([found.pk for found in page], staff=request.staff),
        "none": numbers.Numbers(),
    }
    if request.htmx and request.GET.get("after"):
        return render(request, "leads/_lists.html", context)
    return render(request, "leads/lists.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("leads.edit")
def lead_list_new(request: Any) -> HttpResponse:
    """A list of pasted numbers; a file goes through the imports."""
    form = PasteForm(request.POST if request.method == "POST" else None)
    bad: list[str] = []
    if request.method == "POST" and form.is_valid():
        try:
            rows, bad = lists.read_text(form.cleaned_data["rows"])
            if not bad or request.POST.get("skip"):
                place = lists.place_of(request.staff)
                for row in rows:
                    row.store_id, row.region_id, row.staff_id = (
                        place.store_id,
                        place.region_id,
                        place.staff_id,
                    )
                found = lists.create_list(request.brand, by=request.actor, given=form.given(), source="page")
                done = lists.add_leads(request.brand, by=request.actor, list_id=found.pk, rows=rows)
                return go(request, f"/leads/{found.pk}/", _entered(done))
        except SCRMError as error:
            add_errors(form, error)
    status = 422 if request.method == "POST" else 200
    return render(
        request, "leads/new.html", {"form": form, "bad": bad[:20], "n_bad": len(bad)}, status=status
    )


def _entered(done: lists.Entered) -> str:
    parts = [_("%(n)s numbers in the list") % {"n": len(done.new)}]
    if done.known:
        parts.append(_("%(n)s are customers already") % {"n": len(done.known)})
    if done.repeated:
        parts.append(_("%(n)s left out: in an open list already") % {"n": len(done.repeated)})
    return _(", ").join(parts)


def _list(list_id: int) -> LeadList:
    return lists.get_list(list_id)


@require_GET
@staff_can("leads.view")
def of_file(request: Any, file_id: int) -> HttpResponse:
    """From an import to its list."""
    found = LeadList.objects.filter(file_id=file_id).first()
    if found is None:
        raise NotFoundError()
    return go(request, f"/leads/{found.pk}/")


@require_GET
@staff_can("leads.view")
@vary_on_headers("HX-Request")
def lead_list(request: Any, list_id: int) -> HttpResponse:
    """One list: how far it is, each guide, its numbers."""
    found = _list(list_id)
    rows = Lead.objects.visible_to(request.staff).filter(list=found).select_related("staff", "store")
    state, guide = request.GET.get("state", ""), read_id(request.GET.get("guide"))
    if state:
        if state not in Lead.State.values:
            raise FilterError()
        rows = rows.filter(state=state)
    if guide:
        rows = rows.filter(staff=guide)
    page = keyset_page(rows, order=("pk",), after=request.GET.get("after"), size=SIZE)
    may_read = request.actor.can("contacts.phones")
    context: dict[str, Any] = {
        "found": found,
        "page": page,
        "phones": {lead.pk: readable(Identity.Kind.PHONE, lead.phone, may_read) for lead in page},
        "people": _people(request, page),
        "colleagues": dict(
            Staff.objects.filter(pk__in={x.added_staff_id for x in page if x.added_staff_id}).values_list(
                "pk", "name"
            )
        ),
    }
    if request.htmx and not request.headers.get("HX-History-Restore-Request"):
        return render(request, "leads/_leads.html", context)
    figures = numbers.of_guides(found.pk, staff=request.staff)
    names = Staff.objects.select_related("store").in_bulk([pk for pk in figures if pk])
    by_guide = [(names[pk], n) for pk, n in figures.items() if pk in names]
    by_guide.sort(key=lambda row: (-row[1].n_given, -row[1].n_out, row[0].name, row[0].pk))
    context |= {
        "all": numbers.of_lists([found.pk], staff=request.staff).get(found.pk, numbers.Numbers()),
        "by_guide": by_guide[:MANY],
        "states": Lead.State.choices,
        "state": state,
        "guide": guide,
        "guides": [(person.pk, person.name) for person, _n in by_guide],
        "to": _guides(request.staff),
        "is_whole": lists.may_change(found, request.staff),
        "tags": _tag_names(found),
    }
    return render(request, "leads/detail.html", context)


def _people(request: Any, page: Any) -> dict[int, str]:
    """Contacts of a page whom the person may see: id → name."""
    ids = {lead.contact_id for lead in page if lead.contact_id}
    if not ids or not request.actor.can("contacts.view"):
        return {}
    return dict(Contact.objects.visible_to(request.staff).filter(pk__in=ids).values_list("pk", "name"))


def _guides(staff: Staff) -> list[tuple[int, str]]:
    rows = Staff.objects.visible_to(staff).guides().order_by("name", "pk")
    return list(rows.values_list("pk", "name")[:MANY])


def _tag_names(found: LeadList) -> list[str]:
    if not found.tag_ids:
        return []
    groups = hooks.tag_choices(keep=found.tag_ids)
    return [tag["name"] for group in groups for tag in group["tags"] if tag["id"] in found.tag_ids]


@require_http_methods(["GET", "POST"])
@staff_can("leads.edit")
def lead_list_edit(request: Any, list_id: int) -> HttpResponse:
    found = _list(list_id)
    lists.need_whole(found, request.staff)
    form = ListForm(request.POST if request.method == "POST" else None, found=found)
    if request.method == "POST" and form.is_valid():
        try:
            lists.edit_list(
                request.brand, by=request.actor, staff=request.staff, list_id=list_id, given=form.given()
            )
            return go(request, f"/leads/{list_id}/", _("Saved"))
        except SCRMError as error:
            add_errors(form, error)
    status = 422 if request.method == "POST" else 200
    return render(request, "leads/edit.html", {"form": form, "found": found}, status=status)


@require_http_methods(["GET", "POST"])
@staff_can("leads.edit")
def give(request: Any, list_id: int) -> HttpResponse:
    """Choose guides; `then=look` shows who would get how many, else it is done."""
    found = _list(list_id)
    n_waiting = Lead.objects.visible_to(request.staff).filter(list=found, state="waiting").count()
    context: dict[str, Any] = {"found": found, "n_waiting": n_waiting}
    if request.method == "GET":
        form = GiveForm(staff=request.staff, chosen=set(found.guide_ids) or None)
        return render(
            request, "leads/give.html", context | _shares(request, found, form, form.chosen) | {"form": form}
        )
    form = GiveForm(request.POST, staff=request.staff)
    if request.POST.get("then") == "look":
        chosen = form.chosen if form.is_valid() else set()
        return render(request, "leads/_shares.html", context | _shares(request, found, form, chosen))
    if form.is_valid():
        try:
            shares = giving.give_out(
                request.brand, by=request.actor, staff=request.staff, list_id=list_id, choice=form.choice()
            )
            text = _("%(n)s numbers given to %(guides)s guides") % {"n": shares.n, "guides": len(shares.of)}
            return go(request, f"/leads/{list_id}/", text)
        except InvalidError as error:
            add_errors(form, error)
    return render(
        request,
        "leads/give.html",
        context | _shares(request, found, form, set()) | {"form": form},
        status=422,
    )


def _shares(request: Any, found: LeadList, form: GiveForm, chosen: set[int]) -> dict[str, Any]:
    """Who would get how many."""
    if not chosen:
        return {"shares": [], "n_left": 0, "n_given": 0}
    choice = form.choice() if form.is_bound else giving.Choice(sorted(chosen))
    shares = giving.plan(request.brand, found, choice, staff=request.staff)
    people = Staff.objects.in_bulk(list(shares.of))
    rows = sorted(
        ((people[pk], len(ids)) for pk, ids in shares.of.items()), key=lambda row: (-row[1], row[0].name)
    )
    return {"shares": rows, "n_left": len(shares.left), "n_given": shares.n}


@require_POST
@staff_can("leads.edit")
def act(request: Any, list_id: int, act: str) -> HttpResponse:
    """Acts on the whole list, on one guide's share (`guide`) or on ticked numbers (`ids`)."""
    mine: dict[str, Any] = {"by": request.actor, "staff": request.staff, "list_id": _list(list_id).pk}
    back = f"/leads/{list_id}/"
    if act in ("close", "open"):
        close = act == "close"
        n = (lists.close_list if close else lists.open_list)(request.brand, **mine)
        text = _("Closed, %(n)s numbers taken out") if close else _("Open again, %(n)s numbers are back")
        return go(request, back, text % {"n": n}, undo=f"/leads/{list_id}/open/" if close else "")
    if act == "remind":
        n = giving.remind(request.brand, **mine)
        text = (
            _("%(n)s guides are told") % {"n": n}
            if n
            else _("Nobody has to be told, or all were told within the hour")
        )
        return go(request, back, text, "success" if n else "info")
    given = read_ids(request.POST)
    guide = read_id(request.POST.get("guide"))
    if not given and guide is None:
        raise InvalidError(_("Tick at least one number"))
    ids = given or None
    if act == "take":
        n = giving.take_back(request.brand, **mine, ids=ids, guide_id=guide)
        return go(request, back, _("%(n)s taken back; they wait to be given out") % {"n": n})
    if act == "out":
        n = giving.take_out(request.brand, **mine, ids=given)
        return go(request, back, _("%(n)s taken out") % {"n": n})
    n = giving.move(
        request.brand, **mine, to_id=read_id(request.POST.get("to")) or 0, ids=ids, guide_id=guide
    )
    return go(request, back, _("%(n)s moved") % {"n": n})
