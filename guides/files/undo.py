"""Numbers of an import taken back: those that nobody has worked on go, the others stay and are listed."""

from typing import Any

from django.utils.translation import gettext as _

from datafiles.models import ImportFile
from datafiles.services.undo import Undone
from guides.models import Lead, LeadList
from guides.services.leads import duties
from org.access import SYSTEM
from tenants.models import Brand

WORKED = (Lead.State.ASKED, Lead.State.ADDED, Lead.State.NOT_FOUND, Lead.State.REFUSED)


def remove(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    rows = list(Lead.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    kept = [(lead.pk, str(lead), _("a guide has worked on it")) for lead in rows if lead.state in WORKED]
    gone = [lead for lead in rows if lead.state not in WORKED]
    pairs = {
        (lead.list_id, lead.staff_id) for lead in gone if lead.staff_id and lead.state == Lead.State.GIVEN
    }
    n, _by_model = Lead.objects.filter(pk__in=[lead.pk for lead in gone]).delete()
    duties.settle(brand, pairs, by=SYSTEM)
    return Undone(removed=n, kept=kept)


def remove_list(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """The list itself, when nothing is left in it."""
    if file.kind == "leads":
        for found in LeadList.objects.filter(file_id=file.pk):
            if not Lead.objects.filter(list=found).exists():
                found.delete()
    return Undone()
