"""The contact list: filters, columns, counts, saved views."""

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from contacts import hooks
from contacts.filters import STATES, Filters, parse
from contacts.rows import COLUMNS, DEFAULT_COLUMNS, NUMBERS, STATE_NAMES, rows_of
from contacts.services import contacts as services
from contacts.services import listing
from contacts.sorting import SORTS, Sort, parse_sort
from org.access import staff_can
from org.models import Scope, Staff, Store
from scrm.errors import ForbiddenError, SCRMError
from scrm.keyset import Page
from scrm.responses import go, toast

COLUMNS_COOKIE = "scrm_contact_columns"
YEAR_S = 365 * 86400
MANY = 500  # choices in one select
SEGMENTS = "segments.view"  # the right to filter by one


def query_of(filters: Filters, sort: Sort | None = None) -> str:
    """The address of a filter and an order, without the question mark."""
    query = QueryDict(mutable=True)
    if sort:
        query["sort"] = str(sort)
    for key, value in filters.as_query().items():
        query.setlist(key, [str(v) for v in value] if isinstance(value, list) else [str(value)])
    return query.urlencode()


def filters_of(request: Any) -> Filters:
    """The filter of an address.

    Raises:
        InvalidError: it cannot be read. ForbiddenError: it speaks of what this person may not see.
    """
    filters = parse(request.GET)
    if not may_use(request, filters):
        raise ForbiddenError()
    return filters


def may_use(request: Any, filters: Filters) -> bool:
    return not filters.segment or request.actor.can(SEGMENTS)


def columns_of(request: Any) -> list[str]:
    """The columns this person has chosen, in the order of the table."""
    chosen = request.COOKIES.get(COLUMNS_COOKIE)
    wanted = chosen.split(".") if chosen is not None else DEFAULT_COLUMNS
    return [key for key in COLUMNS if key in wanted]


@require_GET
@staff_can("contacts.view")
@vary_on_headers("HX-Request")
def contact_list(request: Any) -> HttpResponse:
    """The page, the list alone for a changed filter, or the next rows."""
    filters, sort = filters_of(request), parse_sort(request.GET.get("sort"))
    after = request.GET.get("after")
    page, problem = _page(request, filters, sort, after)
    columns = columns_of(request)
    if filters.state == "lost" and "lost" not in columns:
        columns = [*columns, "lost"]
    if sort and sort.name not in columns:
        columns = [*columns, sort.name]  # what is sorted by can be read
    context = {
        "page": page,
        "rows": rows_of(page.rows, columns),
        "columns": columns,
        "colspan": len(columns) + 2,
        "filters": filters,
        "only_segment": filters == Filters(segment=filters.segment),
        "problem": problem,
    }
    if request.htmx and after:
        return render(request, "contacts/_rows.html", context)
    context |= {
        "query": query_of(filters),
        "sorted_query": query_of(filters, sort),
        "order_query": query_of(Filters(), sort),
        "headings": [_heading(key, filters, sort) for key in columns],
        "sort": sort,
        "orders": _orders(filters, sort),
        "chips": chips(request, filters, sort),
        "hidden": _hidden(filters),
        "is_filtered": bool(filters),
        "acts": _acts(request),
        **_views(request, filters, sort),
    }
    if request.htmx:
        return render(request, "contacts/_list.html", context)
    context |= {
        "states": [(key, STATE_NAMES[key]) for key in STATES],
        "guides": _guides(request, filters),
        "all_columns": [(key, name, key in columns) for key, name in COLUMNS.items()],
    }
    return render(request, "contacts/list.html", context, status=problem.http_status if problem else 200)


def _page(
    request: Any, filters: Filters, sort: Sort | None, after: str | None
) -> tuple[Page, SCRMError | None]:
    """The rows; or nobody, and why: a saved view may name a segment that is gone, and its filter has to be taken away
    somewhere."""
    try:
        page = listing.page(request.brand, staff=request.staff, filters=filters, after=after, sort=sort)
        return page, None
    except SCRMError as error:
        if request.htmx or after or not filters.segment:
            raise
        return Page([], "", ""), error


@require_GET
@staff_can("contacts.view")
def contact_count(request: Any) -> HttpResponse:
    """How many match: a fragment loaded after the list, because counting may take longer than the list."""
    count = listing.count(request.brand, staff=request.staff, filters=filters_of(request))
    return render(request, "contacts/_count.html", {"count": count})


