"""What each kind of condition is in SQL (see tagging/services/segments/compile.py)."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.module_loading import import_string

from tagging.conditions import Condition, windows
from tagging.conditions.leaves import EVENTS, OBJECTS
from tagging.event_text import holds_sql
from tagging.models import Dim, Flag
from tagging.services.segments.compile import (
    Build,
    Plan,
    Rows,
    as_bits,
    conjunction,
    disjunction,
    is_one_of,
    negation,
    plan_of,
)

# kind → dotted path of `sql(build, leaf) -> str`, a query of (contact_id, at) without the window, of apps above this one
ABOVE = {"touch": "campaigns.services.ledger.audience.touches_sql"}

MAX_BITMAPS = 100  # more guides than this are looked up in their relations
MAX_OF = 10  # `at least n of k` by bitmaps up to this k

_OPS = {"eq": "=", "ne": "<>", "ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def compared(sql: str, compare: Mapping[str, Any], build: Build) -> str:
    """The test of a comparison."""
    if compare["op"] == "between":
        return f"{sql} BETWEEN {build.param(compare['value'])} AND {build.param(compare['to'])}"
    return f"{sql} {_OPS[compare['op']]} {build.param(compare['value'])}"


def within(column: str, window: windows.Window, build: Build) -> str:
    """The test of a column of moments."""
    if window["type"] == "never":
        return f"{column} IS NULL"
    start, end = windows.moments(window, build.now, build.zone)
    return _between(column, start, end, build)


def on(column: str, window: windows.Window, build: Build) -> str:
    """The test of a column of days."""
    if window["type"] in ("anniversary", "month"):
        days = windows.year_days(window, build.today)
        numbers = f"(extract(month FROM {column}) * 100 + extract(day FROM {column}))::int"
        return f"{numbers} = ANY({build.param(days)}::int[])"
    start, end = windows.days(window, build.today)
    return _between(column, start, end, build)


def _between(column: str, start: Any, end: Any, build: Build) -> str:
    tests = []
    if start is not None:
        tests.append(f"{column} >= {build.param(start)}")
    if end is not None:
        tests.append(f"{column} < {build.param(end)}")
    return " AND ".join(tests) or f"{column} IS NOT NULL"


def _zero_counts(compare: Mapping[str, Any]) -> bool:
    """Whether a count of nothing passes."""
    from tagging.conditions.evaluate import compared as passes

    return passes(0, compare)


def _counted(
    rows: str,
    having: str,
    compare: Mapping[str, Any],
    *,
    is_count: bool = True,
    some: str = "",
    fence: str = "",
) -> Plan:
    """Contacts by a number of their rows. Who has none at all passes when zero does: then those who do not pass are
    looked up, and everybody else is meant.

    Args:
        rows: query of contact_id and what `having` needs, a row for each thing counted.
        having: the test of a group of them, over `x`.
        some: a cheaper query of who has any.
        fence: `OFFSET 0` where an index in the order of contacts tempts Postgres to read all of them.
    """
    found = f"SELECT y.* FROM ({rows} {fence}) y" if fence else rows  # noqa: S608
    grouped, some = _grouped(found), some or f"SELECT x.contact_id FROM ({rows}) x"  # noqa: S608
    op, value = compare["op"], compare["value"]
    if is_count and (op, value) in _AT_ALL:
        return Plan(rows=(Rows(grouped, some=some),))
    if is_count and (op, value) in _NOT_AT_ALL:
        return Plan(rows=(Rows(grouped, negated=True, some=some),))
    if _zero_counts(compare):
        return Plan(rows=(Rows(f"{grouped} HAVING NOT ({having})", negated=True),))
    return Plan(rows=(Rows(f"{grouped} HAVING {having}"),))


def _grouped(rows: str) -> str:
    """One row for each contact. Sorted first: with almost as many contacts as rows Postgres's hash table is a cache miss
    for each, which costs twice the sort."""
    return f"SELECT x.contact_id FROM ({rows} ORDER BY contact_id OFFSET 0) x GROUP BY x.contact_id"  # noqa: S608


_AT_ALL = (("ge", 1), ("gt", 0))
_NOT_AT_ALL = (("eq", 0), ("lt", 1), ("le", 0))


def is_at_all(compare: Mapping[str, Any]) -> bool:
    """Whether a number of rows only matters as far as there are any."""
    return (compare["op"], compare["value"]) in _AT_ALL + _NOT_AT_ALL


# ---- bitmaps


def _flag(build: Build, flag: Flag, is_on: bool = True) -> Plan:
    column = build.stored_bits(Dim.FLAG, [flag])
    return Plan(bits=column) if is_on else Plan(bits=f"(~{column})", bounded=False)


def _flags(words: Mapping[str, Callable[[Build], Plan]]) -> Callable[[Condition, Build], Plan]:
    def leaf(condition: Condition, build: Build) -> Plan:
        if len(condition["values"]) == len(words):
            return _everybody(condition, build)
        return disjunction([words[value](build) for value in condition["values"]], build)

    return leaf


def _everybody(condition: Condition, build: Build) -> Plan:
    return Plan(bits=build.everybody)


def _none_of(*flags: Flag) -> Callable[[Build], Plan]:
    return lambda build: negation(disjunction([_flag(build, flag) for flag in flags], build), build)


def _set(dim: Dim) -> Callable[[Condition, Build], Plan]:
    def leaf(condition: Condition, build: Build) -> Plan:
        ids, mode = condition["ids"], condition["mode"]
        if mode in ("any", "none"):
            plan = _staff(ids, build) if dim == Dim.STAFF else Plan(bits=build.stored_bits(dim, ids))
            return negation(plan, build) if mode == "none" else plan
        if mode == "all":
            return conjunction([Plan(bits=build.stored_bits(dim, [n])) for n in ids])
        if len(ids) > MAX_OF:
            return Plan(rows=(Rows(_tags_rows(ids, condition["n"], build)),))
        return Plan(bits=_at_least(condition["n"], [build.stored_bits(dim, [n]) for n in ids]))

    return leaf


def _tags_rows(ids: list[int], n: int, build: Build) -> str:
    return (
        f"SELECT contact_id FROM tagging_contacttag WHERE brand_id = {build.brand} AND {is_one_of('tag_id', ids)}"  # noqa: S608
        f"{_among(build)} GROUP BY contact_id HAVING count(*) >= {n}"
    )


def _at_least(n: int, columns: list[str]) -> str:
    """At least n of some bitmaps: with the first one n - 1 of the others, or n of the others."""
    if n == 1:
        return f"({' | '.join(columns)})"
    if n == len(columns):
        return f"({' & '.join(columns)})"
    with_first = f"({columns[0]} & {_at_least(n - 1, columns[1:])})"
    return f"({with_first} | {_at_least(n, columns[1:])})"


def _among(build: Build, column: str = "contact_id") -> str:
    return "".join(f" AND {test}" for test in build.among(column))


def _staff(ids: list[int], build: Build) -> Plan:
    if len(ids) <= MAX_BITMAPS:
        return Plan(bits=build.stored_bits(Dim.STAFF, ids)) if ids else Plan(bits=_nobody(build))
    query = (
        f"SELECT DISTINCT contact_id FROM contacts_follow WHERE brand_id = {build.brand}"  # noqa: S608
        f" AND {is_one_of('staff_id', ids)} AND ended_at IS NULL AND NOT is_pending{_among(build)}"
    )
    return Plan(rows=(Rows(query),))


def _nobody(build: Build) -> str:
    return build.stored_bits(Dim.FLAG, [-1])


def _places(name: str) -> Callable[[Condition, Build], Plan]:
    def leaf(condition: Condition, build: Build) -> Plan:
        guides: dict[int, Any] = getattr(build, name)
        ids = sorted({guide for place in condition["ids"] for guide in guides[place]})
        plan = _staff(ids, build)
        return negation(plan, build) if condition["mode"] == "none" else plan

    return leaf


def _segment(condition: Condition, build: Build) -> Plan:
    plans = []
    for segment_id in condition["ids"]:
        found = build.segments[segment_id]
        plans.append(
            Plan(bits=build.stored_bits(Dim.SEGMENT, [found]))
            if isinstance(found, int)
            else plan_of(found, build)
        )
    if condition["mode"] == "all":
        return conjunction(plans)
    plan = disjunction(plans, build)
    return negation(plan, build) if condition["mode"] == "none" else plan


# ---- rows


def _stat_moment(column: str) -> Callable[[Condition, Build], Plan]:
    return lambda condition, build: Plan(stat=within(f"s.{column}", condition["window"], build))


def _number(condition: Condition, build: Build) -> Plan:
    if condition["measure"] == "avg_fen":
        return _average(condition["compare"], build)
    if condition["measure"] == "n_orders":
        return _n_orders(condition["compare"], build)
    return Plan(stat=compared(f"s.{condition['measure']}", condition["compare"], build))


def _n_orders(compare: Mapping[str, Any], build: Build) -> Plan:
    """By the number of orders. Who must have one has a last one: buyers have an index that holds the number, so nobody
    else's row is read, wherever the rows lie."""
    test = compared("s.n_orders", compare, build)
    return Plan(stat=test if _zero_counts(compare) else f"{test} AND s.last_order_at IS NOT NULL")


