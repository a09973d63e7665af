"""Graphs ready to use: publishable once what is left open has been chosen (a segment, a date). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext_lazy as _

from campaigns.graph.shape import Graph, outs_of, tidy

STEP, ASIDE = 130, 300


@dataclass(frozen=True)
class Template:
    """One graph to begin with.

    Attributes:
        line: nodes one below the other, each leading to the next; an end follows.
        aside: nodes beside the line: (node, the way that leads to it, where it leads); a way is (node, out).
        ways: ways that do not go down the line: (node, out) → node.
    """

    key: str
    name: Any
    note: Any
    line: tuple[dict[str, Any], ...]
    aside: tuple[dict[str, Any], ...] = ()
    ways: Mapping[tuple[str, str], str] | None = None
    settings: Mapping[str, Any] | None = None

    def graph(self) -> Graph:
        """A graph of its own, with words in the language of now."""
        line = [*self.line, {"id": "end", "kind": "end"}]
        nodes = [_spoken(node) | {"x": 80, "y": 60 + STEP * n} for n, node in enumerate(line)]
        place = {node["id"]: node["y"] for node in nodes}
        ways = dict(self.ways or {})
        aside = []
        for node in self.aside:
            before = [start for (start, _out), to in ways.items() if to == node["id"]]
            y = place.get(before[0], 60) if before else 60
            place[node["id"]] = y + STEP
            aside.append(_spoken(node) | {"x": 80 + ASIDE, "y": y + STEP})
        edges: dict[tuple[str, str], str] = {}
        for one, two in pairwise(nodes):
            edges |= {(one["id"], out): two["id"] for out in outs_of(one)}
        for node in aside:
            edges |= {(node["id"], out): "end" for out in outs_of(node)}
        edges |= ways
        if "end" not in edges.values():  # it goes round
            nodes.pop()
        return tidy(
            {
                "nodes": nodes + aside,
                "edges": [{"from": start, "out": out, "to": to} for (start, out), to in edges.items()],
                "settings": dict(self.settings or {}),
            }
        )


def _spoken(node: dict[str, Any]) -> dict[str, Any]:
    words = ("title", "text", "subject", "note")
    return {key: str(value) if key in words else value for key, value in node.items()}


def _day(node_id: str, day: int, time: str = "10:00") -> dict[str, Any]:
    return {"id": node_id, "kind": "wait", "mode": "day", "day": day, "time": time}


def _for(node_id: str, n: int, then: str = "10:00") -> dict[str, Any]:
    return {"id": node_id, "kind": "wait", "mode": "for", "n": n, "unit": "days", "then": then}


def _until(node_id: str, event: str, n: int) -> dict[str, Any]:
    return {"id": node_id, "kind": "wait", "mode": "event", "event": event, "n": n, "unit": "days"}


def _say(node_id: str, title: Any, text: Any) -> dict[str, Any]:
    return {"id": node_id, "kind": "touch", "title": title, "text": text}


def _task(node_id: str, kind: str, subject: Any, note: Any, hours: int = 48) -> dict[str, Any]:
    return {
        "id": node_id, "kind": "task", "task_kind": kind, "subject": subject, "note": note, "due_hours": hours,
    }  # fmt: skip


def _entry(by: str, **over: Any) -> dict[str, Any]:
    return {"id": "in", "kind": "entry", "by": by, **over}


_PAID = {"event": "order_paid"}
_NEVER_BOUGHT = {"kind": "last_order", "window": {"type": "never"}}
_ONE_ORDER = {"kind": "number", "measure": "n_orders", "compare": {"op": "eq", "value": 1}}

NEW_FRIEND = Template(
    "new_friend",
    _("30 days for a new friend"),
    _("From the first day to the first order: who is who, what helps, a call to those who have not bought"),
    (
        _entry("event", event="added"),
        _day("d1", 1),
        _say("t1", _("Day 1: welcome"), _("I am {员工姓名} of {品牌}. Ask me anything about our products; I answer myself.")),
        _day("d3", 3),
        _say("t3", _("Day 3: how to use"), _("Here is what most people ask in the first days, and how to get the best of it.")),
        _day("d7", 7),
        _say("t7", _("Day 7: for new friends"), _("For new friends there is something extra this week. Shall I send it to you?")),
        _day("d14", 14),
        {"id": "bought", "kind": "branch", "mode": "yes_no", "condition": _NEVER_BOUGHT},
        _task("call", "call", _("Ask what holds them back"),
              _("Two weeks with us and no order yet: ask what they are looking for.")),
        _day("d21", 21),
        _say("t21", _("Day 21: what others say"), _("What customers like you chose, and what they say about it.")),
        _day("d30", 30),
        _say("t30", _("Day 30: one month"), _("A month with us already. What should I send you in future, and what not?")),
    ),
    ways={("bought", "no"): "d21"},
    settings={"goals": [_PAID], "reentry": "never"},
)  # fmt: skip
SECOND = Template(
    "second_purchase",
    _("Second purchase"),
    _("After the first order: care, then a reason to come back; leaves with the second order"),
    (
        _entry("event", event="order_paid", condition=_ONE_ORDER),
        _for("w1", 3),
        _say(
            "care", _("After delivery"), _("Has everything arrived well? Tell me if anything is not right.")
        ),
        _for("w2", 11),
        _say("tips", _("Use it well"), _("Two weeks in: a few things that make a difference.")),
        _for("w3", 16),
        _say(
            "again",
            _("Come back"),
            _("It is about time for the next one. What goes well with what you have?"),
        ),
        _for("w4", 15),
        _task(
            "call", "call", _("Win the second order"), _("45 days after the first order and no second one.")
        ),
    ),
    settings={"goals": [_PAID], "reentry": "never"},
)
SIX = Template(
    "six_a_year",
    _("6 contacts a year"),
    _("Every second month a reason to be in touch, for everybody of a segment; starts anew after a year"),
    (
        _entry("segment", present=True),
        *(
            node
            for n in range(1, 7)
            for node in (
                _say(f"t{n}", _("Contact"), _("What is new at {品牌} these weeks, and what I would choose.")),
                _for(f"w{n}", 60),
            )
        ),
    ),
    ways={("w6", "next"): "t1"},
    settings={"reentry": "after", "reentry_days": 1},
)
LAUNCH = Template(
    "launch",
    _("Launch of a new product"),
    _("Teaser, launch day, a last word to those who looked but did not buy"),
    (
        _entry("segment", present=True),
        _say("tease", _("Teaser"), _("Something new is coming. You hear of it first.")),
        {"id": "day", "kind": "wait", "mode": "date", "time": "10:00", "title": _("Launch day")},
        _say("launch", _("It is here"), _("It is here. Shall I put one aside for you?")),
        _until("seen", "viewed", 3),
        _for("w", 2),
        _say(
            "last", _("A last word"), _("You have had a look. What would you like to know before you decide?")
        ),
    ),
    ways={("seen", "timeout"): "end"},
    settings={"goals": [_PAID], "reentry": "never"},
)
DROWSY = Template(
    "drowsy",
    _("Win back the dormant"),
    _("Dormant customers are asked how things are; who shows interest gets a call, the others an offer"),
    (
        _entry("segment"),
        _say("ask", _("How are things?"),
             _("We have not heard from each other for a while. How are things with what you bought?")),
        _until("opened", "content_opened", 5),
        _task("call", "call", _("Interest after a long time"), _("Has opened the message: call while it is fresh."), 24),
    ),
    aside=(
        _say("offer", _("An offer"), _("For those whom we miss there is something extra until the end of the month.")),
        _for("w", 14),
        _task("visit", "message", _("A personal word"), _("Neither opened nor bought: write a few words of your own.")),
    ),
    ways={("opened", "timeout"): "offer", ("offer", "next"): "w", ("w", "next"): "visit"},
    settings={"goals": [_PAID], "reentry": "after", "reentry_days": 180},
)  # fmt: skip
BIRTHDAY = Template(
    "birthday",
    _("Birthday"),
    _("Three days before a task for the guide, on the day a greeting; every year"),
    (
        _entry("date", yearly=True, offset_days=-3, time="09:30"),
        _task("prepare", "thank", _("Birthday in three days"),
              _("Prepare something personal: a card, a small gift, a call."), 72),
        _for("w", 3, "09:30"),
        _say("greet", _("Greeting"), _("Happy birthday! A present of the house waits for you this month.")),
    ),
    settings={"reentry": "always"},
)  # fmt: skip
USED_UP = Template(
    "usage_end",
    _("End of a product's usage"),
    _("A week before a product is used up: a reminder; who does not order gets a call"),
    (
        _entry("date", date_field="usage_end", yearly=False, offset_days=-7, time="10:00"),
        _say("remind", _("Running low"), _("It should last for about a week more. Shall I send the next one in time?")),
        _until("paid", "order_paid", 8),
        {"id": "done", "kind": "end", "title": _("Ordered again")},
    ),
    aside=(
        _task("call", "call", _("Used up, not ordered again"), _("The product is used up: ask how it was and what comes next.")),
    ),
    ways={("paid", "timeout"): "call"},
    settings={"reentry": "always"},
)  # fmt: skip

TEMPLATES: dict[str, Template] = {
    template.key: template for template in (NEW_FRIEND, SECOND, SIX, LAUNCH, DROWSY, BIRTHDAY, USED_UP)
}
