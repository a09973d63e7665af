"""What the 360° page of a contact shows of SOPs and touches (contacts/panels.py names this function)."""

from typing import Any

from django.utils.translation import gettext as _

from campaigns.models import Enrolment, SopStep, StaffTask, Touch
from campaigns.services.broadcasts import left_out
from campaigns.services.graphs import graph_checks
from campaigns.services.journeys import plans
from campaigns.services.ledger import waiting
from campaigns.services.tasks import task_later
from campaigns.views.touches import HELP, names_of
from contacts.models import Contact
from org.access import Actor
from scrm import clock
from tenants.models import Brand

N_ENROLMENTS, N_TOUCHES, N_TASKS = 20, 10, 5


def contact_panel(brand: Brand, contact: Contact, actor: Actor) -> dict[str, Any] | None:
    """The SOPs a contact is or was in, live ones first with their next step, and the latest touches with
    their outcome.

    None for a contact without either. A constant number of queries.
    """
    rows = Enrolment.objects.filter(contact=contact).select_related("sop").order_by("-pk")[:N_ENROLMENTS]
    enrolments = sorted(rows, key=lambda row: row.ended_at is not None)
    latest = Touch.objects.filter(contact_id=contact.pk).order_by("-at", "-pk")[: N_TOUCHES + 1]
    touches = left_out.beside(latest, contact.pk, N_TOUCHES + 1)
    if not enrolments and not touches:
        return None
    waiting.show(touches)
    live = {row.sop_id for row in enrolments if row.ended_at is None}
    steps = {(s.sop_id, s.position): s for s in SopStep.objects.filter(sop__in=live, removed_at=None)}
    places = plans.places([row for row in enrolments if row.ended_at is None], graph_checks.say_for(brand))
    for row in enrolments:
        row.place = places.get(row.pk, "")  # type: ignore[attr-defined]
        row.next_step = None if row.ended_at else steps.get((row.sop_id, row.position))  # type: ignore[attr-defined]
    return {
        "title": _("SOPs and messages"),
        "icon": "route",
        "template": "campaigns/contact_panel.html",
        "context": {
            "contact": contact,
            "enrolments": enrolments,
            "touches": touches[:N_TOUCHES],
            "more": len(touches) > N_TOUCHES,
            "help": HELP,
            **{name: value for name, value in names_of(touches).items() if name != "contacts"},
        },
        "right": "sops.view",
    }


def task_panel(brand: Brand, contact: Contact, actor: Actor) -> dict[str, Any] | None:
    """Tasks of guides about a contact, open ones first; None for a contact without. At most two queries."""
    rows = StaffTask.objects.filter(contact=contact).select_related("staff").order_by("-pk")[: N_TASKS + 1]
    tasks = sorted(rows, key=lambda task: task.state != StaffTask.State.OPEN)
    if not tasks:
        return None
    return {
        "title": _("Guides' tasks"),
        "icon": "list-todo",
        "template": "campaigns/staff_tasks/contact_panel.html",
        "context": {
            "contact": contact,
            "tasks": tasks[:N_TASKS],
            "delays": task_later.history(tasks[:N_TASKS]),
            "more": len(tasks) > N_TASKS,
            "now": clock.now(),
        },
        "right": "tasks.view",
    }