def _average(compare: Mapping[str, Any], build: Build) -> Plan:
    return Plan(stat=compared("s.spent_fen::float8 / nullif(s.n_orders, 0)", compare, build))


def _in_column(column: str) -> Callable[[Condition, Build], Plan]:
    return lambda condition, build: Plan(stat=is_one_of(f"s.{column}", condition["ids"]))


_HAVING = {
    "count": "count(*)",
    "sum": "sum(x.amount)::bigint",
    "quantity": "sum(x.quantity)::bigint",
    "avg": "sum(x.amount)::float8 / count(*)",
    "max": "max(x.amount)",
}


def _orders(condition: Condition, build: Build) -> Plan:
    measure, compare, b = condition["measure"], condition["compare"], build.brand
    products, sold = _products(condition, build), _sold(condition, build)
    if (
        not products
        and not sold
        and condition["window"]["type"] == "ever"
        and measure in ("count", "sum", "avg")
    ):
        if measure == "avg":
            return _average(compare, build)
        if measure == "count":
            return _n_orders(compare, build)
        return Plan(stat=compared("s.spent_fen", compare, build))
    where = f"o.brand_id = {b} AND o.is_sale AND o.contact_id IS NOT NULL AND {within('o.paid_at', condition['window'], build)}"
    where += sold + _among(build, "o.contact_id")
    if products:
        orders = (
            "SELECT o.contact_id, sum(l.amount_fen) AS amount, sum(l.quantity) AS quantity FROM commerce_order o"  # noqa: S608
            f" JOIN commerce_orderline l ON l.brand_id = {b} AND l.order_id = o.id"
            f" WHERE {where} AND {products} GROUP BY o.contact_id, o.id"
        )
    else:
        orders = f"SELECT o.contact_id, o.amount_fen - o.refunded_fen AS amount FROM commerce_order o WHERE {where}"  # noqa: S608
    having = compared(_HAVING[measure], compare, build)
    if measure in ("avg", "max"):
        return Plan(rows=(Rows(f"{_grouped(orders)} HAVING {having}"),))
    some = "" if products or sold else _ordered_since(condition["window"], build)
    return _counted(orders, having, compare, is_count=measure == "count", some=some)


