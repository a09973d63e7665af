"""Figures of tracked links, from the folds that visits.py keeps: days, guides, ways, people; and who passed it on."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from contacts import hooks
from contacts.models import Contact, Follow, visible_follows
from content.models import LinkDay, LinkPerson, TrackedLink, Via
from org.models import Staff
from scrm import clock
from tenants.models import Brand

PERIODS = (7, 30, 90)
_SUMS: dict[str, Any] = {
    "opens": Sum("n_opens"),
    "new": Sum("n_new"),
    "reads": Sum("n_reads"),
    "seconds": Sum("seconds"),
}


def totals(link: TrackedLink) -> dict[str, Any]:
    """All time: opens, new (people and browsers), reads, seconds, known (customers), mean_s of one who read, shared."""
    shared = Sum("n_opens", filter=Q(via=Via.SHARED))
    found = LinkDay.objects.filter(link_id=link.pk).aggregate(**_SUMS, shared=shared)
    found = {name: value or 0 for name, value in found.items()}
    mean = round(found["seconds"] / found["reads"]) if found["reads"] else None
    return found | {"known": link.n_known, "mean_s": mean}


def by_day(brand: Brand, link: TrackedLink, days: int) -> dict[str, Any]:
    """A chart of opens and new ones; days without are zero."""
    end = clock.today(brand.timezone)
    span = [end - timedelta(days=n) for n in range(days - 1, -1, -1)]
    rows = LinkDay.objects.filter(link_id=link.pk, on__gte=span[0]).values("on").annotate(**_SUMS)
    of: dict[date, Any] = {row["on"]: row for row in rows}
    return {
        "kind": "line",
        "x": [f"{on:%m-%d}" for on in span],
        "series": [
            {"name": str(label), "data": [of[on][name] if on in of else 0 for on in span]}
            for name, label in (("opens", _("Opens")), ("new", _("New people and browsers")))
        ],
    }


def by_guide(link: TrackedLink, limit: int = 50) -> list[dict[str, Any]]:
    """Guides by what was opened of theirs; `known`: customers who came by them first."""
    sums: Any = LinkDay.objects.filter(link_id=link.pk).values("staff_id").annotate(**_SUMS)
    rows: list[Any] = sorted(sums, key=lambda row: -row["opens"])[:limit]
    known = dict(
        LinkPerson.objects.filter(link=link, n_opens__gt=0)
        .values("staff_id")
        .annotate(n=Count("pk"))
        .values_list("staff_id", "n")
    )
    names = dict(Staff.objects.filter(pk__in=[r["staff_id"] for r in rows]).values_list("pk", "name"))
    return [
        {**row, "name": names.get(row["staff_id"], ""), "known": known.get(row["staff_id"] or None, 0)}
        for row in rows
    ]


def by_way(link: TrackedLink) -> list[dict[str, Any]]:
    """The ways by which people came to it."""
    sums: Any = LinkDay.objects.filter(link_id=link.pk).values("via").annotate(**_SUMS)
    rows: list[Any] = sorted(sums, key=lambda row: -row["opens"])
    labels = dict(Via.choices)
    return [{**row, "name": str(labels.get(row["via"], row["via"]))} for row in rows]


def by_channel(link: TrackedLink, limit: int = 20) -> list[dict[str, Any]]:
    """Channel codes through which those who opened it once came; names by contacts.hooks."""
    people = LinkPerson.objects.filter(link=link, n_opens__gt=0).values("contact_id")
    rows = list(
        Follow.objects.filter(contact__in=people, channel_code_id__isnull=False)
        .values("channel_code_id")
        .annotate(n=Count("contact", distinct=True))
        .order_by("-n")[:limit]
    )
    names = hooks.code_names([row["channel_code_id"] or 0 for row in rows])
    return [{"name": names.get(row["channel_code_id"] or 0, "?"), "known": row["n"]} for row in rows]


def people(link: TrackedLink, staff: Staff | None) -> QuerySet[LinkPerson]:
    """Customers who opened it and whom this person may see, the latest first (with `-last_at`, `-pk`)."""
    return _of(link, staff).filter(n_opens__gt=0)


def _of(link: TrackedLink, staff: Staff | None) -> QuerySet[LinkPerson]:
    found = LinkPerson.objects.filter(link=link)
    if staff is None or visible_follows(staff) is None:
        return found
    return found.filter(contact_id__in=Contact.objects.visible_to(staff).values("pk"))


def sharers(link: TrackedLink, staff: Staff | None, limit: int = 10) -> list[LinkPerson]:
    """Who passed it on to the most others, opened by themselves or not."""
    return list(_of(link, staff).filter(n_shared__gt=0).order_by("-n_shared", "pk")[:limit])


def with_names(rows: Sequence[LinkPerson]) -> Sequence[LinkPerson]:
    """`contact` and `guide` of each row; two queries."""
    contacts = Contact.objects.in_bulk([row.contact_id for row in rows])
    names = dict(
        Staff.objects.filter(pk__in={r.staff_id for r in rows if r.staff_id}).values_list("pk", "name")
    )
    for row in rows:
        row.contact = contacts.get(row.contact_id)  # type: ignore[attr-defined]
        row.guide = names.get(row.staff_id or 0, "")  # type: ignore[attr-defined]
    return rows


def of_links(link_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """For a list: new people and browsers, reads, seconds of each link."""
    rows: Any = LinkDay.objects.filter(link_id__in=link_ids).values("link_id").annotate(**_SUMS)
    return {row["link_id"]: row for row in rows}
