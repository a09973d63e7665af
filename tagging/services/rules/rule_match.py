"""Rules on events as SQL: which events of a table or of a batch set a rule off."""

import re
from datetime import datetime, timedelta
from typing import Any

from contacts.models import EventType
from tagging.models import TagRule
from tagging.rule_events import RuleEvent, event_of, filter_sql

# what an event brought in: of an order its amount less what was given back, else what the event says
_ORDER_FEN = (
    "coalesce((SELECT o.amount_fen - o.refunded_fen FROM commerce_order o WHERE o.brand_id = %(brand)s"
    " AND o.id = {e}.object_id AND o.is_sale), 0)"
)
_DATA_FEN = "coalesce(({e}.data ->> 'amount_fen')::bigint, 0)"


def amount_sql(event: RuleEvent, alias: str) -> str:
    return (_ORDER_FEN if event.type == EventType.ORDER_PAID else _DATA_FEN).format(e=alias)


def _as(sql: str, alias: str) -> str:
    """A filter over another alias than `e`."""
    return re.sub(r"\be\.", f"{alias}.", sql)


def has_threshold(rule: TagRule) -> bool:
    return bool(rule.window_days) and (rule.n_at_least > 1 or bool(rule.amount_at_least_fen))


def batch_sql(rule: TagRule, table: str, earliest: datetime) -> tuple[str, dict[str, Any]]:
    """Query of (rule_id, contact_id, at, xid, id): events of a batch that set the rule off.

    Args:
        table: holds columns of contacts_event.
        earliest: no event of the batch is older (names the months in which thresholds look).
    """
    event, p = event_of(rule.event), f"r{rule.pk}"
    where, params = filter_sql(event, rule.filters, p)
    tests = [f"e.type = {int(event.type)}", "e.at >= %(" + p + "_since)s", where]
    params |= {f"{p}_since": rule.on_since, f"{p}_rule": rule.pk}
    if has_threshold(rule):
        window = timedelta(days=rule.window_days or 0)
        params |= {f"{p}_window": window, f"{p}_from": max(earliest, rule.on_since or earliest) - window}
        params |= {f"{p}_n": rule.n_at_least, f"{p}_fen": rule.amount_at_least_fen or 0}
        enough = f"count(*) >= %({p}_n)s"
        if rule.amount_at_least_fen:
            enough += f" AND coalesce(sum({amount_sql(event, 'x')}), 0) >= %({p}_fen)s"
        tests.append(
            f"(SELECT {enough} FROM contacts_event x WHERE x.brand_id = %(brand)s AND x.contact_id = e.contact_id"  # noqa: S608
            f" AND x.at > e.at - %({p}_window)s AND x.at <= e.at AND x.at > %({p}_from)s"
            f" AND x.type = {int(event.type)} AND {_as(where, 'x')})"
        )
    sql = (
        f"SELECT %({p}_rule)s::bigint AS rule_id, e.contact_id, e.at, e.xid, e.id"  # noqa: S608
        f" FROM {table} e WHERE {' AND '.join(tests)}"
    )
    return sql, params


def past_sql(rule: TagRule, since: datetime, until: datetime) -> tuple[str, dict[str, Any]]:
    """Query of contact_id, each once: whom events between two moments would have set the rule off for."""
    event = event_of(rule.event)
    where, params = filter_sql(event, rule.filters, "past")
    window = timedelta(days=rule.window_days or 0) if has_threshold(rule) else timedelta(0)
    params |= {"past_since": since, "past_until": until, "past_from": since - window, "past_window": window}
    params |= {"past_n": rule.n_at_least, "past_fen": rule.amount_at_least_fen or 0}
    rows = (
        f"FROM contacts_event e WHERE e.brand_id = %(brand)s AND e.type = {int(event.type)}"
        f" AND e.at > %(past_from)s AND e.at <= %(past_until)s AND {where}"
    )
    if not has_threshold(rule):
        return f"SELECT DISTINCT e.contact_id {rows}", params
    over = "OVER (PARTITION BY e.contact_id ORDER BY e.at RANGE BETWEEN %(past_window)s PRECEDING AND CURRENT ROW)"
    fen = f"sum({amount_sql(event, 'e')}) {over}" if rule.amount_at_least_fen else "0"
    return (
        f"SELECT DISTINCT contact_id FROM (SELECT e.contact_id, e.at, count(*) {over} AS n, {fen} AS fen {rows}) w"  # noqa: S608
        " WHERE at > %(past_since)s AND n >= %(past_n)s AND fen >= %(past_fen)s",
        params,
    )
