"""One customer beside WeCom, on demand: read, compared, repaired at once, and told what it was."""

from dataclasses import dataclass, field

from django.db import transaction

from contacts.models import Contact, Follow, Identity
from contacts.services.sync.sync_gone import end_gone
from contacts.services.sync.sync_halves import TRIES, may_repeat
from contacts.services.sync.sync_lists import read_customers
from contacts.services.sync.sync_merge import merge
from drift.models import Difference
from drift.services import relations
from drift.services.differences import New, close, record
from org import audit
from org.access import Actor
from org.models import Corp, Staff
from scrm import clock
from scrm.errors import NotFoundError
from tenants.db.clash import turns
from tenants.models import Brand


@dataclass
class Checked:
    """What a check of one customer has found and repaired; `n_corps`: in how many companies WeCom knows them."""

    n_corps: int = 0
    found: list[New] = field(default_factory=list)


def check_contact(brand: Brand, *, by: Actor, contact_id: int) -> Checked:
    """Compare a customer with WeCom in every company where we know them, and take over what WeCom says. Calls WeCom,
    so outside of transactions.

    Raises:
        NotFoundError: no such customer.
        WeComError: as the client does.
    """
    with transaction.atomic():
        if not Contact.objects.filter(pk=contact_id).exists():
            raise NotFoundError()
        ids = Identity.objects.filter(contact=contact_id, kind=Identity.Kind.EXTERNAL_USERID)
        names: dict[str, list[str]] = {}
        for corpid, value in ids.values_list("scope", "value"):
            names.setdefault(corpid, []).append(value)
        corps = list(Corp.objects.filter(corpid__in=names))
    checked = Checked(n_corps=len(corps))
    for corp in corps:
        checked.found += _check(brand, corp, sorted(names[corp.corpid]), by)
    return checked


def _check(brand: Brand, corp: Corp, external: list[str], by: Actor) -> list[New]:
    with transaction.atomic():
        staff_ids = dict(Staff.objects.filter(corp=corp).exclude(userid="").values_list("userid", "pk"))
    asked_at = clock.now()
    rows = read_customers(corp, external, staff_ids)
    shown = {(row.staff_id, row.external_userid) for row in rows}
    for turn in turns(TRIES, may_repeat):
        with turn, transaction.atomic():
            differences = relations.compare_page(brand, corp, rows) if rows else {}
            found = [new for own in differences.values() for new in own]
            merge(brand, corp, rows, careful=turn.n > 0)
            live = Follow.objects.filter(
                corp=corp, external_userid__in=external, ended_at=None, is_pending=False,
                changed_at__lt=asked_at, staff__is_guide=True,
            )  # fmt: skip
            pairs = live.values_list("pk", "contact_id", "staff_id", "external_userid")
            missing = [(pk, contact) for pk, contact, *pair in pairs if tuple(pair) not in shown]
            found += relations.ghosts(missing)
            if missing:
                end_gone(brand, [pk for pk, _ in missing])
            ids = record(brand, None, corp, found)
            close(list(ids.values()), state=Difference.State.REPAIRED, by=by.name)
            if found:
                audit.record(by, "drift.check", after={"kinds": sorted({new.kind for new in found})})
            return found
    return []
