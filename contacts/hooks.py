"""What apps above this one know of customers: dotted paths, because contacts imports none of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps
from django.utils.module_loading import import_string

TAKE_OVER_TAGS = "tagging.services.tags.wecom_tags.take_over"
TAG_SETS = "tagging.services.tags.tags.tag_sets"
FIRST_TAGS = "tagging.services.tags.first_tags.put_on"
SYNC_TAGS = "tagging.services.tags.tags.sync_corp_tags"
CODES_BY_STATE = "livecodes.services.states.ids_of"
CODE_NAMES = "livecodes.services.states.names_of"
CODE_CHOICES = "livecodes.services.states.choices"
TAGS_OF = "tagging.services.tags.tags.tags_of"
TAG_CHOICES = "tagging.services.tags.tags.choices"
PUT_ON = "tagging.services.tags.tags.put_on"
TAG_SELECTED = "tagging.services.tags.mass.at_once"
START_TAGGING = "tagging.services.tags.mass.start_for"
TAG_DAYS = "tagging.services.tags.mass.days_of"
VALUES_OF = "tagging.value_panel.values_of"
TAG_WHYS = "tagging.services.tags.tags.source_names"
TAG_BITS = "tagging.services.segments.as_filter.tag_bits"
SEGMENT_BITS = "tagging.services.segments.as_filter.bits_of"
SEGMENT_NAMES = "tagging.services.segments.as_filter.names_of"
SEGMENT_CHOICES = "tagging.services.segments.as_filter.choices"
ENROL_MANY = "campaigns.services.sops.enrolments.enrol_many"
LISTS_ARE_APPROVED = "campaigns.services.sops.sop_requests.are_needed"
START_ENROLLING = "campaigns.services.sops.sop_approval.put_in"
TASK_KINDS = "campaigns.services.tasks.staff_task_batches.kinds"
START_TASKS = "campaigns.services.tasks.staff_task_batches.start_for"
PRODUCT_NAMES = "commerce.services.products.names_of"
PRODUCTS_BY_SKU = "commerce.services.products.by_sku"
ORDER_WORDS = "commerce.services.orders.words_of"
SYNC_GROUPS = "groups.services.sync.start_sync"
# what waits for an identity: `attach(brand, contact_ids)` each
IDENTITIES_NOTED = [
    "commerce.services.waiting.attach",
    "contacts.services.behaviour.attach",
    "tagging.services.tags.waiting.attach",
]
# what waits for a phone number of somebody who has a guide
PHONES_NOTED = ["guides.services.leads.matching.attach"]
CHECK_WAYS = "livecodes.services.upkeep.check_ways"
CONTACTS_CHANGED = "tagging.services.bits.bits.contacts_changed"
CONTACTS_MADE = "tagging.services.bits.bits_made.contacts_made"
RELATIONS_MADE = "tagging.services.bits.bits_made.relations_made"
CONTACTS_JOINED = "tagging.services.bits.bits.contacts_joined"
BITS_OF = "tagging.services.bits.bits_parted.bits_of"
CONTACTS_PARTED = "tagging.services.bits.bits_parted.contacts_parted"
KEEP_OUT_PLANNERS = "campaigns.services.governance.gate.keep_out_planners"
ORDER_SUMS = "commerce.services.stats.refresh"


def contacts_changed(brand: Any, contact_ids: Sequence[int]) -> None:
    """Flags, guides or codes of contacts have changed: the bitmaps follow before the commit."""
    import_string(CONTACTS_CHANGED)(brand, contact_ids)


def contacts_made(brand: Any, first: int, n: int) -> None:
    """Many contacts are new, at `n` positions from `first` on: their flags are written."""
    import_string(CONTACTS_MADE)(brand, first, n)


def relations_made(brand: Any, rows: Sequence[tuple[int, int | None, Sequence[int]]]) -> None:
    """Contacts that are new have their first relations: (staff id, code id, positions)."""
    import_string(RELATIONS_MADE)(brand, rows)


def contacts_joined(brand: Any, **kwargs: Any) -> None:
    """Two contacts become one: all bits of the one that ends go over."""
    import_string(CONTACTS_JOINED)(brand, **kwargs)


def bits_of(brand: Any, contact_ids: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """Contact → what its bits say: (dim, val)."""
    return import_string(BITS_OF)(brand, contact_ids)


def contacts_parted(brand: Any, **kwargs: Any) -> None:
    """One contact becomes two again: their bits follow."""
    import_string(CONTACTS_PARTED)(brand, **kwargs)


def keep_out_planners(brand: Any) -> None:
    """Nobody plans messages until the transaction ends."""
    import_string(KEEP_OUT_PLANNERS)(brand)


def order_sums(brand: Any, contact_ids: Sequence[int]) -> None:
    """The orders of some contacts are added up anew."""
    import_string(ORDER_SUMS)(brand, contact_ids)


def identities_noted(brand: Any, contact_ids: Sequence[int]) -> None:
    """Contacts have new identities: orders and behaviour that waited for them become theirs, in the caller's
    transaction. Call it wherever rows of Identity are made."""
    for path in IDENTITIES_NOTED if contact_ids else ():
        import_string(path)(brand, contact_ids)


def phones_noted(brand: Any, contact_ids: Sequence[int]) -> None:
    """Contacts have new phone numbers, in the caller's transaction."""
    for path in PHONES_NOTED if contact_ids else ():
        import_string(path)(brand, contact_ids)


