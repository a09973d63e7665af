"""Graphs without a database: what is refused and where, words, differences, when waits end."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns import graph as graphs
from campaigns.graph import times, words
from campaigns.services.sops.schedule import run_at
from scrm.errors import InvalidError
from tests.campaigns.graphs import entry, line, rewired, touch, wait

ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]


def where(graph: Any) -> set[tuple[str, str]]:
    return {(p["node"], p["field"]) for p in graphs.validate(graph)}


def test_a_good_graph_has_no_problems() -> None:
    assert graphs.validate(line(entry(), wait(n=1), touch("你好"))) == []


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {"nodes": {}},
        {"nodes": [{"id": "a b", "kind": "end"}]},
        {"nodes": [{"id": "a", "kind": "rocket"}]},
        {"nodes": [{"id": "a", "kind": "end"}, {"id": "a", "kind": "end"}]},
        {"nodes": [{"id": f"n{i}", "kind": "end"} for i in range(201)]},
        {"nodes": [], "edges": [3]},
        {"nodes": [], "settings": []},
        {"nodes": [{"id": "a", "kind": "touch", "text": float("nan")}]},
    ],
)
def test_what_is_no_graph_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidError):
        graphs.tidy(raw)


def test_an_unfinished_draft_is_kept_and_clean() -> None:
    graph = graphs.tidy(
        {
            "nodes": [{"id": "a", "kind": "wait", "x": "far", "title": "a\x00b", "rubbish": 1}],
            "edges": [{"from": "a", "out": "next", "to": "gone"}],
        }
    )
    [node] = graph["nodes"]
    assert (node["x"], node["title"], node["mode"], node["n"]) == (0, "ab", "for", 1)
    assert "rubbish" not in node and graph["edges"] == []
    assert graph["settings"]["reentry"] == "never"
    assert where(graph) == {("a", ""), ("", "")}


@pytest.mark.parametrize(
    "node, field",
    [
        (wait(n=0), "n"),
        (wait(n="x"), "n"),
        (wait(unit="weeks"), "unit"),
        (wait("time", time="25:00"), "time"),
        (wait("time", weekdays=[8]), "weekdays"),
        (wait("date", date="soon"), "date"),
        (wait("date"), "date"),
        (wait("event"), "event"),
        (touch("  "), "text"),
        ({"kind": "tag"}, "add_tag_ids"),
        ({"kind": "tag", "add_tag_ids": [1], "remove_tag_ids": [1]}, "remove_tag_ids"),
        ({"kind": "task", "subject": ""}, "subject"),
        ({"kind": "task", "subject": "x" * 81}, "subject"),
        ({"kind": "task", "subject": "x", "due_hours": 0}, "due_hours"),
        ({"kind": "hook"}, "url"),
        ({"kind": "field"}, "field"),
        (entry("event"), "event"),
        (entry("date", date_field="added", offset_days=500), "offset_days"),
    ],
)
def test_a_wrong_value_is_told_at_its_field(node: dict[str, Any], field: str) -> None:
    nodes = [node, touch("a")] if node["kind"] == "entry" else [entry(), node]
    name = "n1" if node["kind"] == "entry" else "n2"
    assert where(line(*nodes)) & {(name, field)}


@pytest.mark.parametrize(
    "shares", [[], [{"key": "a", "percent": 100}], [("a", 50), ("b", 40)], [("a", 50), ("a", 50)]]
)
def test_shares_make_a_hundred(shares: Any) -> None:
    rows = [s if isinstance(s, dict) else {"key": s[0], "percent": s[1]} for s in shares]
    assert ("n2", "shares") in where(line(entry(), {"kind": "split", "shares": rows}))


def test_ways() -> None:
    graph = line(entry(), wait(), touch("a"))
    nothing = graphs.tidy({**graph, "edges": graph["edges"][:1]})
    assert where(nothing) == {("n2", ""), ("n3", ""), ("n4", "")}
    assert ("n1", "") in where(rewired(graph, ("n3", "next", "n1")))
    assert where(graphs.tidy({"nodes": []})) >= {("", "")}
    branch = line(entry(), {"kind": "branch", "condition": {"x": 1}}, touch("a"))
    only_yes = graphs.tidy({**branch, "edges": [e for e in branch["edges"] if e["out"] != "no"]})
    [problem] = graphs.validate(only_yes)
    assert (problem["node"], problem["message"]) == ("n2", "“否”出口没有连到下一步")


def test_a_loop_needs_a_wait() -> None:
    graph = line(entry(), touch("a"), {"kind": "branch", "condition": {"x": 1}})
    assert any("等待" in p["message"] for p in graphs.validate(rewired(graph, ("n3", "no", "n2"))))
    with_wait = rewired(graph, ("n3", "no", "w"), ("w", "next", "n2"), more=({"id": "w", **wait(n=7)},))
    assert graphs.validate(with_wait) == []
    # a date may be over: no wait
    once = rewired(
        graph, ("n3", "no", "w"), ("w", "next", "n2"), more=({"id": "w", **wait("date", date="2026-01-01")},)
    )
    assert len(graphs.validate(once)) == 1


def test_what_nobody_can_reach_is_told_where_it_begins() -> None:
    """Not at each node behind it: one way mends them all. Of a circle one node stands for it."""
    rest = [
        {"id": "a", "kind": "wait", "mode": "for", "n": 1},
        {"id": "b", "kind": "touch", "text": "谁也收不到"},
        {"id": "c", "kind": "wait", "mode": "for", "n": 1},
        {"id": "d", "kind": "wait", "mode": "for", "n": 1},
    ]
    ways = (("a", "next", "b"), ("b", "next", "n3"), ("c", "next", "d"), ("d", "next", "c"))
    graph = rewired(line(entry(), touch("你好")), *ways, more=tuple(rest))
    told = [row["node"] for row in graphs.validate(graph) if row["message"] == "没有路通到这里"]
    assert told == ["a", "c"]


def test_what_is_not_set_yet_reads_so() -> None:
    nodes = [{"kind": kind} for kind in ("touch", "moments", "task", "group", "field", "hook")]
    said = words.summary(graphs.tidy(line(entry(), *nodes)))
    assert [("None" in row, "尚未设置" in row) for row in said[1:-1]] == [(False, True)] * 6, said


def test_a_change_within_a_list_is_seen() -> None:
    def of(amount: int, percent: int, title: str) -> Any:
        goal = {"event": "order_paid", "filters": {"amount_from_fen": amount}}
        shares = [{"key": "a", "percent": percent}, {"key": "b", "percent": 100 - percent}]
        link = {"type": "link", "title": title, "url": "https://example.com"}
        return line(
            entry(), touch("看看", attachments=[link]), {"kind": "split", "shares": shares}, goals=[goal]
        )

    def say(kind: str, value: Any) -> str:
        return str(value)

    rows = words.differences(of(100, 50, "夏装"), of(200, 60, "秋装"), say)
    told = " ".join(row["text"] for row in rows)
    assert len(rows) == 3
    assert all(part in told for part in ("夏装", "秋装", "a 50%", "a 60%", "100", "200")), told


def test_words_and_differences() -> None:
    old = line(entry(), wait(n=3, then="10:00"), touch("你好"), title="")
    new = rewired(
        old, ("n3", "next", "t"), ("t", "next", "n4"), more=({"id": "t", "kind": "tag", "add_tag_ids": [7]},)
    )
    new["nodes"][1]["n"] = 5
    new["settings"]["reentry"] = "always"
    assert words.summary(old)[1] == "等待 3 天，再到 10:00"
    rows = words.differences(old, new)
    assert [(r["what"], r["node"]) for r in rows] == [
        ("added", "t"), ("changed", "n2"), ("way", "n3"), ("settings", ""),
    ]  # fmt: skip
    assert words.differences(old, old) == []
    moved = graphs.tidy({**old, "nodes": [{**n, "x": 9} for n in old["nodes"]]})
    assert words.differences(old, moved) == []


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


@pytest.mark.parametrize(
    "node, base, end",
    [
        (wait(n=2, unit="hours"), "2026-05-01 09:30", "2026-05-01 11:30"),
        (wait(n=3, unit="days"), "2026-05-01 09:30", "2026-05-04 09:30"),
        (wait(n=3, unit="days", then="10:00"), "2026-05-01 09:30", "2026-05-04 10:00"),
        (wait(n=3, unit="days", then="09:00"), "2026-05-01 09:30", "2026-05-05 09:00"),
        (wait(n=3, unit="days", then="09:30"), "2026-05-01 09:30", "2026-05-04 09:30"),
        (wait("time", time="10:00"), "2026-05-01 09:30", "2026-05-01 10:00"),
        (wait("time", time="10:00"), "2026-05-01 10:00", "2026-05-02 10:00"),
        (wait("time", time="10:00", weekdays=[1]), "2026-05-01 09:30", "2026-05-04 10:00"),  # a Friday
        (wait("day", day=2, time="08:00"), "2026-05-01 09:30", "2026-05-03 08:00"),
        (wait("day", day=0, time="08:00"), "2026-05-01 09:30", "2026-05-01 09:30"),
        (wait("date", date="2026-06-18", time="20:00"), "2026-05-01 09:30", "2026-06-18 20:00"),
        (wait("date", date="2026-04-18", time="20:00"), "2026-05-01 09:30", "2026-05-01 09:30"),
        (wait("event", n=4, unit="days"), "2026-05-01 09:30", "2026-05-05 09:30"),
    ],
)
def test_when_a_wait_ends(node: dict[str, Any], base: str, end: str) -> None:
    [clean] = graphs.tidy({"nodes": [{"id": "a", **node}]})["nodes"]
    start = np.array([at(base)])
    assert times.wait_end(clean, start, start, "Asia/Shanghai")[0] == at(end)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(946_684_800, 2_524_608_000), st.integers(0, 40), st.integers(0, 1439),
    st.sampled_from(ZONES),
)  # fmt: skip
def test_days_are_those_of_the_schedule(joined: int, day: int, minutes: int, zone: str) -> None:
    """The numpy of many and the calendar of one agree, over changes of the clocks as well."""
    moment, base = datetime.fromtimestamp(joined, UTC), np.array([joined])
    on = moment.astimezone(ZoneInfo(zone)).date()
    wanted = run_at(on, day, minutes // 60, minutes % 60, zone)
    node = {"mode": "day", "day": day, "time": f"{minutes // 60:02}:{minutes % 60:02}"}
    found = times.wait_end(node, np.array([0]), base, zone)[0]
    assert times.moment(found) == max(wanted, datetime(1970, 1, 1, tzinfo=UTC))
    assert (
        times.to_local(base, zone)[0] - base[0]
        == moment.astimezone(ZoneInfo(zone)).utcoffset().total_seconds()
    )


@pytest.mark.parametrize(
    "hours, now, opens",
    [
        (("09:00", "21:00", []), "2026-05-01 08:00", "2026-05-01 09:00"),
        (("09:00", "21:00", []), "2026-05-01 20:59", "2026-05-01 20:59"),
        (("09:00", "21:00", []), "2026-05-01 21:00", "2026-05-02 09:00"),
        (("09:00", "21:00", [1, 2, 3, 4, 5]), "2026-05-01 21:30", "2026-05-04 09:00"),
        (("20:00", "02:00", []), "2026-05-02 01:00", "2026-05-02 01:00"),
        (("20:00", "02:00", [5]), "2026-05-02 01:00", "2026-05-02 01:00"),  # began on Friday
        (("20:00", "02:00", [5]), "2026-05-02 03:00", "2026-05-08 20:00"),
    ],
)
def test_business_hours(hours: Any, now: str, opens: str) -> None:
    settings = {"hours": True, "hours_from": hours[0], "hours_until": hours[1], "hours_days": hours[2]}
    assert times.open_at(settings, np.array([at(now)]), "Asia/Shanghai")[0] == at(opens)
    assert times.open_at({"hours": False}, np.array([at(now)]), "Asia/Shanghai")[0] == at(now)


def test_a_day_is_a_date_also_when_the_clocks_change() -> None:
    start = np.array([at("2026-03-28 12:00", "Europe/Berlin")])
    end = times.wait_end({"mode": "for", "n": 1, "unit": "days"}, start, start, "Europe/Berlin")[0]
    assert timedelta(seconds=int(end - start[0])) == timedelta(hours=23)
