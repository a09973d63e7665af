"""Two records of whom somebody knows that they are one person: the merge by hand, with the same way back as every other."""

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.models import Contact
from contacts.services.identity import apart
from contacts.services.identity.merging import merge
from org import audit
from org.access import Actor
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand


@transaction.atomic
def join(brand: Brand, *, one_id: int, other_id: int, by: Actor) -> Contact:
    """Both become the older one, which is given. That somebody had said they are two people holds no more.

    The caller has looked whether `by` sees both.

    Raises:
        InvalidError: one and the same.
        NotFoundError: one of them does not exist (any more).
    """
    if one_id == other_id:
        raise InvalidError(_("This is the same record"))
    pair = list(Contact.objects.select_for_update().filter(pk__in=[one_id, other_id]).order_by("pk"))
    if len(pair) < 2:
        raise NotFoundError()
    keep, lose = pair
    apart.unmark(keep.pk, lose.pk)
    name = lose.name
    kept = merge(brand, keep=keep, lose=lose, why={"by": by.name}, source="page" if by.staff else "api")
    audit.record(by, "contact.merge", kept, after={"other": lose.pk, "name": name})
    return kept
