"""Contacts by filter or segment, and who carries which tag."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts import hooks
from contacts.filters import parse
from contacts.models import Contact, CustomField, Follow, Identity, Stage, visible_follows
from contacts.rows import rows_of
from contacts.services import listing
from contacts.services.fields import live_fields
from contacts.services.values import show, values_of
from datafiles.exports.base import Export, ExportKind, Rows, nothing, of_visible, yuan
from scrm.errors import FilterError, InvalidError
from scrm.ids import read_id
from tagging.models import ContactTag, Segment
from tagging.services.segments.audience import Audience
from tagging.services.segments.segments import get_segment
from tagging.services.segments.snapshots import condition_of
from tenants.models import Brand

_GENDERS = {1: gettext_lazy("male"), 2: gettext_lazy("female")}
_IDS = (Identity.Kind.PHONE, Identity.Kind.MEMBER_NO, Identity.Kind.UNIONID, Identity.Kind.EXTERNAL_USERID)


def columns(export: Export) -> list[str]:
    fixed = [
        _("Contact number"), _("Name"), _("Gender"), _("State"), _("Phone"), _("Member number"), "unionid",
        "external_userid", _("Guides"), _("Channel"), _("Remark"), _("Tags"), _("Added"), _("Lost"), _("Member since"),
        _("Do not contact"), _("Follow-up stage"), _("Orders"), _("Spent (yuan)"), _("Last order"), _("Value score"), "R",
        "F", "M", _("Value group"), _("Lifecycle stage"), _("Next order"), _("Chance of buying again"),
        _("Value next year (yuan)"),
    ]  # fmt: skip
    return fixed + [field.label for field in live_fields()]


def cells(export: Export, contacts: Sequence[Contact]) -> list[list[Any]]:
    """Rows of a page of contacts: the same number of queries whatever its size."""
    ids = [contact.pk for contact in contacts]
    fields: list[CustomField] = list(live_fields())
    values = values_of(ids, fields)
    known: dict[int, dict[str, list[str]]] = {}
    for contact_id, kind, value in Identity.objects.filter(contact__in=ids, kind__in=_IDS).values_list(
        "contact_id", "kind", "value"
    ):
        known.setdefault(contact_id, {}).setdefault(kind, []).append(export.identity(kind, value))
    mine = _seen_follows(export, ids)
    worth, stages = hooks.values_of(ids), dict(Stage.objects.values_list("pk", "name"))
    found = []
    for row in rows_of(contacts):
        contact, own = row.contact, known.get(row.contact.pk, {})
        follows = [f for f in row.follows if mine is None or f.pk in mine]
        found.append(
            [
                contact.pk, contact.name, str(_GENDERS.get(contact.gender, "")), str(row.state_name),
                *("、".join(sorted(own.get(kind, []))) for kind in _IDS),
                "、".join(f.staff.name for f in follows if f.ended_at is None), row.channel, row.remark,
                "、".join(tag["name"] for tag in row.tags), export.when(contact.added_at), export.when(contact.lost_at),
                export.when(contact.member_at), _("yes") if contact.do_not_contact else "",
                stages.get(contact.stage_id or 0, ""), *_worth(export, worth.get(contact.pk)),
                *(show(field, values.get(contact.pk, {}).get(field.pk)) for field in fields),
            ]
        )  # fmt: skip
    return found


def _worth(export: Export, value: dict[str, Any] | None) -> list[Any]:
    """Orders and value of a contact, in the order of `columns`."""
    if value is None:
        return [""] * 12
    alive = value["alive_ratio"]
    return [
        value["n_orders"], yuan(value["spent_fen"]), export.when(value["last_order_at"]),
        *(_plain(value[name]) for name in ("score", "recency", "frequency", "monetary")), value["group_name"],
        (value["lifecycle"] or {}).get("name", ""), _plain(value["next_order_on"]),
        "" if alive is None else round(alive, 3), yuan(value["ltv_fen"]),
    ]  # fmt: skip


def _plain(value: Any) -> Any:
    return "" if value is None else value if isinstance(value, int) else str(value)


def _seen_follows(export: Export, ids: Sequence[int]) -> set[int] | None:
    """Relations that the person may see; None: all."""
    follows = visible_follows(export.staff) if export.staff else None
    if follows is None:
        return None
    return set(
        Follow.objects.filter(pk__in=follows.filter(contact__in=ids).values("pk")).values_list(
            "pk", flat=True
        )
    )


def _in_order(ids: Sequence[int]) -> list[Contact]:
    found = Contact.objects.in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]


# ---- by filter


def read_filter(brand: Brand, query: Any) -> dict[str, Any]:
    """Raises NotFoundError: a segment that is another brand's, or deleted."""
    filters = parse(query)
    if filters.segment:
        get_segment(filters.segment)
    return filters.as_query()