def take_over_tags(brand: Any, **kwargs: Any) -> Any:
    """Tags that WeCom shows for relations become ours."""
    return import_string(TAKE_OVER_TAGS)(brand, **kwargs)


def tag_sets(tag_ids: Sequence[int], *, all_tags: bool) -> list[tuple[Any, Any]]:
    """Contacts who carry tags: pairs of a test of one contact and a query of ids."""
    return import_string(TAG_SETS)(tag_ids, all_tags=all_tags) if tag_ids else []


def tag_bits(brand: Any, tag_ids: Sequence[int]) -> bytes:
    """Who carries at least one of some tags, as `segment_bits`; deleted ones and another brand's are carried by nobody."""
    return import_string(TAG_BITS)(brand, tag_ids)


def segment_bits(brand: Any, segment_id: int) -> bytes:
    """Who is in a segment now: bit `position`, as `get_bit` of a bytea reads it. Raises SCRMError: no such segment, or it
    cannot be read any more."""
    return import_string(SEGMENT_BITS)(brand, segment_id)


def segment_name(segment_id: int) -> str | None:
    """The name of a segment; None: another brand's, or deleted."""
    return import_string(SEGMENT_NAMES)([segment_id]).get(segment_id)


def segment_choices() -> list[tuple[int, str]]:
    """(id, name) of the segments."""
    return import_string(SEGMENT_CHOICES)()


def tag_selected(brand: Any, **kwargs: Any) -> Any:
    """Tags for some people at once, as an act that can be taken back."""
    return import_string(TAG_SELECTED)(brand, **kwargs)


def start_tagging(brand: Any, **kwargs: Any) -> Any:
    """Tags for everybody of a query, as a job."""
    return import_string(START_TAGGING)(brand, **kwargs)


def tag_days(value: Any) -> int | None:
    """For how many days a tag stays, as somebody types it."""
    return import_string(TAG_DAYS)(value)


def tag_whys(sources: Iterable[str]) -> dict[str, str]:
    """Sources of tags that name something of the tag part (`rule:3`) → words."""
    wanted = sorted({s for s in sources if ":" in s and not s.startswith("channel_code:")})
    return import_string(TAG_WHYS)(wanted) if wanted else {}


def first_tags(brand: Any, **kwargs: Any) -> Any:
    """Tags of relations that the sync has just found."""
    return import_string(FIRST_TAGS)(brand, **kwargs)


def sync_tags(brand: Any, corp: Any, client: Any) -> Any:
    """The tag library of a corp is read; counts."""
    return import_string(SYNC_TAGS)(brand, corp, client)