@require_GET
@staff_can("contacts.view")
def contact_filters(request: Any) -> HttpResponse:
    """The drawer with the filters that are not on the page itself."""
    filters, sort = filters_of(request), parse_sort(request.GET.get("sort"))
    may_segment = request.actor.can(SEGMENTS)
    context = {
        "filters": filters,
        "may_segment": may_segment,
        "segments": hooks.segment_choices() if may_segment else [],
        "codes": _with(hooks.code_choices(), filters.code, lambda pk: hooks.code_names([pk]).get(pk)),
        "groups": hooks.tag_choices(),
        "stores": [] if _is_own(request) else _stores(filters),
        "hidden": [
            *((k, v) for k, v in _flat(filters) if k in ("q", "guide", "state")),
            *([("sort", str(sort))] if sort else []),
        ],
    }
    return render(request, "contacts/filters.html", context)


@require_POST
@staff_can("contacts.view")
def contact_columns(request: Any) -> HttpResponse:
    """Remember the columns."""
    chosen = [key for key in request.POST.getlist("column") if key in COLUMNS]
    response = toast(HttpResponse(status=204), _("Columns saved"), contactsChanged=True)
    response.set_cookie(COLUMNS_COOKIE, ".".join(chosen), max_age=YEAR_S, samesite="Lax", httponly=True)
    return response


@require_http_methods(["GET", "POST"])
@staff_can("contacts.view")
def view_new(request: Any) -> HttpResponse:
    """Save the present filter and order under a name (a modal)."""
    filters, sort = filters_of(request), parse_sort(request.GET.get("sort"))
    query = query_of(filters, sort)
    context = {"query": query, "chips": chips(request, filters, sort), "error": "", "name": ""}
    if request.method == "GET":
        return render(request, "contacts/view_new.html", context)
    name, is_shared = request.POST.get("name", ""), request.POST.get("is_shared") == "1"
    try:
        services.save_view(
            request.brand, staff=request.staff, name=name, filters=filters, is_shared=is_shared, sort=sort
        )
    except SCRMError as error:
        context |= {"error": error.message, "name": name}
        return render(request, "contacts/view_new.html", context, status=422)
    return go(request, f"/contacts/?{query}", _("View saved"))


@require_POST
@staff_can("contacts.view")
def view_delete(request: Any, view_id: int) -> HttpResponse:
    services.delete_view(request.brand, staff=request.staff, view_id=view_id)
    return go(request, "/contacts/", _("View deleted"))


# ---- parts


def _is_own(request: Any) -> bool:
    return request.staff.role.scope == Scope.OWN


def _guides(request: Any, filters: Filters) -> list[tuple[int, str]]:
    if _is_own(request):
        return []
    seen = Staff.objects.visible_to(request.staff)
    guides = seen.filter(is_guide=True).order_by("name", "pk").values_list("pk", "name")[:MANY]
    return _with(guides, filters.guide, lambda pk: seen.filter(pk=pk).values_list("name", flat=True).first())


def _stores(filters: Filters) -> list[tuple[int, str]]:
    stores = Store.objects.order_by("name").values_list("pk", "name")[:MANY]
    return _with(
        stores,
        filters.store,
        lambda pk: Store.objects.filter(pk=pk).values_list("name", flat=True).first(),
    )


def _with(
    choices: Iterable[tuple[int, str]], chosen: int | None, name_of: Callable[[int], str | None]
) -> list[tuple[int, str]]:
    """Choices, and what is chosen now although it is not offered (one of more than MANY, a guide who has left, a deleted
    code): left out, it would be lost with the next change of another filter."""
    rows = list(choices)
    if chosen and chosen not in dict(rows):
        rows.append((chosen, name_of(chosen) or "?"))
    return rows


def _acts(request: Any) -> list[dict[str, Any]]:
    """The bulk acts that this person may do."""
    acts = [
        ("tag", _("Add tags"), "tag", "contacts.edit"),
        ("untag", _("Remove tags"), "tags", "contacts.edit"),
        ("enrol", _("Put into an SOP"), "route", "sops.edit"),
        ("task", _("Give a task to the guides"), "list-todo", "tasks.edit"),
        ("dnc", _("Do not contact"), "bell-off", "contacts.edit"),
        ("undnc", _("May be contacted again"), "bell", "contacts.edit"),
    ]
    return [
        {"key": key, "label": label, "icon": icon}
        for key, label, icon, right in acts
        if request.actor.can(right)
    ]


