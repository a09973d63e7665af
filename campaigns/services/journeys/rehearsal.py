"""The walk of a rehearsal: many people through a graph over a past time, with a clock for each, in numpy.

People do not wait for each other, so each one's way is gone to its end at once; what they share (caps count a person's own
touches only) is a matrix of people and days. Nothing is read or written here: `rehearsing` brings what is needed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from campaigns import governance
from campaigns.governance import Rules
from campaigns.graph import times
from campaigns.graph.kinds import HELD_BY_HOURS
from campaigns.graph.shape import Graph, Node
from campaigns.graph.times import DAY, Seconds, moment
from campaigns.graph.words import order
from campaigns.models import Touch
from campaigns.services.governance import gate
from campaigns.services.journeys.rehearsal_room import Room

NEVER = np.iinfo(np.int64).max // 4
MAX_PASSES = 5_000  # sets of people at nodes in one walk; a loop of minutes over months is cut off here
EPOCH = date(1970, 1, 1).toordinal()
Rows = np.ndarray[Any, np.dtype[np.int64]]
Reason = Touch.Reason
BY_NUMBER = [int(reason) for reason in gate.BY_NUMBER]
NO_TASKS = (int(Reason.DO_NOT_CONTACT), int(Reason.BRAND_HOLD_OUT))  # nobody is asked to call them either


@dataclass
class Happenings:
    """When something happened to whom: sorted pairs, looked up for many people at once."""

    people: Rows
    at: Seconds

    def __post_init__(self) -> None:
        place = np.lexsort((self.at, self.people))
        self.people, self.at = self.people[place], self.at[place]
        self.keys = self.people * 2**34 + self.at

    def first_from(self, people: Rows, since: Seconds) -> Seconds:
        """The first moment at or after `since` of each person; NEVER where there is none."""
        if not len(self.keys):
            return np.full(len(people), NEVER, dtype=np.int64)
        place = np.searchsorted(self.keys, people * 2**34 + since)
        inside = np.minimum(place, len(self.keys) - 1)
        found = (place < len(self.keys)) & (self.people[inside] == people)
        return np.where(found, self.at[inside], NEVER)

    def forget(self, people: Rows, at: Seconds) -> None:
        """One of each of these has not happened after all."""
        keys = people * 2**34 + at
        keys.sort()
        # equal ones lie beside each other: the first of them goes for the first asked, the second for the second
        nth = np.arange(len(keys)) - np.searchsorted(keys, keys)
        left = np.ones(len(self.keys), dtype=bool)
        left[np.searchsorted(self.keys, keys) + nth] = False
        self.people, self.at, self.keys = self.people[left], self.at[left], self.keys[left]


@dataclass
class Cast:
    """Who takes part: arrays by person.

    Attributes:
        senders: place of the guide in `guides`, -1 for nobody.
        left_alone: reason of those who may never get a message (0: they may).
        lost_at: when the last guide was lost.
        by_rule: (day) → who is under a do-not-contact rule on that day; None: there are no such rules.
        touched: touches of other campaigns by person and day, from `first_day` on; own_kind: those of SOPs among them.
        touch_times: moments of these touches, for the gap.
        room: what of them could give way to this SOP; None: nothing.
    """

    ids: Rows
    senders: Rows
    left_alone: Rows
    lost_at: Seconds
    first_day: int
    touched: np.ndarray[Any, np.dtype[np.uint8]]
    own_kind: np.ndarray[Any, np.dtype[np.uint8]]
    touch_times: Happenings
    by_rule: Callable[[int], np.ndarray[Any, np.dtype[np.bool_]]] | None = None
    room: Room | None = None


@dataclass
class Totals:
    """What came of it; sums of walks."""

    flows: Counter[tuple[str, str]] = field(default_factory=Counter)  # (node, way)
    sent: Counter[tuple[str, int]] = field(default_factory=Counter)  # (node, day)
    held: Counter[tuple[str, int, int]] = field(default_factory=Counter)  # (node, reason, day)
    tasks: Counter[tuple[str, int]] = field(default_factory=Counter)  # (node, day)
    guides: Counter[tuple[int, int, str]] = field(default_factory=Counter)  # (guide, day, node): people
    ends: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)  # node: messages of lower campaigns that give way
    is_cut: bool = False

    def add(self, other: Totals) -> None:
        for name in ("flows", "sent", "held", "tasks", "guides", "ends", "taken"):
            getattr(self, name).update(getattr(other, name))
        self.is_cut = self.is_cut or other.is_cut


@dataclass
class Walk:
    """Some people on their way; one run for each person at a time.

    Attributes:
        until: where the clock stops.
        happenings: by (event, filters as JSON): what was waited for.
        holds: (condition) → who fulfils it, by person.
        share: (node, people) → the share of each.
        trace: filled with (moment, node, way, reason) where one person is watched.
    """

    graph: Graph
    cast: Cast
    rules: Rules
    until: int
    happenings: Callable[[dict[str, Any]], Happenings]
    holds: Callable[[Any], np.ndarray[Any, np.dtype[np.bool_]]]
    share: Callable[[Node, Rows], list[str]]
    totals: Totals = field(default_factory=Totals)
    trace: list[tuple[int, str, str, int]] | None = None

    def __post_init__(self) -> None:
        self.zone = self.rules.zone
        self.nodes: dict[str, Node] = {node["id"]: node for node in self.graph["nodes"]}
        self.ways = {(edge["from"], edge["out"]): edge["to"] for edge in self.graph["edges"]}
        self.place = {node_id: n for n, node_id in enumerate(order(self.graph))}
        self.settings = self.graph["settings"]
        self.last_touch = np.full(len(self.cast.ids), -NEVER, dtype=np.int64)

    def run(self, people: Rows, entries: list[str], joined: Seconds) -> Seconds:
        """One run of some people, each once: person, entry, moment. Gives when each has left (NEVER: still in it)."""
        self.people, self.joined = people, joined
        self.time = joined.copy()
        self.left = np.full(len(people), NEVER, dtype=np.int64)
        self.out_at, self.out_kind = self._goals()
        # messages that quiet hours hold longer than their person may stay: row → (the last touch before, their nodes and days)
        self.held: dict[int, tuple[int, list[tuple[str, int]]]] = {}
        self.queue: dict[str, list[Rows]] = defaultdict(list)
        entry_of = np.array(entries)
        for node_id in sorted(set(entries)):
            rows = np.flatnonzero(entry_of == node_id)
            self.totals.flows[node_id, "in"] += len(rows)
            self.queue[node_id].append(rows)
        for _pass in range(MAX_PASSES):
            if not self.queue:
                return self.left
            node_id = min(self.queue, key=lambda key: self.place[key])
            rows = np.concatenate(self.queue.pop(node_id))
            self._at_node(self.nodes[node_id], rows)
        self.totals.is_cut = True
        return self.left

    def _goals(self) -> tuple[Seconds, np.ndarray[Any, Any]]:
        """When a goal or exit takes each person out, and which of both."""
        at = np.full(len(self.people), NEVER, dtype=np.int64)
        kind = np.full(len(self.people), "", dtype=object)
        for name, end in (("goals", "goal"), ("exits", "exit")):
            for row in self.settings.get(name) or []:
                if row.get("event"):
                    found = self.happenings(row).first_from(self.people, self.joined + 1)
                else:
                    found = np.where(self.holds(row["condition"])[self.people], self.joined, NEVER)
                sooner = found < at
                at[sooner], kind[sooner] = found[sooner], end
        return at, kind

    def _at_node(self, node: Node, rows: Rows) -> None:
        gone = self.out_at[rows] <= self.time[rows]
        if gone.any():
            self._leave(node, rows[gone])
            rows = rows[~gone]
        if len(rows) and self.settings.get("hours") and node["kind"] in HELD_BY_HOURS:
            opens = times.open_at(self.settings, self.time[rows], self.zone)
            rows = self._until(node, rows, opens)
        if len(rows):
            HANDLERS.get(node["kind"], Walk._pass)(self, node, rows)

    def _until(self, node: Node, rows: Rows, moments: Seconds) -> Rows:
        """Wait at a node; gives those who are there when the time has come, the others have left or the clock stops."""
        sooner = (self.out_at[rows] <= moments) & (self.out_at[rows] <= self.until)
        self._leave(node, rows[sooner])
        going = ~sooner & (moments <= self.until)
        self.time[rows[going]] = moments[going]
        return rows[going]

    def _leave(self, node: Node, rows: Rows) -> None:
        """By a goal or an exit."""
        self.left[rows] = np.maximum(self.out_at[rows], self.time[rows])
        if self.held:
            for row in self.held.keys() & set(rows.tolist()):
                self._take_back(row)
        for kind, n in Counter(self.out_kind[rows].tolist()).items():
            self.totals.flows[node["id"], kind] += n
            self.totals.ends[kind] += n
        self._note(node, rows, "goal")

    def _take_back(self, row: int) -> None:
        """Quiet hours hold messages while somebody leaves, or reaches a goal after the end: they do not go out (leftovers.py)."""
        person = self.people[row]
        self.last_touch[person], messages = self.held.pop(row)
        for node_id, day in messages:
            key = int(self.cast.senders[person]), day, node_id
            self.totals.sent[node_id, day] -= 1
            self.totals.held[node_id, int(Reason.LEFT_SOP), day] += 1
            self.totals.guides[key] -= 1
            if not self.totals.guides[key]:
                del self.totals.guides[key]
            self.cast.touched[person, day - self.cast.first_day] -= 1
            self.cast.own_kind[person, day - self.cast.first_day] -= 1
            if self.trace is not None:
                self.trace = [
                    (*one[:3], int(Reason.LEFT_SOP)) if one[1:] == (node_id, "", 0) else one
                    for one in self.trace
                ]

    def _send_on(self, node: Node, out: str, rows: Rows) -> None:
        if not len(rows):
            return
        to = self.ways[node["id"], out]
        self.totals.flows[node["id"], out] += len(rows)
        self.totals.flows[to, "in"] += len(rows)
        self._note(node, rows, out)
        self.queue[to].append(rows)

    def _note(self, node: Node, rows: Rows, out: str, reason: int = 0) -> None:
        if self.trace is not None:
            self.trace += [(int(self.time[row]), node["id"], out, reason) for row in rows]

    # ---- nodes

    def _pass(self, node: Node, rows: Rows) -> None:
        self._send_on(node, "next", rows)

    def _end(self, node: Node, rows: Rows) -> None:
        self.left[rows] = self.time[rows]
        for row in (
            self.held.keys() & set(rows.tolist()) if self.held else ()
        ):  # it happens before they go out
            self._take_back(row)
        self.totals.flows[node["id"], "done"] += len(rows)
        self.totals.ends["done"] += len(rows)
        self._note(node, rows, "done")

    def _wait(self, node: Node, rows: Rows) -> None:
        ends = times.wait_end(node, self.time[rows], self.joined[rows], self.zone)
        if node["mode"] != "event":
            self._send_on(node, "next", self._until(node, rows, ends))
            return
        happens = self.happenings(node).first_from(self.people[rows], self.time[rows] + 1)
        woken = happens <= ends
        self._send_on(node, "next", self._until(node, rows[woken], happens[woken]))
        self._send_on(node, "timeout", self._until(node, rows[~woken], ends[~woken]))

    def _branch(self, node: Node, rows: Rows) -> None:
        if node["mode"] == "cases":
            cases, rest = [(case["key"], case["condition"]) for case in node["cases"]], "else"
        else:
            cases, rest = [("yes", node["condition"])], "no"
        for key, condition in cases:
            found = self.holds(condition)[self.people[rows]]
            self._send_on(node, key, rows[found])
            rows = rows[~found]
        self._send_on(node, rest, rows)

    def _split(self, node: Node, rows: Rows) -> None:
        keys = np.array(self.share(node, self.people[rows]))
        for share in node["shares"]:
            self._send_on(node, share["key"], rows[keys == share["key"]])

    def _task(self, node: Node, rows: Rows) -> None:
        alone = np.isin(self.cast.left_alone[self.people[rows]], NO_TASKS)
        guides = np.where(alone, -1, self.cast.senders[self.people[rows]])
        days = self._days(self.time[rows])
        for guide, day in zip(guides.tolist(), days.tolist(), strict=True):
            if guide >= 0:
                self.totals.tasks[node["id"], day] += 1
                self.totals.guides[guide, day, node["id"]] += 1
        self._send_on(node, "next", rows)

    def _touch(self, node: Node, rows: Rows) -> None:
        people = self.people[rows]
        at = self._released(self.time[rows])
        days = self._days(at)
        reasons = self._reasons(people, at, days)
        if self.cast.room is not None:
            self._make_room(node, self.cast.room, rows, at, reasons)
        sent = reasons == 0
        for n in np.flatnonzero(sent & (self.out_at[rows] <= at)).tolist():
            kept = int(self.last_touch[people[n]]), list[tuple[str, int]]()
            self.held.setdefault(int(rows[n]), kept)[1].append((node["id"], int(days[n])))
        np.add.at(self.cast.touched, (people[sent], days[sent] - self.cast.first_day), 1)
        np.add.at(self.cast.own_kind, (people[sent], days[sent] - self.cast.first_day), 1)
        self.last_touch[people[sent]] = at[sent]
        node_id = node["id"]
        for (_same, day), n in _counted(np.zeros_like(days[sent]), days[sent]):
            self.totals.sent[node_id, day] += n
        for (reason, day), n in _counted(reasons[~sent], days[~sent]):
            self.totals.held[node_id, reason, day] += n
        for (guide, day), n in _counted(self.cast.senders[people[sent]], days[sent]):
            self.totals.guides[guide, day, node_id] += n
        if self.trace is not None:
            for row, reason in zip(rows, reasons, strict=True):
                self._note(node, np.array([row]), "", int(reason))
        lost = (reasons == int(Reason.NOT_FOLLOWED)) & (self.cast.lost_at[people] <= at)
        if lost.any():
            self.left[rows[lost]] = self.time[rows[lost]]
            self.totals.flows[node_id, "lost"] += int(lost.sum())
            self.totals.ends["lost"] += int(lost.sum())
        self._send_on(node, "next", rows[~lost])

    def _make_room(self, node: Node, room: Room, rows: Rows, at: Seconds, reasons: Rows) -> None:
        """Whom only numbers keep from a message gets it where planned messages of lower campaigns give way."""
        taken = []
        concerned = np.isin(self.people[rows], list(room.giving))  # of the others nothing could give way
        for n in np.flatnonzero(concerned & np.isin(reasons, BY_NUMBER)).tolist():
            person, now = int(self.people[rows[n]]), moment(int(self.time[rows[n]]))
            if given := room.take(person, now, moment(int(at[n]))):
                taken += given
                reasons[n] = 0
        for n in np.flatnonzero(concerned & (reasons == 0)).tolist():
            room.note(int(self.people[rows[n]]), moment(int(at[n])))
        if not taken:
            return
        self.totals.taken[node["id"]] += len(taken)
        people = np.array([touch.position for touch in taken], dtype=np.int64)
        moments = np.array([int(touch.at.timestamp()) for touch in taken], dtype=np.int64)
        places = self._days(moments) - self.cast.first_day
        np.subtract.at(self.cast.touched, (people, places), 1)
        of_sops = np.array([touch.kind == Touch.Kind.SOP for touch in taken])
        np.subtract.at(self.cast.own_kind, (people[of_sops], places[of_sops]), 1)
        self.cast.touch_times.forget(people, moments)

    # ---- governance

    def _days(self, at: Seconds) -> Rows:
        return times.to_local(at, self.zone) // DAY + EPOCH

    def _released(self, at: Seconds) -> Seconds:
        """Quiet hours hold until their end."""
        if self.rules.quiet is None:
            return at
        start, end = (t.hour * 3600 + t.minute * 60 for t in self.rules.quiet)
        rest = times.to_local(at, self.zone) % DAY
        quiet = (start <= rest) & (rest < end) if start < end else (rest >= start) | (rest < end)
        return np.where(quiet, times.next_time(at, end, (), self.zone), at)

    def _reasons(self, people: Rows, at: Seconds, days: Rows) -> Rows:
        """Why each may not get a message at that moment; 0: they may. The order is that of the gate."""
        reasons = np.zeros(len(people), dtype=np.int64)

        def refuse(which: Any, reason: Reason) -> None:
            reasons[which & (reasons == 0)] = int(reason)

        refuse((self.cast.senders[people] < 0) | (self.cast.lost_at[people] <= at), Reason.NOT_FOLLOWED)
        alone = self.cast.left_alone[people]
        reasons = np.where((reasons == 0) & (alone > 0), alone, reasons)
        for day in np.unique(days).tolist():
            rows = np.flatnonzero((days == day) & (reasons == 0))
            if self.cast.by_rule is not None and len(rows):
                ruled = self.cast.by_rule(day)[people[rows]]
                reasons[rows[ruled]] = int(Reason.NO_CONTACT_RULE)
                rows = rows[~ruled]
            if len(rows):
                reasons[rows] = self._by_number(people[rows], at[rows], day)
        return reasons

    def _by_number(self, people: Rows, at: Seconds, day: int) -> Rows:
        reasons = np.zeros(len(people), dtype=np.int64)
        place, kind = day - self.cast.first_day, int(Touch.Kind.SOP)
        for cap in self.rules.caps:
            if cap.kind not in (0, kind):
                continue
            counts = self.cast.touched if cap.kind == 0 else self.cast.own_kind
            near = counts[people, place - cap.days + 1 : place + cap.days].astype(np.int64)
            sums = np.cumsum(np.pad(near, ((0, 0), (1, 0))), axis=1)
            most = (sums[:, cap.days :] - sums[:, : -cap.days]).max(axis=1)
            reasons[most >= cap.n] = int(Reason.CAPPED)
        if self.rules.gap:
            gap = int(self.rules.gap.total_seconds())
            soon = at - self.last_touch[people] < gap
            soon |= self.cast.touch_times.first_from(people, at - gap + 1) < at + gap
            reasons[soon & (reasons == 0)] = int(Reason.TOO_SOON)
        # WeCom's days; in a brand of another zone its own days stand for them
        theirs = times.to_local(at, governance.WECOM_ZONE) // DAY + EPOCH
        for of_wecom in np.unique(theirs).tolist():
            on = date.fromordinal(of_wecom)
            first, last, allowed = governance.allowance_period(on, self.rules.allowance)
            begin, end = max(first - self.cast.first_day, 0), last - self.cast.first_day + 1
            used = self.cast.touched[people, begin:end].sum(axis=1, dtype=np.int64)
            full = (used >= allowed) & (theirs == of_wecom)
            reasons[full & (reasons == 0)] = int(Reason.ALLOWANCE)
        return reasons


def _counted(first: Rows, second: Rows) -> list[tuple[tuple[int, int], int]]:
    """How often each pair occurs."""
    if not len(first):
        return []
    pairs, counts = np.unique(np.stack([first, second]), axis=1, return_counts=True)
    return [((a, b), n) for (a, b), n in zip(pairs.T.tolist(), counts.tolist(), strict=True)]


# what is not here lets people pass: what it does concerns nobody's way
HANDLERS: dict[str, Callable[[Walk, Node, Rows], None]] = {
    "wait": Walk._wait,
    "branch": Walk._branch,
    "split": Walk._split,
    "touch": Walk._touch,
    "group": Walk._touch,
    "task": Walk._task,
    "end": Walk._end,
}
