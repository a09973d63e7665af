"""What somebody sees who is to say yes: what is in it, what differs from what is in force, who comes in, whether it was
rehearsed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.graph import tidy, words
from campaigns.graph.shape import Graph
from campaigns.models import SopRequest, SopVersion
from campaigns.services.graphs import graph_checks, graph_warnings, graphs
from campaigns.services.journeys.moving import MoveEffect
from campaigns.services.sops import sop_approval, sop_requests, sop_steps, sops
from campaigns.services.sops.replanning import EditEffect
from org.models import Job
from scrm.errors import InvalidError
from tenants.models import Brand

Row = Mapping[str, Any]
Files = list[dict[str, Any]]  # attachments
SHOWN_JOBS = 20


@dataclass(frozen=True)
class StepChange:
    """A step before and after; `what` is same, changed, added or removed."""

    what: str
    old: Row | None
    new: Row | None

    @property
    def row(self) -> Row:
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def moved_from(self) -> Row | None:
        """Where the time is another one: how it was."""
        return self.old if self.old and self.new and _time(self.old) != _time(self.new) else None

    @property
    def files_gone(self) -> Files:
        """Attachments that it had and has no more."""
        return files_gone(self.old, self.new) if self.old and self.new else []

    @property
    def old_text(self) -> str | None:
        """Where the words are other ones: how they were."""
        return self.old["text"] if self.old and self.new and self.old["text"] != self.new["text"] else None


def step_changes(request: SopRequest) -> list[StepChange]:
    """The steps in the order of their time, those that are taken out among them."""
    new: list[Row] = [*request.steps]
    before = request.before
    if before is None:
        return [StepChange("added", None, row) for row in new]
    old = {row["id"]: row for row in before["steps"]}
    found = [_step_change(old.get(row["id"]), row) for row in new]
    kept = {row["id"] for row in new}
    found += [StepChange("removed", row, None) for pk, row in old.items() if pk not in kept]
    return sorted(found, key=lambda change: _time(change.row))


def _step_change(old: Row | None, new: Row) -> StepChange:
    if old is None:
        return StepChange("added", None, new)
    return StepChange("same" if dict(old) == dict(new) else "changed", old, new)


def files_gone(old: Row, new: Row) -> Files:
    """Attachments that a step, or a node, had and has no more."""
    kept = new.get("attachments") or []
    return [file for file in old.get("attachments") or [] if file not in kept]


def _time(row: Row) -> tuple[int, int, int]:
    return row["day"], row["hour"], row["minute"]


def when(row: Row) -> str:
    """Day 7 10:00."""
    return _("Day %(day)s %(time)s") % {"day": row["day"], "time": f"{row['hour']:02}:{row['minute']:02}"}


def before_of(request: SopRequest) -> SopVersion | None:
    """The version that was in force when a canvas was handed in."""
    return SopVersion.objects.filter(pk=request.before_id).first() if request.before_id else None


def changes(brand: Brand, request: SopRequest) -> list[str]:
    """What differs from what was in force, in words; of what was not in force before, all of it."""
    if request.kind == SopRequest.Kind.VERSION:
        graph, before = graph_of(request), before_of(request)
        if before is None:
            return graphs.summary(brand, graph)
        return [row["text"] for row in graphs.compare(brand, before.graph, graph)]
    if request.kind == SopRequest.Kind.PRIORITY:
        return [priority_words(request)]
    if request.kind == SopRequest.Kind.PEOPLE:
        n = len(request.contact_ids)
        return [ngettext("%(n)s person is put in", "%(n)s people are put in", n) % {"n": n}]
    said = [_said(change) for change in step_changes(request) if change.what != "same"]
    was = request.before
    if was and was["late_days"] != request.late_days:
        said.append(late_words(was["late_days"], request.late_days))
    return said


def priority_words(request: SopRequest) -> str:
    was = request.before
    return _("Priority %(old)s → %(new)s") % {"old": was["priority"] if was else "", "new": request.priority}


def late_words(old: int, new: int) -> str:
    return _("Late steps are sent within %(old)s → %(new)s days") % {"old": old, "new": new}


def _said(change: StepChange) -> str:
    row = change.row
    n = len(row["attachments"])
    files = ngettext("%(n)s attachment", "%(n)s attachments", n) % {"n": n} if n else ""
    text = " + ".join(filter(None, [row["text"], files]))
    said = _("%(name)s: %(text)s") % {"name": when(row), "text": text}
    if change.what == "added":
        return _("New: %(what)s") % {"what": said}
    if change.what == "removed":
        return _("Gone: %(what)s") % {"what": said}
    assert change.old is not None
    return f"{when(change.old)}: {change.old['text']} → {said}"


def graph_of(request: SopRequest) -> Graph:
    return tidy(request.graph)


def entries(brand: Brand, request: SopRequest) -> list[str]:
    """Who comes in; of what changes nothing about that, nobody."""
    if request.kind not in sop_requests.OF_CONTENT:
        return []
    if request.kind != SopRequest.Kind.VERSION:
        return [_("Whoever is put in by hand, from a list or by a channel code")]
    say = graph_checks.say_for(brand)
    nodes = [node for node in graph_of(request)["nodes"] if node["kind"] == "entry"]
    return [words.describe(node, say) for node in nodes]


def effect(brand: Brand, request: SopRequest) -> EditEffect | MoveEffect | None:
    """What a yes would do at this moment to the people who are in it; None where it concerns none of them. Asked of what
    waits only."""
    if request.kind == SopRequest.Kind.CHANGE:
        try:
            return sops.preview_edit(brand, sop_id=request.sop_id, steps=sop_approval.steps_of(request))
        except InvalidError:
            return None  # said by `problem`
    if request.kind == SopRequest.Kind.VERSION and request.people == graphs.MOVE:
        return graphs.preview_move(brand, sop_id=request.sop_id, graph=request.graph, mapping=request.mapping)
    return None


def problem(brand: Brand, request: SopRequest) -> str:
    """Why a yes would be refused now, in words; empty: it would not."""
    sop = request.sop
    try:
        if request.kind == SopRequest.Kind.VERSION:
            graphs.checked(brand, request.graph, request.people)
        elif request.kind in sop_requests.OF_CONTENT:
            if request.kind == SopRequest.Kind.ON:
                sop_steps.check_contents(brand, sop_steps.live_steps(sop.pk))
            sops.check_edit(brand, sop, sop.name, request.late_days, sop_approval.steps_of(request))
    except InvalidError as error:
        return str(error.message)
    return ""


def warnings(brand: Brand, request: SopRequest) -> list[str]:
    """What would come into force and not do what is meant."""
    if request.kind != SopRequest.Kind.VERSION:
        return []
    return graph_warnings.in_words(brand, graph_of(request), request.sop_id)


def rehearsals(request: SopRequest) -> list[Job]:
    """Finished rehearsals of exactly this graph, the newest first."""
    if request.kind != SopRequest.Kind.VERSION:
        return []
    graph = graph_of(request)
    jobs = Job.objects.filter(kind="sop_rehearse", params__sop_id=request.sop_id, state=Job.State.DONE)
    return [
        job
        for job in jobs.order_by("-pk")[:SHOWN_JOBS]
        if not words.differences(tidy(job.params["graph"]), graph)
    ]
