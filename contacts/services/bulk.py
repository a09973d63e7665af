"""One act on many contacts: on those that a person has ticked, at once; on everybody of a filter, as a
job."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from contacts import hooks
from contacts.filters import Filters, parse
from contacts.models import Contact
from contacts.services import listing
from contacts.services.contacts import set_do_not_contact
from org import audit
from org.access import Actor
from org.models import Job, Staff
from org.services import jobs
from scrm.errors import InvalidError
from tenants.models import Brand

SLICE = 1_000
MAX_TICKED = 1_000

ACTS = ("tag", "untag", "dnc", "undnc", "enrol")


def act_on(
    brand: Brand,
    *,
    act: str,
    contact_ids: Sequence[int],
    values: dict[str, Any],
    by: Actor,
    audited: bool = True,
) -> int:
    """Carry out one act in the caller's transaction; gives how many were changed.

    Args:
        values: `tag_ids` for tag and untag, `sop_id` for enrol.
    """
    if act in ("tag", "untag"):
        return hooks.change_tags(
            brand,
            contact_ids=contact_ids,
            tag_ids=values["tag_ids"],
            by=by,
            remove=act == "untag",
            audited=audited,
        )
    if act in ("dnc", "undnc"):
        return set_do_not_contact(brand, contacts=contact_ids, value=act == "dnc", by=by, audited=audited)
    if act == "enrol":
        return hooks.enrol(brand, sop_id=values["sop_id"], contact_ids=contact_ids)
    raise ValueError(f"unknown act {act}")


def visible_ids(staff: Staff, ids: Sequence[int]) -> list[int]:
    """Those of some ids that a person may see.

    Raises:
        InvalidError: nothing ticked, or too much.
    """
    if len(ids) > MAX_TICKED:
        raise InvalidError(_("At most %(n)s at once") % {"n": MAX_TICKED})
    found = list(Contact.objects.visible_to(staff).filter(pk__in=ids).values_list("pk", flat=True))
    if not found:
        raise InvalidError(_("Choose at least one contact"))
    return found


MAX_LISTED = 100_000


def everybody_of(brand: Brand, *, staff: Staff, filters: Filters) -> list[int]:
    """Ids of all who match a filter and whom the person may see.

    Raises:
        InvalidError: nobody, or too many for one act.
    """
    rows = listing.matching(brand, staff=staff, filters=filters)
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[: MAX_LISTED + 1])
    if not ids:
        raise InvalidError(_("Nobody matches this filter"))
    if len(ids) > MAX_LISTED:
        raise InvalidError(_("At most %(n)s at once") % {"n": f"{MAX_LISTED:,}"})
    return ids


@transaction.atomic
def start(
    brand: Brand, *, act: str, filters: Filters, values: dict[str, Any], title: str, staff: Staff, by: Actor
) -> Job:
    """The act on everybody who matches a filter and whom the person may see, as a job."""
    if act not in ACTS:
        raise ValueError(f"unknown act {act}")
    if act in ("tag", "untag"):
        return hooks.start_tagging(
            brand,
            contacts=listing.matching(brand, staff=staff, filters=filters),
            title=title,
            by=by,
            add=values["tag_ids"] if act == "tag" else (),
            remove=values["tag_ids"] if act == "untag" else (),
            days=values.get("days"),
        )
    total = listing.count(brand, staff=staff, filters=filters)
    if not total.n:
        raise InvalidError(_("Nobody matches this filter"))
    params = {
        "act": act,
        "filters": filters.as_query(),
        "values": values,
        "staff_id": staff.pk,
        "user_id": by.user_id,
    }
    n_total = total.n if total.is_exact or total.is_estimate else None
    audit.record(
        by, f"contact.bulk_{act}", after={"filters": params["filters"], "values": values}, name=title
    )
    return jobs.start_job(brand, kind="contact_bulk", title=title, params=params, by=by, n_total=n_total)


def step(brand: Brand, job: Job) -> bool:
    """One step: the next thousand by id. Who comes to match meanwhile may be left out; nobody is done
    twice."""
    params = job.params
    with transaction.atomic():
        staff = Staff.objects.select_related("role", "store", "region").get(pk=params["staff_id"])
        by = Actor(job.created_by, params.get("user_id"), staff)
        rows = listing.matching(brand, staff=staff, filters=parse(params["filters"]))
        after = int(job.position.get("after", 0))
        ids = list(rows.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:SLICE])
        if not ids:
            return False
        n = act_on(brand, act=params["act"], contact_ids=ids, values=params["values"], by=by, audited=False)
        changed = int(job.result.get("changed", 0)) + n
        jobs.save_step(
            job, position={"after": ids[-1]}, n_done=job.n_done + len(ids), result={"changed": changed}
        )
        return len(ids) == SLICE
