"""What pages and API show of groups: filters, figures of some groups, joins and leaves by day."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from groups.models import GroupChat, GroupMember
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand

RECENT = timedelta(days=7)

STATES: list[tuple[str, Any]] = [
    ("owner_left", gettext_lazy("The owner has left")),
    ("inherited", gettext_lazy("Handed over")),
    ("dismissed", gettext_lazy("Dissolved")),
]
# key → words, fewest, fewer than
SIZES: dict[str, tuple[Any, int, int | None]] = {
    "small": (gettext_lazy("Fewer than 20"), 0, 20),
    "middle": (gettext_lazy("20 to 99"), 20, 100),
    "big": (gettext_lazy("100 to 199"), 100, 200),
    "full": (gettext_lazy("200 and more"), 200, None),
}
SORTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "new": (gettext_lazy("Newest first"), ("-created_at", "-pk")),
    "big": (gettext_lazy("Biggest first"), ("-n_members", "-pk")),
}
OWNER_LEFT = Q(state=GroupChat.State.OWNER_LEFT) | Q(owner__state=Staff.State.LEFT)


@dataclass(frozen=True)
class Filters:
    """`state` and `size` are keys of STATES and SIZES; empty: groups that are there, of any size."""

    q: str = ""
    owner: int | None = None
    state: str = ""
    size: str = ""

    def apply(self, groups: QuerySet[GroupChat]) -> QuerySet[GroupChat]:
        """Raises InvalidError for a word that nobody knows: it never means 'all'."""
        if self.state not in ("", *dict(STATES)) or self.size not in ("", *SIZES):
            raise InvalidError(_("Unknown filter"), fields={"state": self.state, "size": self.size})
        groups = groups.filter(dismissed_at__isnull=self.state != "dismissed")
        if self.state == "owner_left":
            groups = groups.filter(OWNER_LEFT)
        elif self.state == "inherited":
            groups = groups.filter(state=GroupChat.State.INHERITED)
        if self.size:
            _words, least, below = SIZES[self.size]
            groups = groups.filter(n_members__gte=least)
            groups = groups.filter(n_members__lt=below) if below else groups
        if self.owner:
            groups = groups.filter(owner=self.owner)
        if q := self.q.replace("\x00", "").strip():
            groups = groups.filter(Q(name__icontains=q) | Q(chat_id=q))
        return groups


# who of a group's members
MEMBERS = {
    "customers": Q(kind=GroupMember.Kind.CUSTOMER, contact__isnull=False),
    "strangers": Q(kind=GroupMember.Kind.CUSTOMER, contact=None),
    "staff": Q(kind=GroupMember.Kind.STAFF),
}


def members(stays: QuerySet[GroupMember], *, q: str = "", kind: str = "") -> QuerySet[GroupMember]:
    """Stays by a part of the name or the whole id, and by a key of MEMBERS."""
    if q:
        stays = stays.filter(Q(name__icontains=q) | Q(userid=q) | Q(contact__name__icontains=q))
    return stays.filter(MEMBERS[kind]) if kind else stays


@dataclass(frozen=True)
class Figures:
    """Of the groups that somebody may see and that are there. `n_customers` counts a person once per group."""

    n_groups: int
    n_customers: int
    n_owner_left: int


def figures(groups: QuerySet[GroupChat]) -> Figures:
    found = groups.live().aggregate(  # type: ignore[attr-defined]
        n=Count("pk"), customers=Sum("n_customers"), left=Count("pk", filter=OWNER_LEFT)
    )
    return Figures(found["n"], found["customers"] or 0, found["left"])


def recent(chat_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Group id → (joined, left) of customers in the last seven days: two statements."""
    ids, since = list(chat_ids), clock.now() - RECENT
    stays = GroupMember.objects.filter(chat__in=ids, kind=GroupMember.Kind.CUSTOMER).order_by()
    joined = dict(stays.filter(joined_at__gt=since).values_list("chat").annotate(n=Count("pk")))
    left = dict(stays.filter(left_at__gt=since).values_list("chat").annotate(n=Count("pk")))
    return {pk: (joined.get(pk, 0), left.get(pk, 0)) for pk in ids}


def by_day(brand: Brand, chat: GroupChat, n_days: int) -> list[tuple[date, int, int]]:
    """(day of the brand, joined, left) of customers, oldest first, days without any included."""
    today = clock.today(brand.timezone)
    first = today - timedelta(days=n_days - 1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT x.day, sum(x.joined), sum(x.gone) FROM ("
            " SELECT (joined_at AT TIME ZONE %(zone)s)::date AS day, 1 AS joined, 0 AS gone"
            "  FROM groups_groupmember WHERE brand_id = %(brand)s AND chat_id = %(chat)s AND kind = 2"
            "  AND joined_at >= %(since)s"
            " UNION ALL SELECT (left_at AT TIME ZONE %(zone)s)::date, 0, 1 FROM groups_groupmember"
            "  WHERE brand_id = %(brand)s AND chat_id = %(chat)s AND kind = 2 AND left_at >= %(since)s"
            ") x GROUP BY 1",
            {
                "brand": brand.pk,
                "chat": chat.pk,
                "zone": brand.timezone,
                "since": clock.now() - timedelta(days=n_days + 1),
            },
        )
        found = {day: (int(joined), int(gone)) for day, joined, gone in cursor.fetchall()}
    days = [first + timedelta(days=n) for n in range(n_days)]
    return [(day, *found.get(day, (0, 0))) for day in days]


def invitors(chat: GroupChat, limit: int = 8) -> list[dict[str, Any]]:
    """Who brought most customers into a group: {name, n, n_there}."""
    stays = GroupMember.objects.filter(chat=chat, kind=GroupMember.Kind.CUSTOMER).exclude(invitor_userid="")
    rows = list(
        stays.order_by()
        .values("invitor_userid")
        .annotate(n=Count("pk"), n_there=Count("pk", filter=Q(left_at=None)))
        .order_by("-n", "invitor_userid")[:limit]
    )
    names = staff_names(chat.corp_id, [row["invitor_userid"] for row in rows])
    return [{**row, "name": names.get(row["invitor_userid"], row["invitor_userid"])} for row in rows]


def staff_names(corp_id: int, userids: Iterable[str]) -> Mapping[str, str]:
    """Names of members by userid (lower case)."""
    wanted = {userid for userid in userids if userid}
    return dict(Staff.objects.filter(corp=corp_id, userid__in=wanted).values_list("userid", "name"))


def owner_choices(staff: Staff) -> Sequence[tuple[int, str]]:
    """(id, name) of those who own groups that this person may see."""
    owners = GroupChat.objects.live().visible_to(staff).exclude(owner=None).order_by().values("owner")
    return list(Staff.objects.filter(pk__in=owners).order_by("name", "pk").values_list("pk", "name")[:1000])
