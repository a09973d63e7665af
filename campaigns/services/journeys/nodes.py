"""What each kind of node does with the people who stand at it: a function that gives {way out: people}. Who waits or
leaves is told to the batch and not given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from campaigns import chance
from campaigns.graph import times
from campaigns.graph.kinds import HELD_BY_HOURS
from campaigns.graph.shape import Node
from campaigns.models import Enrolment, SopStep, Touch
from campaigns.services.governance import gate, hold_out, outranking, rules, workload_steps, workload_tasks
from campaigns.services.journeys import flows, hooks, slots
from campaigns.services.journeys.conditions import holds_for
from campaigns.services.journeys.happened import first_after
from campaigns.services.journeys.plans import Plan
from campaigns.services.sending import senders
from campaigns.services.sops import step_touches
from campaigns.services.tasks import staff_tasks
from contacts.models import Contact, CustomField
from contacts.services import values
from content.services import library
from org.access import SYSTEM
from scrm.errors import InvalidError, SCRMError
from tagging.services.bits import frames
from tagging.services.tags.changes import each, put_on, take_off

if TYPE_CHECKING:
    from campaigns.services.journeys.walking import Batch, Walker

Ways = dict[str, list["Walker"]]
Handler = Callable[["Batch", Plan, Node, list["Walker"]], Ways]


def split_seed(sop_id: int, node_id: str) -> int:
    """What a random split is cut by: the same for a customer in every version of an SOP."""
    return sop_id * 1_000_003 + sum(ord(c) * 31**i for i, c in enumerate(node_id))


def _entry(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    return {"next": people}


def _wait(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    """Who stood here until now goes on; who has just come waits, unless it has happened or the time is over already. What
    happens after the end of a wait is too late, whenever somebody looks."""
    ways: Ways = {"next": [], "timeout": []}
    by_event = node["mode"] == "event"
    over = "timeout" if by_event else "next"
    new = [walker for walker in people if not walker.stood]
    stood = [walker for walker in people if walker.stood]
    # the reader may not have come by since, after an outage for one
    unread = [(w.contact_id, w.since) for w in stood if w.since and not w.woken] if by_event else []
    in_time = first_after(batch.brand, node, unread)
    shifts, since = plan.settings["late"] == "shift", batch.late_since(plan)
    for walker in stood:
        moment = walker.woken or in_time.get(walker.contact_id)
        if moment and (walker.woken or moment <= walker.base):
            walker.base = moment
            ways["next"].append(walker)
        else:
            if shifts and walker.base < since:
                walker.base = batch.at
            ways[over].append(walker)
    if new:
        ends = times.wait_end(
            node,
            times.seconds([w.base for w in new]),
            times.seconds([w.joined_at for w in new]),
            batch.brand.timezone,
        )
        happened = first_after(batch.brand, node, [(w.contact_id, w.base) for w in new]) if by_event else {}
        for walker, until in zip(new, times.moments(ends), strict=True):
            if (moment := happened.get(walker.contact_id)) and moment <= until:
                walker.base = moment
                ways["next"].append(walker)
            elif until > batch.at:
                batch.stay(walker, until)
            else:
                walker.base = until
                ways[over].append(walker)
    return ways


def _branch(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    ways: Ways = {}
    if node["mode"] == "cases":
        cases = [(case["key"], case["condition"]) for case in node["cases"]]
        rest = "else"
    else:
        cases, rest = [("yes", node["condition"])], "no"
    left = people
    for key, condition in cases:
        try:
            found = holds_for(batch.brand, condition, [w.contact_id for w in left], now=batch.at)
        except SCRMError as error:  # never the one way or the other
            batch.wait_for_it(plan, node, people, error)
            return {}
        ways[key] = [w for w in left if w.contact_id in found]
        left = [w for w in left if w.contact_id not in found]
    ways[rest] = left
    batch.can_be_read(plan, node["id"])
    return ways


def share_of(node: Node, sop_id: int, contact_ids: Sequence[int]) -> list[str]:
    """The share of each person, by a hash that stays."""
    keys = [share["key"] for share in node["shares"]]
    ends = np.cumsum([share["percent"] for share in node["shares"]]) * (chance.BUCKETS // 100)
    places = np.searchsorted(
        ends, chance.buckets(list(contact_ids), split_seed(sop_id, node["id"])), side="right"
    )
    return [keys[min(place, len(keys) - 1)] for place in places]


def _split(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    ways: Ways = {share["key"]: [] for share in node["shares"]}
    for walker, key in zip(people, share_of(node, plan.sop_id, [w.contact_id for w in people]), strict=True):
        ways[key].append(walker)
    return ways


def _within_hours(handler: Handler) -> Handler:
    """Outside of business hours people wait at the node for the next one."""

    def held(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
        if not plan.settings.get("hours") or node["kind"] not in HELD_BY_HOURS:
            return handler(batch, plan, node, people)
        now = times.seconds([batch.at])
        until = int(times.open_at(plan.settings, now, batch.brand.timezone)[0])
        if until > now[0]:
            for walker in people:
                batch.stay(walker, times.moment(until))
            return {}
        return handler(batch, plan, node, people)

    return held


def _with_content(batch: Batch, step: SopStep, node: Node) -> bool:
    """Take the version of the library that is in force, or what another part of the product says; False when it may not
    be sent (any more)."""
    if node["kind"] in slots.CONTENTS:
        if (said := slots.content_of(batch.brand, node)) is None:
            return False
        step.text, step.attachments = said
        return True
    if not node.get("content_id"):
        return True
    try:
        found = library.usable(batch.brand, node["content_id"], batch.send_at)
    except SCRMError:
        return False
    step.text, step.attachments, step.content_id = found.text, found.attachments, found.version_id
    return True


def _touch(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    skips, shifts = plan.settings["late"] == "skip", plan.settings["late"] == "shift"
    since = batch.late_since(plan)
    late = {w.id for w in people if w.got_one or (skips and w.base < since)}
    step = plan.steps[node["id"]]
    usable = _with_content(batch, step, node)
    wanted = [w.contact_id for w in people if w.id not in late and usable]
    frame, places = frames.frame_of(batch.brand, wanted)
    refused = gate.ask(batch.brand, wanted, batch.send_at, found=(frame, places))
    priority = batch.sops[plan.sop_id].priority
    left = outranking.make_room(
        batch.brand, refused, dict.fromkeys(refused, priority), at=batch.send_at, now=batch.at
    )
    refused, freed = left, refused.keys() - left.keys()
    chosen = senders.choose(batch.brand, [i for i in wanted if i not in refused])
    asked = workload_steps.Wanted(step.pk, priority, wanted)
    placed = workload_steps.place(batch.brand, [asked], chosen, at=batch.send_at, now=batch.at, first=freed)
    refused = refused | placed.refused
    gone = batch.lost([i for i, reason in refused.items() if reason == Touch.Reason.NOT_FOLLOWED])
    piles, on, step_id = step_touches.Piles(placed.later), [], step.pk
    for walker in people:
        if shifts and walker.base < since:
            walker.base = batch.at
        if walker.id in late:
            one = piles.now.held(step, Touch.Reason.TOO_LATE)
        elif not usable:
            one = piles.now.held(step, Touch.Reason.CONTENT)
        elif sender := chosen.get(walker.contact_id):
            one = piles.of(walker.contact_id).planned(step, sender)
            walker.got_one = walker.got_one or not shifts
        else:
            one = piles.now.held(step, refused.get(walker.contact_id, Touch.Reason.NOT_FOLLOWED))
            if walker.contact_id in gone:
                batch.leave(walker, Enrolment.End.LOST)
        one.keys.append(f"s:{walker.id}:{step_id}:{walker.position}")
        one.contact_ids.append(walker.contact_id)
        if walker.end is None:
            on.append(walker)
    planned, held = step_touches.write_all(
        batch.brand, piles, at=batch.at, send_at=batch.send_at, sops=batch.sops, places=places
    )
    batch.outcome.n_planned += planned
    batch.outcome.n_blocked += held
    return {"next": on}


def _key(walker: Walker, node: Node) -> str:
    return f"sop:{walker.id}:{node['id']}:{walker.position}"


def _task(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    """A task for everybody's guide, but about those who are to be left alone, and the brand's hold-out group."""
    ids = [w.contact_id for w in people]
    quiet = set(Contact.objects.filter(pk__in=ids, do_not_contact=True).values_list("pk", flat=True))
    held = hold_out.is_held(ids, rules.rules_of(batch.brand))
    wanted = [pk for pk, is_held in zip(ids, held, strict=True) if pk not in quiet and not is_held]
    chosen = senders.choose(batch.brand, wanted)
    given = workload_tasks.give(
        batch.brand,
        [
            staff_tasks.TaskInput(
                staff_id=chosen[w.contact_id].staff_id,
                kind=node["task_kind"],
                title=node["subject"],
                note=node.get("note") or "",
                due_at=batch.at + timedelta(hours=node["due_hours"]),
                key=_key(w, node),
                contact_id=w.contact_id,
            )
            for w in people
            if w.contact_id in chosen
        ],
        source="sop",
        source_id=plan.sop_id,
    )
    if given.left_out:
        batch.flows[plan.sop_id, plan.version_id, node["id"], flows.BUSY] += len(given.left_out)
    return {"next": people}


def _slot(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    chosen = senders.choose(batch.brand, [w.contact_id for w in people])
    rows = [
        (w.id, w.contact_id, chosen[w.contact_id].staff_id if w.contact_id in chosen else None, _key(w, node))
        for w in people
    ]
    slots.act_of(node["kind"])(batch.brand, sop=batch.sops[plan.sop_id], node=node, people=rows, at=batch.at)
    return {"next": people}


def _tag(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    ids, source = [w.contact_id for w in people], f"sop:{plan.sop_id}"
    if node.get("add_tag_ids"):
        put_on(batch.brand, each(node["add_tag_ids"], ids), source=source)
    if node.get("remove_tag_ids"):
        take_off(batch.brand, each(node["remove_tag_ids"], ids), source=source)
    return {"next": people}


def _field(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    custom = CustomField.objects.filter(key=node["field"], archived_at=None).first()
    if custom is not None:  # a field that was archived since is set for nobody
        try:
            value = values.parse(custom, node["value"])
        except InvalidError as error:  # an option that was taken out
            batch.wait_for_it(plan, node, people, error)
            return {}
        batch.can_be_read(plan, node["id"])
        values.set_many(batch.brand, {w.contact_id: {custom: value} for w in people}, by=SYSTEM, source="sop")
    return {"next": people}


def _hook(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    rows = [(_key(w, node), w.contact_id) for w in people]
    hooks.order(batch.brand, sop=batch.sops[plan.sop_id], node=node, rows=rows, at=batch.at)
    batch.outcome.hooks = True
    return {"next": people}


def _end(batch: Batch, plan: Plan, node: Node, people: list[Walker]) -> Ways:
    for walker in people:
        batch.leave(walker, Enrolment.End.DONE)
    return {}


HANDLERS: dict[str, Handler] = {
    "entry": _entry,
    "wait": _wait,
    "branch": _branch,
    "split": _split,
    "touch": _within_hours(_touch),
    "task": _within_hours(_task),
    "moments": _within_hours(_slot),
    "coupon": _within_hours(_slot),
    "group": _within_hours(_touch),
    "tag": _tag,
    "field": _field,
    "hook": _hook,
    "end": _end,
}