def codes_by_state(brand: Any, **kwargs: Any) -> dict[str, int]:
    """Channel codes by WeCom's `state`."""
    return import_string(CODES_BY_STATE)(brand, **kwargs)


def check_ways(brand: Any, corp: Any, client: Any, **kwargs: Any) -> Any:
    """Are the contact ways of the corp's codes still there?"""
    return import_string(CHECK_WAYS)(brand, corp, client, **kwargs)


def sync_groups(brand: Any, **kwargs: Any) -> Any:
    """Start reading the groups of a corp, a job of its own."""
    return import_string(SYNC_GROUPS)(brand, **kwargs)


def code_names(code_ids: Iterable[int | None]) -> dict[int, str]:
    """Names of channel codes by id, deleted ones too."""
    wanted = sorted({n for n in code_ids if n})
    return import_string(CODE_NAMES)(wanted) if wanted else {}


def code_choices() -> list[tuple[int, str]]:
    """(id, name) of the channel codes, newest first."""
    return import_string(CODE_CHOICES)()


def tags_of(contact_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """Contact id → its tags: {id, name, group, source, staff_id, at, is_corp}."""
    return import_string(TAGS_OF)(contact_ids)


def values_of(contact_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Contact id → its orders and value, as the API tells them."""
    return import_string(VALUES_OF)(contact_ids)


def tag_choices(keep: Iterable[int] = ()) -> list[dict[str, Any]]:
    """Groups with their tags: {name, is_corp, tags: [{id, name}]}; archived tags only where `keep` names them."""
    return import_string(TAG_CHOICES)(keep)


def change_tags(brand: Any, **kwargs: Any) -> int:
    """Tags put on or taken off by ids; see tagging.services.tags.tags.put_on."""
    return import_string(PUT_ON)(brand, **kwargs)


def sop_choices() -> list[tuple[int, str]]:
    """(id, name) of the SOPs that take people in."""
    rows = apps.get_model("campaigns", "Sop").objects.filter(state__in=["on", "paused"]).order_by("-pk")
    return list(rows.values_list("pk", "name")[:500])


def start_enrolling(brand: Any, **kwargs: Any) -> Any:
    """A list of contacts into an SOP: `job`, or `request` where a second person has to approve it."""
    return import_string(START_ENROLLING)(brand, **kwargs)


def lists_are_approved(brand: Any) -> bool:
    """Whether a long list of people needs a second person before it is put into an SOP."""
    return bool(import_string(LISTS_ARE_APPROVED)(brand))


def task_kinds() -> list[tuple[str, Any]]:
    """(key, name) of the kinds of tasks that guides can be given."""
    return import_string(TASK_KINDS)()


def start_tasks(brand: Any, **kwargs: Any) -> Any:
    """A job that gives a task for each contact to its guide."""
    return import_string(START_TASKS)(brand, **kwargs)


def enrol(brand: Any, *, sop_id: int, contact_ids: Sequence[int]) -> int:
    """Contacts put into an SOP at once; gives how many are new."""
    sop = apps.get_model("campaigns", "Sop").objects.filter(pk=sop_id).first()
    return import_string(ENROL_MANY)(brand, sop=sop, contact_ids=contact_ids, source="page") if sop else 0


def product_names(product_ids: Iterable[int]) -> dict[int, str]:
    """Names of products by id."""
    wanted = sorted(product_ids)
    return import_string(PRODUCT_NAMES)(wanted) if wanted else {}


def order_words(order_ids: Iterable[int]) -> dict[int, str]:
    """What was bought, by order id."""
    wanted = sorted(order_ids)
    return import_string(ORDER_WORDS)(wanted) if wanted else {}


def products_by_sku(skus: Iterable[str]) -> dict[str, int]:
    """Ids of products by their number."""
    wanted = sorted(set(skus) - {""})
    return import_string(PRODUCTS_BY_SKU)(wanted) if wanted else {}
