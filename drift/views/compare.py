"""One customer compared with WeCom from the 360° page."""

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from contacts.models import Contact
from drift.kinds import label_of
from drift.services.customer import check_contact
from org.access import brand_transaction, staff_can_outside
from scrm.errors import NotFoundError
from scrm.responses import go
from tenants.scoping import tenant_scope


@require_POST
@staff_can_outside("contacts.edit")
def contact_compare(request: Any, contact_id: int) -> HttpResponse:
    """Read the customer from WeCom now; what differs is taken over and named."""
    with brand_transaction(request):
        if not Contact.objects.visible_to(request.staff).filter(pk=contact_id).exists():
            raise NotFoundError()
    with tenant_scope(request.brand):
        checked = check_contact(request.brand, by=request.actor, contact_id=contact_id)
    back = f"/contacts/{contact_id}/"
    if not checked.n_corps:
        return go(
            request, back, _("WeCom does not know this customer: there is nothing to compare."), "warning"
        )
    if not checked.found:
        return go(request, back, _("Everything is as in WeCom."))
    words = ", ".join(dict.fromkeys(str(label_of(new.kind)) for new in checked.found))
    n = len(checked.found)
    text = ngettext("%(n)d difference was repaired: %(what)s", "%(n)d differences were repaired: %(what)s", n)
    return go(request, back, text % {"n": n, "what": words})