def _ordered_since(window: windows.Window, build: Build) -> str:
    """Who has any order from a moment on, by the last one of each; empty: the window has an end."""
    start, end = windows.moments(window, build.now, build.zone)
    if start is None or end is not None:
        return ""
    return (
        f"SELECT contact_id FROM contacts_contactstat WHERE brand_id = {build.brand}"  # noqa: S608
        f" AND last_order_at >= {build.param(start)}{_among(build)}"
    )


def _sold(condition: Condition, build: Build) -> str:
    """Further tests of an order `o`: where it was sold, who told of it."""
    tests = [is_one_of("o.store_id", condition["store_ids"])] if condition.get("store_ids") else []
    # a source as an expression: the key of orders begins with it, and would give all that it has ever told
    for name, column in (("channels", "o.channel"), ("sources", "o.source || ''")):
        if texts := condition.get(name):
            tests.append(f"({column}) = ANY({build.param(texts)}::text[])")
    return "".join(f" AND {test}" for test in tests)


def _products(condition: Condition, build: Build) -> str:
    """The test of an order's line `l`."""
    tests = []
    if ids := condition.get("product_ids"):
        tests.append(is_one_of("l.product_id", ids))
    if categories := condition.get("categories"):
        tests.append(
            f"l.product_id IN (SELECT id FROM commerce_product WHERE brand_id = {build.brand}"  # noqa: S608
            f" AND category = ANY({build.param(categories)}))"
        )
    return f"({' OR '.join(tests)})" if tests else ""


def _event(condition: Condition, build: Build) -> Plan:
    where = [f"brand_id = {build.brand}", f"type = {EVENTS[condition['event']][0]}"]
    if condition["window"]["type"] != "ever":
        where.append(within("at", condition["window"], build))
    for name in OBJECTS.values():
        if ids := condition.get(name):
            where.append(is_one_of("object_id", ids))
    if words := condition.get("words"):
        where.append(holds_sql("data", build.param(words)))
    where += build.among()
    query = f"SELECT contact_id FROM contacts_event WHERE {' AND '.join(where)}"  # noqa: S608
    having = compared("count(*)", condition["compare"], build)
    return _counted(query, having, condition["compare"], fence="OFFSET 0")


