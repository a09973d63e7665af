"""A condition as SQL for everybody at once.

What a person has or has not (tags, guides, codes, flags, segments) is algebra of bitmaps: all bitmaps that a condition
names are read in one pass and put together chunk by chunk. Dates, money, orders and events are rows. Where rows are
AND-ed with bitmaps they are filtered by `get_bit`; where they are OR-ed they become a bitmap themselves.

    Plan(bits="b1 & ~b2", stat="s.spent_fen >= 50000", rows=[Rows("SELECT contact_id …", negated=True)])

is a conjunction of the three. Every table is named with the brand's literal id, so that Postgres plans with the brand's
own statistics and the policy is a check made once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from contacts.services.staging import numbers
from tagging.conditions import Condition
from tagging.models import BITS, Dim, Flag
from tagging.services.bits.bits import ZERO, of_positions


@dataclass(frozen=True)
class Rows:
    """A query of `contact_id`, each once; or `some`, a cheaper query of the same contacts, perhaps several times."""

    sql: str
    negated: bool = False
    some: str = ""


@dataclass(frozen=True)
class Plan:
    """A conjunction: an expression over bitmaps, a test of ContactStat `s`, queries of contacts. At least one is
    there."""

    bits: str = ""
    stat: str = ""
    rows: tuple[Rows, ...] = ()
    bounded: bool = True  # the bits of nobody who does not exist: false after a NOT

    @property
    def is_bits(self) -> bool:
        return not self.stat and not self.rows


@dataclass
class Build:
    """What a compilation collects: the bitmaps to read, converted rows, parameters.

    Attributes:
        segments: id → the condition of a dynamic segment, or the version number whose bits are stored.
        fields: key of a custom field → (id, column).
        stores, regions: id → ids of the guides who belong there.
        only: contacts who are asked about; what is found of others is not looked at. Empty: everybody.
    """

    brand_id: int
    now: datetime
    zone: str
    segments: Mapping[int, Condition | int] = field(default_factory=dict)
    fields: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    stores: Mapping[int, Sequence[int]] = field(default_factory=dict)
    regions: Mapping[int, Sequence[int]] = field(default_factory=dict)
    only: Sequence[int] = ()
    params: dict[str, Any] = field(default_factory=dict)
    stored: dict[tuple[int, tuple[int, ...]], str] = field(default_factory=dict)  # (dim, vals) → column
    converted: list[str] = field(default_factory=list)  # queries of (chunk, bits)

    @property
    def today(self) -> date:
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    @property
    def brand(self) -> str:
        """The brand in a statement. Of some people in a brand that is new Postgres knows nothing: as a sub-select it is any
        brand, and their rows are found by themselves, not by an index that happens to begin with the brand."""
        return f"(SELECT {self.brand_id}::bigint)" if self.only else str(self.brand_id)

    def param(self, value: Any) -> str:
        """A value as a named parameter."""
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"%({name})s"

    def among(self, column: str = "contact_id") -> list[str]:
        """The test that a row is of those asked about, if not everybody is: a person's rows are read, not the brand's."""
        if not self.only:
            return []
        self.params["only"] = numbers(self.only)  # once, however many tests there are
        return [f"{column} = ANY(%(only)s::bigint[])"]

    def stored_bits(self, dim: Dim, vals: Sequence[int]) -> str:
        """The column of everybody who has one of some values."""
        key = (int(dim), tuple(sorted({int(val) for val in vals})))
        return self.stored.setdefault(key, f"b{len(self.stored)}")

    @property
    def n_bitmaps(self) -> int:
        return sum(len(vals) for _dim, vals in self.stored)

    @property
    def everybody(self) -> str:
        return self.stored_bits(Dim.FLAG, [Flag.EVERYBODY])


def plan_of(condition: Condition, build: Build) -> Plan:
    """The plan of a condition that has been read."""
    from tagging.services.segments.compile_leaves import LEAVES

    if "all" in condition:
        return conjunction([plan_of(item, build) for item in condition["all"]])
    if "any" in condition:
        return disjunction([plan_of(item, build) for item in condition["any"]], build)
    if "not" in condition:
        return negation(plan_of(condition["not"], build), build)
    leaf: Callable[[Condition, Build], Plan] = LEAVES[condition["kind"]]
    return leaf(condition, build)


def conjunction(plans: Sequence[Plan]) -> Plan:
    bits = [plan.bits for plan in plans if plan.bits]
    stats = [plan.stat for plan in plans if plan.stat]
    return Plan(
        bits=f"({' & '.join(bits)})" if len(bits) > 1 else "".join(bits),
        stat=" AND ".join(stats),
        rows=tuple(rows for plan in plans for rows in plan.rows),
        bounded=any(plan.bounded for plan in plans if plan.bits) or not bits,
    )


def disjunction(plans: Sequence[Plan], build: Build) -> Plan:
    if len(plans) == 1:
        return plans[0]
    if all(plan.stat and not plan.bits and not plan.rows for plan in plans):
        return Plan(stat="(" + " OR ".join(f"({plan.stat})" for plan in plans) + ")")
    plans = [_without_absent(plan, build) for plan in plans]
    columns = [as_bits(plan, build) for plan in plans]
    return Plan(bits=f"({' | '.join(columns)})", bounded=all(plan.bounded for plan in plans))


def negation(plan: Plan, build: Build) -> Plan:
    if plan.stat and not plan.bits and not plan.rows:
        return Plan(stat=f"({plan.stat}) IS NOT TRUE")
    if len(plan.rows) == 1 and not plan.bits and not plan.stat:
        return Plan(rows=(replace(plan.rows[0], negated=not plan.rows[0].negated),))
    return Plan(bits=f"(~{as_bits(plan, build)})", bounded=False)


def as_bits(plan: Plan, build: Build) -> str:
    """The plan as an expression over bitmaps; its rows become a bitmap."""
    plan = _without_absent(plan, build)
    return plan.bits if plan.is_bits else _converted(plan, build)


def _converted(plan: Plan, build: Build) -> str:
    """The column of a bitmap made of rows."""
    build.converted.append(of_positions(members_query(plan, build)))
    return f"r{len(build.converted) - 1}"


def _without_absent(plan: Plan, build: Build) -> Plan:
    """Where only the absence of rows is asked, those who have some are made a bitmap and taken away: that is cheaper than
    to look at everybody."""
    if plan.stat or not plan.rows or any(not rows.negated for rows in plan.rows):
        return plan
    taken = [f"(~{_converted(Plan(rows=(replace(rows, negated=False),)), build)})" for rows in plan.rows]
    kept = [plan.bits] if plan.bits else []
    return Plan(bits=f"({' & '.join([*kept, *taken])})", bounded=plan.bounded and bool(plan.bits))


# ---- queries


def bits_query(plan: Plan, build: Build) -> str:
    """Query of (chunk, bits): the members as bitmaps; chunks without any may be missing or zero."""
    plan = _without_absent(plan, build)
    return _read(_bounded(plan, build) if plan.is_bits else _converted(plan, build), build)


def _bounded(plan: Plan, build: Build) -> str:
    """The expression of a plan's bitmaps, of people who exist."""
    return plan.bits if plan.bounded else f"{build.everybody} & {plan.bits}"