def also(params: dict[str, Any]) -> list[str]:
    return ["segments.view"] if params.get("segment") else []


def filter_title(export: Export) -> str:
    return hooks.segment_name(export.params["segment"]) or "" if export.params.get("segment") else ""


def filter_page(export: Export, after: Any, size: int) -> Rows:
    if (rows := export.kept.get("matching")) is None:  # a segment is asked once
        rows = listing.matching(export.brand, staff=export.staff, filters=parse(export.params))
        export.kept["matching"] = rows
    ids = list(rows.filter(pk__gt=after or 0).order_by("pk").values_list("pk", flat=True)[:size])
    return cells(export, _in_order(ids)), ids[-1] if ids else after


def filter_count(export: Export) -> int | None:
    found = listing.count(export.brand, staff=export.staff, filters=parse(export.params))
    return found.n if found.is_exact or found.is_estimate else None


# ---- by segment


def read_segment(brand: Brand, query: Any) -> dict[str, Any]:
    """Raises NotFoundError: another brand's, or deleted."""
    given = read_id(query.get("segment"))
    if given is None:
        raise InvalidError(_("Choose a segment"), fields={"segment": _("Choose a segment")})
    return {"segment": get_segment(given).pk}


def _audience(export: Export) -> Audience:
    segment: Segment = get_segment(export.params["segment"])
    return Audience(export.brand, condition_of(segment), staff=export.staff)


def segment_page(export: Export, after: Any, size: int) -> Rows:
    found = _audience(export).page(after=after, size=size)
    return cells(export, _in_order([pk for pk, _at in found])), found[-1][1] if found else after


def segment_title(export: Export) -> str:
    return get_segment(export.params["segment"]).name


# ---- tags


def tag_columns(export: Export) -> list[str]:
    return [_("Tag group"), _("Tag"), _("Contact number"), _("Name"), _("Since"), _("Why"), _("Until")]


def tag_page(export: Export, after: Any, size: int) -> Rows:
    """Who carries which tag, by tag and contact."""
    rows = ContactTag.objects.filter(tag__deleted_at=None).select_related("tag__group", "contact")
    if export.params.get("tag"):
        rows = rows.filter(tag=export.params["tag"])
    rows = of_visible(export, rows)
    if after:
        tag_id, contact_id = after
        rows = rows.filter(tag__gte=tag_id).exclude(tag=tag_id, contact__lte=contact_id)
    page = list(rows.order_by("tag", "contact")[:size])
    found = [
        [
            row.tag.group.name, row.tag.name, row.contact_id, row.contact.name, export.when(row.at), row.source,
            export.when(row.expires_at),
        ]
        for row in page
    ]  # fmt: skip
    return found, [page[-1].tag_id, page[-1].contact_id] if page else after


def read_tag(brand: Brand, query: Any) -> dict[str, Any]:
    text = query.get("tag")
    given = read_id(text)
    if text and given is None:
        raise FilterError()
    return {"tag": given} if text else nothing(brand, query)


CONTACTS = ExportKind(
    key="contacts", label=gettext_lazy("Contacts"), icon="users", right="contacts.view", read=read_filter,
    columns=columns, page=filter_page, count=filter_count, title=filter_title, also=also,
)  # fmt: skip
SEGMENT = ExportKind(
    key="segment", label=gettext_lazy("Contacts of a segment"), icon="funnel", right="contacts.view", read=read_segment,
    columns=columns, page=segment_page, count=lambda export: _audience(export).count(), title=segment_title,
    needs=("segment",), also=also,
)  # fmt: skip
TAGS = ExportKind(
    key="tags", label=gettext_lazy("Tags of contacts"), icon="tags", right="contacts.view", read=read_tag,
    columns=tag_columns, page=tag_page,
)  # fmt: skip

__all__ = ["CONTACTS", "SEGMENT", "TAGS", "hooks"]