def _above(condition: Condition, build: Build) -> Plan:
    rows = import_string(ABOVE[condition["kind"]])(build, condition)
    where = build.among("x.contact_id")
    if condition["window"]["type"] != "ever":
        where.append(within("x.at", condition["window"], build))
    query = f"SELECT x.contact_id FROM ({rows}) x{' WHERE ' if where else ''}{' AND '.join(where)}"  # noqa: S608
    having = compared("count(*)", condition["compare"], build)
    return _counted(query, having, condition["compare"])


def _stage(condition: Condition, build: Build) -> Plan:
    query = (
        f"SELECT id AS contact_id FROM contacts_contact WHERE brand_id = {build.brand}"  # noqa: S608
        f" AND {is_one_of('stage_id', condition['ids'])}{_among(build, 'id')}"
    )
    return Plan(rows=(Rows(query),))


def _field(condition: Condition, build: Build) -> Plan:
    field_id, column = build.fields[condition["key"]]
    test = _FIELD_TESTS[condition["test"]](f"v.{column}", condition, build)
    query = (
        f"SELECT v.contact_id FROM contacts_customvalue v WHERE v.brand_id = {build.brand}"  # noqa: S608
        f" AND v.field_id = {field_id}{_among(build, 'v.contact_id')}"
    )
    return Plan(rows=(Rows(f"{query} AND {test}", negated=condition["test"] == "empty"),))


_FIELD_TESTS: dict[str, Callable[[str, Condition, Build], str]] = {
    "filled": lambda column, leaf, build: f"{column} IS NOT NULL",
    "empty": lambda column, leaf, build: f"{column} IS NOT NULL",
    "eq": lambda column, leaf, build: f"{column} = {build.param(leaf['text'])}",
    "contains": lambda column, leaf, build: (
        f"strpos(lower({column}), lower({build.param(leaf['text'])})) > 0"
    ),
    "starts": lambda column, leaf, build: f"starts_with({column}, {build.param(leaf['text'])})",
    "in": lambda column, leaf, build: f"{column} = ANY({build.param(leaf['texts'])})",
    "compare": lambda column, leaf, build: compared(column, leaf["compare"], build),
    "window": lambda column, leaf, build: on(column, leaf["window"], build),
    "yes": lambda column, leaf, build: column,
    "no": lambda column, leaf, build: f"NOT {column}",
}

LEAVES: dict[str, Callable[[Condition, Build], Plan]] = {
    "everybody": _everybody,
    "follow": _flags(
        {
            "reachable": lambda build: _flag(build, Flag.REACHABLE),
            "lost": lambda build: conjunction([_flag(build, Flag.LOST), _flag(build, Flag.REACHABLE, False)]),
            "pending": _none_of(Flag.REACHABLE, Flag.LOST, Flag.MEMBER),
            "member": lambda build: conjunction(
                [_flag(build, Flag.MEMBER), _none_of(Flag.REACHABLE, Flag.LOST)(build)]
            ),
        }
    ),
    "do_not_contact": lambda condition, build: _flag(build, Flag.DO_NOT_CONTACT, condition["value"]),
    "named": lambda condition, build: _flag(build, Flag.NAMED, condition["value"]),
    "gender": _flags(
        {
            "male": lambda build: _flag(build, Flag.MALE),
            "female": lambda build: _flag(build, Flag.FEMALE),
            "unknown": _none_of(Flag.MALE, Flag.FEMALE),
        }
    ),
    "contact_kind": _flags({"wechat": _none_of(Flag.WECOM), "wecom": lambda build: _flag(build, Flag.WECOM)}),
    "added": _stat_moment("added_at"),
    "lost": _stat_moment("lost_at"),
    "first_order": _stat_moment("first_order_at"),
    "last_order": _stat_moment("last_order_at"),
    "next_order": lambda condition, build: Plan(stat=on("s.next_order_on", condition["window"], build)),
    "field": _field,
    "tags": _set(Dim.TAG),
    "code": _set(Dim.CODE),
    "staff": _set(Dim.STAFF),
    "store": _places("stores"),
    "region": _places("regions"),
    "group": _set(Dim.GROUP),
    "segment": _segment,
    "orders": _orders,
    "event": _event,
    "touch": _above,
    "number": _number,
    "stage": _stage,
    "value_group": _in_column("value_group"),
    "lifecycle": _in_column("lifecycle"),
}

__all__ = ["ABOVE", "LEAVES", "as_bits", "is_at_all", "within"]