def _read(expression: str, build: Build) -> str:
    """One pass over the bitmaps that an expression names: (chunk, bits)."""
    named = set(re.findall(r"\b[br]\d+\b", expression))
    sources, columns = [], []
    by_dim: dict[int, set[int]] = {}
    for (dim, vals), name in build.stored.items():
        if name in named:
            by_dim.setdefault(dim, set()).update(vals)
            test = f"dim = {dim} AND {is_one_of('val', vals)}"
            columns.append(f"coalesce(bit_or(bits) FILTER (WHERE {test}), {ZERO}) AS {name}")
    for dim, found in sorted(by_dim.items()):
        sources.append(
            "SELECT chunk, dim::int, val, bits FROM tagging_dimbits"  # noqa: S608
            f" WHERE brand_id = {build.brand_id} AND dim = {dim} AND {is_one_of('val', sorted(found))}"
        )
    for n, query in enumerate(build.converted):
        if f"r{n}" in named:
            sources.append(f"SELECT chunk::int, 0 AS dim, {n}::bigint AS val, bits FROM ({query}) r")  # noqa: S608
            columns.append(f"coalesce(bit_or(bits) FILTER (WHERE dim = 0 AND val = {n}), {ZERO}) AS r{n}")
    return (
        f"SELECT chunk, {expression} AS bits FROM (SELECT chunk, {', '.join(columns)}"  # noqa: S608
        f" FROM ({' UNION ALL '.join(sources)}) d GROUP BY chunk) d"
    )


