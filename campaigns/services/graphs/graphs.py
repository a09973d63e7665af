"""SOPs as graphs: draw one, publish versions of it, look at what differs, go back.

A draft is saved however unfinished; what is published has been checked and never changes. People come into the newest
version; those of older ones stay in theirs or are moved (journeys/moving.py), by choice.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns import graph as graphs
from campaigns.graph import kinds, words
from campaigns.graph.shape import Graph, Problem
from campaigns.graph.templates import TEMPLATES
from campaigns.models import Sop, SopStep, SopVersion
from campaigns.services.governance import gate
from campaigns.services.graphs import graph_checks
from campaigns.services.journeys import arrivals, moving, plans, reacting, rehearsing
from campaigns.services.journeys.moving import MoveEffect
from campaigns.services.sops import sop_requests, sops
from contacts.models import Contact
from content.services import library
from org import audit
from org.access import SYSTEM, Actor
from org.models import Job
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

EMPTY: Graph = {
    "nodes": [
        {"id": "n1", "kind": "entry", "x": 80, "y": 80, "title": ""},
        {"id": "n2", "kind": "end", "x": 80, "y": 240, "title": ""},
    ],
    "edges": [{"from": "n1", "out": "next", "to": "n2"}],
    "settings": {},
}
STAY, MOVE = "stay", "move"


def get_graph_sop(sop_id: int, *, lock: bool = False) -> Sop:
    """A graph SOP of the brand in scope.

    Raises:
        NotFoundError: missing, another brand's, or one of steps.
    """
    sop = sops.get_sop(sop_id, lock=lock)
    if not sop.is_graph:
        raise NotFoundError()
    return sop


# ---- drafts


@transaction.atomic
def create_graph_sop(brand: Brand, *, name: str, graph: Any = None, by: Actor = SYSTEM) -> Sop:
    """A draft with an entry and an end, or with a given graph.

    Raises:
        InvalidError: a name that is taken, not a graph.
    """
    name = sops.checked_name(name)
    sop = Sop(
        name=name,
        form=Sop.Form.GRAPH,
        draft=graphs.tidy(graph or EMPTY),
        draft_by=by.name,
        draft_at=clock.now(),
        created_by=by.name,
        makers=[[by.name, by.user_id]],
    )
    sops.save_sop(sop)
    audit.record(by, "sop.create", sop, after={"name": sop.name, "form": sop.form})
    return sop


def create_from_template(brand: Brand, *, key: str, name: str = "", by: Actor = SYSTEM) -> Sop:
    """A draft of a ready graph (graph/templates.py); without a name it gets that of the template.

    Raises:
        NotFoundError: no such template.
    """
    if (template := TEMPLATES.get(key)) is None:
        raise NotFoundError()
    wanted = name.strip() or str(template.name)
    if not name.strip() and Sop.objects.filter(name=wanted).exists():
        wanted = sops.free_name(wanted)
    return create_graph_sop(brand, name=wanted, graph=template.graph(), by=by)


@transaction.atomic
def rename(brand: Brand, *, sop_id: int, name: str, by: Actor) -> Sop:
    """Raises InvalidError where the name is taken."""
    return sops.rename(get_graph_sop(sop_id, lock=True), name, by)


@transaction.atomic
def save_draft(brand: Brand, *, sop_id: int, graph: Any, by: Actor, draft_n: int | None = None) -> Sop:
    """Keep what is being drawn; nobody's way changes before it is published. What waits for a second person is overtaken by
    another graph, not by other places on the canvas.

    Args:
        draft_n: the save that this one goes on from; None does not look.

    Raises:
        ConflictError: somebody else has saved meanwhile, or the SOP has ended.
        InvalidError: not a graph.
    """
    sop = get_graph_sop(sop_id, lock=True)
    if sop.state == Sop.State.ENDED:
        raise ConflictError(_("The SOP has ended. Copy it to use it again."))
    if draft_n is not None and draft_n != sop.draft_n:
        raise ConflictError(
            _("%(name)s has changed it meanwhile. Load the page again.") % {"name": sop.draft_by or "?"},
            code="draft_changed",
            draft_n=sop.draft_n,
        )
    drawn = graphs.tidy(graph)
    if words.differences(graphs.tidy(sop.draft or EMPTY), drawn):
        sop_requests.note_maker(sop, by)
        sop_requests.overtake(sop, by, sop_requests.OF_CONTENT)
    sop.draft, sop.draft_n = drawn, sop.draft_n + 1
    sop.draft_by, sop.draft_at = by.name, clock.now()
    sop.save(update_fields=["draft", "draft_n", "draft_by", "draft_at", "makers"])
    return sop


def validate(brand: Brand, graph: Any) -> list[Problem]:
    """Everything that keeps a graph from being published: rows {node, field, message}."""
    return graph_checks.check(brand, graphs.tidy(graph))[1]


def summary(brand: Brand, graph: Graph) -> list[str]:
    """The graph in words, a sentence for each node."""
    return words.summary(graph, graph_checks.say_for(brand))


def has_changes(sop: Sop) -> bool:
    """Whether the draft differs from what is published; places on the canvas do not count."""
    if sop.version_id is None:
        return True
    published = SopVersion.objects.get(pk=sop.version_id).graph
    return bool(words.differences(graphs.tidy(published), sop.draft or published))


# ---- versions


@transaction.atomic
def publish(
    brand: Brand,
    *,
    sop_id: int,
    by: Actor,
    note: str = "",
    people: str = STAY,
    mapping: Mapping[str, str] | None = None,
    draft_n: int | None = None,
) -> tuple[SopVersion, Job | None]:
    """Make the draft a version; people come into it from now on. A draft SOP is switched on with it.

    Args:
        people: STAY: who is in older versions goes to their end; MOVE: they go over (a job, which is given).
        mapping: {node of an older version: node of this one, empty: leaves}; others keep their node.

    Raises:
        InvalidError: `problems` in its details; they stand at nodes and fields.
        ConflictError: the SOP has ended, the draft was changed since, or a second person has to approve it
            (sop_approval.publish hands it in).
    """
    sop_requests.check_alone(brand)
    gate.enter_gate(brand)
    sop = to_publish(sop_id, draft_n)
    clean = checked(brand, sop.draft or EMPTY, people)
    return put_in_force(brand, sop, clean, by=by, note=note, people=people, mapping=mapping)


def to_publish(sop_id: int, draft_n: int | None = None) -> Sop:
    """The SOP, locked. Raises ConflictError: it has ended, or its draft was changed since `draft_n`."""
    sop = get_graph_sop(sop_id, lock=True)
    if sop.state == Sop.State.ENDED:
        raise ConflictError(_("The SOP has ended. Copy it to use it again."))
    if draft_n is not None and draft_n != sop.draft_n:
        raise ConflictError(_("The draft was changed meanwhile. Load the page again."), code="draft_changed")
    return sop


def checked(brand: Brand, graph: Graph, people: str) -> Graph:
    """The graph with clean values.

    Raises:
        InvalidError: what keeps it from being published, as `problems`; people neither stay nor move.
    """
    if people not in (STAY, MOVE):
        raise InvalidError(_("Choose whether people stay or move"), fields={"people": f"{STAY}, {MOVE}"})
    clean, problems = graph_checks.check(brand, graphs.tidy(graph))
    if problems:
        raise InvalidError(
            _("%(n)s things keep it from being published: %(first)s")
            % {"n": len(problems), "first": problems[0]["message"]},
            code="graph_problems",
            problems=problems,
        )
    return clean


def is_present(sop: Sop, graph: Graph) -> SopVersion | None:
    """The newest version, where people come into it and the graph is the same."""
    last = SopVersion.objects.filter(sop=sop).order_by("-n").first()
    is_same = last and last.pk == sop.version_id and not words.differences(graphs.tidy(last.graph), graph)
    return last if is_same else None


def put_in_force(
    brand: Brand,
    sop: Sop,
    clean: Graph,
    *,
    by: Actor,
    note: str,
    people: str,
    mapping: Mapping[str, str] | None,
    published_by: str = "",
    approved_by: str = "",
) -> tuple[SopVersion, Job | None]:
    """A clean graph becomes the version into which people come. The caller holds the gate and the SOP's row, and has seen
    to the second person.

    Args:
        published_by, approved_by: who wanted it and who said yes, where that is not `by` alone.
    """
    now = clock.now()
    sop_requests.overtake(sop, by)
    if (present := is_present(sop, clean)) is not None:
        # nothing is new (a double click, an answer that was lost): the same version; people may still be moved into it
        return present, moving.start(brand, sop, mapping or {}, by) if people == MOVE else None
    last = SopVersion.objects.filter(sop=sop).order_by("-n").first()
    is_first_of_brand = not Sop.objects.filter(form=Sop.Form.GRAPH, version_id__isnull=False).exists()
    version = SopVersion.objects.create(
        sop=sop,
        n=last.n + 1 if last else 1,
        graph=clean,
        note=note.replace("\x00", "").strip()[:200],
        published_by=published_by or by.name,
        published_at=now,
        approved_by=approved_by,
    )
    _write_steps(brand, version)
    before = {"state": sop.state, "version": last.n if last else 0}
    sop.version_id, sop.draft, sop.makers = version.pk, clean, []
    sop.draft_n += 1
    if sop.state == Sop.State.DRAFT:
        sop.state = Sop.State.ON
    sop.save(update_fields=["version_id", "draft", "draft_n", "state", "makers"])
    if is_first_of_brand:
        reacting.begin(brand)
    arrivals.begin(brand, plans.load([version.pk])[version.pk], now)
    audit.record(
        by,
        "sop.publish",
        sop,
        before=before,
        after={"state": sop.state, "version": version.n, "people": people},
    )
    job = moving.start(brand, sop, mapping or {}, by) if last and people == MOVE else None
    return version, job


def _write_steps(brand: Brand, version: SopVersion) -> None:
    """A row for each message, under which the ledger knows it; `removed_at`: it is no step by day."""
    SopStep.objects.bulk_create(
        [
            SopStep(
                sop_id=version.sop_id,
                version=version,
                node=node["id"],
                title=words.name_of(node)[:60],
                position=n,
                day=0,
                text=node.get("text") or "",
                attachments=node.get("attachments") or [],
                content_id=node.get("content_id"),
                removed_at=version.published_at,
            )
            for n, node in enumerate(version.graph["nodes"])
            if node["kind"] in kinds.MESSAGES
        ]
    )


def versions(sop_id: int) -> list[SopVersion]:
    """The newest first."""
    return list(SopVersion.objects.filter(sop=sop_id).order_by("-n"))


def get_version(sop_id: int, n: int) -> SopVersion:
    """Raises NotFoundError where there is none."""
    version = SopVersion.objects.filter(sop=sop_id, n=n).first()
    if version is None:
        raise NotFoundError()
    return version


def compare(brand: Brand, old: Graph, new: Graph) -> list[dict[str, str]]:
    """What is different, in words: rows {what: added, removed, changed, way or settings; node; text}."""
    return words.differences(graphs.tidy(old), graphs.tidy(new), graph_checks.say_for(brand))


def preview_move(
    brand: Brand, *, sop_id: int, graph: Any = None, mapping: Mapping[str, str] | None = None
) -> MoveEffect:
    """What publishing a graph (the draft, if none is given) with MOVE would do to the people; changes nothing."""
    sop = get_graph_sop(sop_id)
    return moving.preview(brand, sop, graphs.tidy(graph if graph is not None else sop.draft), mapping)


@transaction.atomic
def roll_back(
    brand: Brand,
    *,
    sop_id: int,
    n: int,
    by: Actor,
    people: str = STAY,
    mapping: Mapping[str, str] | None = None,
) -> tuple[SopVersion, Job | None]:
    """Publish an older version again, as a new one; the draft becomes it. One that a second person has approved needs no
    other yes.

    Raises:
        InvalidError: what it names does not exist any more (`problems`).
        ConflictError: it is the present one, the SOP has ended, or a second person has to approve it
            (sop_approval.roll_back hands it in).
    """
    gate.enter_gate(brand)
    sop = to_publish(sop_id)
    version = older_version(sop, n)
    clean = checked(brand, version.graph, people)
    if not is_approved(version, clean):
        sop_requests.check_alone(brand)
    return put_in_force(
        brand, sop, clean, by=by, note=back_note(n), people=people, mapping=mapping, approved_by=version.approved_by
    )  # fmt: skip


def older_version(sop: Sop, n: int) -> SopVersion:
    """Raises NotFoundError; ConflictError: it is the present one."""
    version = get_version(sop.pk, n)
    if version.pk == sop.version_id:
        raise ConflictError(_("This is the present version"))
    return version


def is_approved(version: SopVersion, clean: Graph) -> bool:
    """Whether a second person has said yes to exactly this graph, when it was this version."""
    return bool(version.approved_by) and not words.differences(graphs.tidy(version.graph), clean)


def back_note(n: int) -> str:
    return _("Back to version %(n)s") % {"n": n}


# ---- try it before it is on


@transaction.atomic
def rehearse(brand: Brand, *, sop_id: int, by: Actor, graph: Any = None, days: int = rehearsing.DAYS) -> Job:
    """Run a graph (the draft, if none is given) over the people and events of the last days, as a job; nothing is sent.
    The job's result is that of rehearsal_report.

    Raises:
        InvalidError: what keeps it from being published (`problems`); slots that nobody brings do not matter here.
    """
    sop = get_graph_sop(sop_id)
    clean = _clean(brand, graph if graph is not None else sop.draft)
    if not 1 <= days <= 366:
        raise InvalidError(_("1 to 366 days"), fields={"days": _("1 to 366 days")})
    job = rehearsing.start(brand, sop_id=sop.pk, name=sop.name, graph=clean, by=by, days=days)
    audit.record(by, "sop.rehearse", sop, after={"days": days})
    return job


def simulate(brand: Brand, *, sop_id: int, contact_id: int, graph: Any = None) -> list[dict[str, Any]]:
    """What would happen to one person who came in now: rows {at, node, title, text, way, reason}.

    Raises:
        NotFoundError: no such contact.
        InvalidError: the graph is not finished.
    """
    sop = get_graph_sop(sop_id)
    if not Contact.objects.filter(pk=contact_id).exists():
        raise NotFoundError()
    clean = _clean(brand, graph if graph is not None else sop.draft)
    return rehearsing.simulate(brand, clean, contact_id=contact_id, sop_id=sop.pk)


def _clean(brand: Brand, graph: Any) -> Graph:
    clean, problems = graphs.shape.read(graphs.tidy(graph), graph_checks.checks_of(brand))
    if problems:
        raise InvalidError(problems[0]["message"], code="graph_problems", problems=problems)
    return clean


@transaction.atomic
def open_as_graph(brand: Brand, *, sop_id: int, by: Actor) -> Sop:
    """A draft of a graph that does what an SOP of steps does; the SOP of steps and its people stay as they are."""
    sop = sops.get_sop(sop_id)
    if sop.is_graph:
        raise ConflictError(_("It is on a canvas already"))
    copy = create_graph_sop(brand, name=sops.free_name(sop.name), graph=graph_of_steps(sop), by=by)
    return sops.set_priority(brand, sop_id=copy.pk, priority=sop.priority, by=by)


def graph_of_steps(sop: Sop) -> Graph:
    """The graph of an SOP of steps: a wait until its day and a message for each."""
    nodes: list[dict[str, Any]] = [{"id": "in", "kind": "entry", "by": "hand", "x": 80, "y": 80}]
    steps = sops.live_steps(sop.pk)
    picked = library.names_of(step.content_id for step in steps)
    for n, step in enumerate(steps, 1):
        time = f"{step.hour:02}:{step.minute:02}"
        nodes.append({"id": f"w{n}", "kind": "wait", "mode": "day", "day": step.day, "time": time})
        said: dict[str, Any] = {"text": step.text, "attachments": step.attachments}
        about = picked.get(step.content_id or 0)
        if about and about["newer"] is None:  # a node takes what is in force: the words stay the same
            said = {"content_id": about["content_id"]}
        nodes.append({"id": f"t{n}", "kind": "touch", **said})
    nodes.append({"id": "end", "kind": "end"})
    for n, node in enumerate(nodes):
        node |= {"x": 80, "y": 80 + 120 * n}
    edges = [{"from": a["id"], "out": "next", "to": b["id"]} for a, b in pairwise(nodes)]
    settings = {"late": "skip", "late_hours": max(sop.late_days, 1) * 24}
    return graphs.tidy({"nodes": nodes, "edges": edges, "settings": settings})