def _heading(key: str, filters: Filters, sort: Sort | None) -> dict[str, Any]:
    """The head of a column: `label`, and where the list can be sorted by it `query` of the next order and `aria`."""
    now = sort or Sort("lost" if filters.state == "lost" and not filters.relation else "added", is_down=True)
    if key not in SORTS:
        return {"key": key, "label": COLUMNS[key]}
    is_now = now.name == key
    wanted = Sort(key, is_down=not (is_now and now.is_down))
    aria = ("descending" if now.is_down else "ascending") if is_now else ""
    query, is_number = query_of(filters, wanted), key in NUMBERS
    return {"key": key, "label": COLUMNS[key], "query": query, "aria": aria, "is_number": is_number}


def _orders(filters: Filters, sort: Sort | None) -> list[tuple[str, str, bool]]:
    """Choices of the order: value in the address, words, whether it is the present one."""
    is_lost = filters.state == "lost" and not filters.relation
    words = {
        "": _("Latest loss first") if is_lost else _("Newest first"),
        "-added": _("Newest first"),
        "added": _("Oldest first"),
        "-last_order": _("Last purchase: latest first"),
        "last_order": _("Last purchase: longest ago first"),
        "-spent": _("Spent: most first"),
        "spent": _("Spent: least first"),
        "-orders": _("Orders: most first"),
        "orders": _("Orders: fewest first"),
        "-score": _("Value score: highest first"),
        "score": _("Value score: lowest first"),
        "-lost": _("Lost: latest first"),
        "lost": _("Lost: longest ago first"),
    }
    now = str(sort or "")
    left_out = {"-added" if not is_lost else "-lost"} - {now}
    return [(key, text, key == now) for key, text in words.items() if key not in left_out]


def _views(request: Any, filters: Filters, sort: Sort | None) -> dict[str, Any]:
    """Tabs: all contacts, then saved views; and the person's own view that is open now, which may be
    deleted."""
    query, own = filters.as_query() | ({"sort": str(sort)} if sort else {}), None
    tabs = [{"url": "/contacts/", "label": _("All contacts"), "active": not query}]
    for view in services.saved_views(request.brand, request.staff):
        try:
            found, order = parse(view.query), parse_sort(view.query.get("sort"))
        except SCRMError:  # saved by an older version: not shown, rather than shown as 'everybody'
            continue
        if not may_use(request, found):
            continue
        url = "/contacts/?" + query_of(found, order)
        is_open = query == view.query
        tabs.append({"url": url, "label": view.name, "active": is_open})
        if is_open and view.staff_id == request.staff.pk:
            own = view
    return {"tabs": tabs if len(tabs) > 1 else [], "own_view": own}


def _flat(filters: Filters) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in filters.as_query().items():
        pairs += [(key, str(v)) for v in value] if isinstance(value, list) else [(key, str(value))]
    return pairs


def _hidden(filters: Filters) -> list[tuple[str, str]]:
    """Filters of the drawer, carried along by the form on the page."""
    return [(key, value) for key, value in _flat(filters) if key not in ("q", "guide", "state")]


def chips(request: Any, filters: Filters, sort: Sort | None = None) -> list[dict[str, str]]:
    """What is filtered, in words, each with the address without it."""
    found: list[tuple[str, str, str]] = []
    if filters.store:
        names = dict(Store.objects.filter(pk=filters.store).values_list("pk", "name"))
        found.append((_("Store"), names.get(filters.store, "?"), "store"))
    if filters.segment:
        found.append((_("Segment"), hooks.segment_name(filters.segment) or "?", "segment"))
    if filters.code:
        found.append((_("Channel"), hooks.code_names([filters.code]).get(filters.code, "?"), "code"))
    if filters.tags:
        named = {tag["id"]: tag["name"] for group in hooks.tag_choices() for tag in group["tags"]}
        mode = _("all of") if filters.all_tags and len(filters.tags) > 1 else ""
        text = "、".join(named.get(n, "?") for n in filters.tags)
        found.append((_("Tags"), f"{mode} {text}".strip(), "tag"))
    if filters.since or filters.until:
        days = f"{filters.since or '…'} – {filters.until or '…'}"
        found.append((_("Added"), days, "since"))
    if filters.dnc:
        found.append((_("Do not contact"), "", "dnc"))
    together = {"tag": ["tag", "all"], "since": ["since", "until"]}
    result = []
    for label, text, key in found:
        query = QueryDict(query_of(filters, sort), mutable=True)
        for name in together.get(key, [key]):
            query.pop(name, None)
        result.append({"label": label, "text": text, "url": f"/contacts/?{query.urlencode()}"})
    return result