def is_one_of(column: str, vals: Sequence[int]) -> str:
    if not vals:
        return "false"
    if len(vals) == 1:
        return f"{column} = {vals[0]}"
    return f"{column} IN ({', '.join(map(str, vals))})"


def members_query(plan: Plan, build: Build) -> str:
    """Query of (contact_id, position), each member once, in no order."""
    plan = _without_absent(plan, build)
    b = build.brand
    among = "".join(f" AND {test}" for test in build.among("s.contact_id"))
    if plan.is_bits:
        return (
            f"SELECT s.contact_id, s.position FROM ({bits_query(plan, build)} OFFSET 0) q"  # noqa: S608
            f" JOIN contacts_contactstat s ON s.brand_id = {b} AND s.position / {BITS} = q.chunk{among}"
            f" WHERE get_bit(q.bits, s.position %% {BITS}) = 1"
        )
    driver = _driver(plan)
    rest = [_tested(rows, "s" if driver is None else "e") for rows in plan.rows if rows is not driver]
    if driver is not None:
        found = f"SELECT e.contact_id FROM ({driver.sql}) e{_where(rest)}"  # noqa: S608
        query = (
            f"SELECT s.contact_id, s.position FROM ({found} OFFSET 0) e"  # noqa: S608
            f" JOIN contacts_contactstat s ON s.brand_id = {b} AND s.contact_id = e.contact_id{among}"
        )
    else:
        where = _where([f"s.brand_id = {b}{among}", f"({plan.stat})", *rest])
        query = f"SELECT s.contact_id, s.position FROM contacts_contactstat s{where}"  # noqa: S608
    if not plan.bits:
        return query
    # Fenced twice: Postgres would put the expression together again for every row, and it takes a bit to be rare, so it
    # would look up the other rows one by one
    fence = " OFFSET 0" if rest or driver else ""
    return (
        f"SELECT s.contact_id, s.position FROM ({query}{fence}) s"  # noqa: S608
        f" JOIN ({_read(_bounded(plan, build), build)} OFFSET 0) q ON q.chunk = s.position / {BITS}"
        f" WHERE get_bit(q.bits, s.position %% {BITS}) = 1"
    )


def _where(tests: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(tests)}" if tests else ""


def count_query(plan: Plan, build: Build) -> str:
    """Query of one number."""
    plan = _without_absent(plan, build)
    if plan.is_bits:
        return f"SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM ({bits_query(plan, build)}) q"  # noqa: S608
    driver = _driver(plan)
    if driver is not None and not plan.bits:  # nobody's position is needed
        rest = [_tested(rows, "e") for rows in plan.rows if rows is not driver]
        return f"SELECT count(*) FROM ({driver.sql}) e{_where(rest)}"  # noqa: S608
    return f"SELECT count(*) FROM ({members_query(plan, build)}) m"  # noqa: S608


def _driver(plan: Plan) -> Rows | None:
    """The rows to begin with; ContactStat where it is tested itself."""
    return None if plan.stat else next((rows for rows in plan.rows if not rows.negated), None)


def _tested(rows: Rows, alias: str) -> str:
    word = "NOT EXISTS" if rows.negated else "EXISTS"
    return f"{word} (SELECT 1 FROM ({rows.some or rows.sql}) x WHERE x.contact_id = {alias}.contact_id)"  # noqa: S608
