"""Value of customers: R, F and M, the score with its parts, the four groups, the next order. Set-based: the same
statements for everybody each night and for a few contacts as soon as something happens to them."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging.models import ValueGroup, ValueSetting
from tenants.db.joins import joined_by_hash
from tenants.db.statistics import is_surprised
from tenants.models import Brand

FEW = 64  # people, up to whom it does not matter what Postgres knows of the brand
AGAIN, RECOMPUTE = timedelta(minutes=1), "value.recompute"  # so soon nobody needs it once more
SHARES = [0.2, 0.4, 0.6, 0.8]
DEFAULT_CUTS: dict[str, list[int]] = {  # of a brand without buyers
    "r_cuts": [30, 60, 90, 180], "f_cuts": [1, 2, 3, 5], "m_cuts": [10_000, 30_000, 60_000, 150_000],
}  # fmt: skip
COLUMNS = (
    "method", "r_cuts", "f_cuts", "m_cuts", "r_weight", "f_weight", "m_weight", "loyal_score", "good_score", "lost_days",
)  # fmt: skip

_QUINTILES = """
    SELECT percentile_disc(%(shares)s::float8[])
               WITHIN GROUP (ORDER BY floor(extract(epoch FROM %(now)s - last_order_at) / 86400)),
           percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY n_orders),
           percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY spent_fen)
      FROM contacts_contactstat WHERE brand_id = %(b)s AND n_orders > 0
"""
_SCORED = """
    WITH d AS (
        SELECT contact_id, n_orders, spent_fen, floor(extract(epoch FROM %(now)s - last_order_at) / 86400)::int AS days
          FROM contacts_contactstat WHERE brand_id = %(b)s AND n_orders > 0 {only}
    ), rfm AS (
        SELECT contact_id, days,
               5 - (days > %(r1)s)::int - (days > %(r2)s)::int - (days > %(r3)s)::int - (days > %(r4)s)::int AS r,
               1 + (n_orders > %(f1)s)::int + (n_orders > %(f2)s)::int + (n_orders > %(f3)s)::int
                 + (n_orders > %(f4)s)::int AS f,
               1 + (spent_fen > %(m1)s)::int + (spent_fen > %(m2)s)::int + (spent_fen > %(m3)s)::int
                 + (spent_fen > %(m4)s)::int AS m
          FROM d
    ), scored AS (
        SELECT contact_id, days, r, f, m,
               round(100.0 * ((r - 1) * %(wr)s + (f - 1) * %(wf)s + (m - 1) * %(wm)s) / %(most)s)::int AS score FROM rfm
    )
    SELECT contact_id, r, f, m, score,
           CASE WHEN days > %(lost)s THEN {lost} WHEN score >= %(loyal)s THEN {loyal} WHEN score >= %(good)s THEN {good}
                ELSE {ordinary} END AS value_group
      FROM scored
"""
_WRITE = """
    UPDATE contacts_contactstat s
       SET recency = x.r, frequency = x.f, monetary = x.m, value_score = x.score, value_group = x.value_group
      FROM ({scored}) x
     WHERE s.brand_id = %(b)s AND s.contact_id = x.contact_id
       AND (s.recency, s.frequency, s.monetary, s.value_score, s.value_group)
           IS DISTINCT FROM (x.r::smallint, x.f::smallint, x.m::smallint, x.score::smallint, x.value_group::smallint)
"""
# whose last order was wholly refunded
_CLEAR = """
    UPDATE contacts_contactstat
       SET recency = NULL, frequency = NULL, monetary = NULL, value_score = NULL, value_group = NULL, next_order_on = NULL,
           alive_ratio = NULL, ltv_fen = NULL
     WHERE brand_id = %(b)s AND n_orders = 0 AND value_score IS NOT NULL {only}
"""
# From the usage time of what was bought last, else from the customer's own rhythm: the median pause between two days with
# an order, after the last one. Whoever orders often has more at home than they use (or gives it away): after three pauses
# the next order is not expected later than after the longest one so far.
_NEXT = """
    WITH paid AS (
        SELECT contact_id, paid_at, paid_at - lag(paid_at) OVER (PARTITION BY contact_id ORDER BY paid_at) AS pause
          FROM commerce_order WHERE brand_id = %(b)s AND is_sale AND contact_id IS NOT NULL {only}
    ), rhythm AS (
        SELECT contact_id, max(paid_at) AS last_at,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM pause))
                   FILTER (WHERE pause >= interval '12 hours') AS pause_s,
               CASE WHEN count(*) FILTER (WHERE pause >= interval '12 hours') >= 3
                    THEN max(paid_at) + max(pause) END AS latest
          FROM paid GROUP BY 1
    ), used AS (
        SELECT o.contact_id, max(o.paid_at + make_interval(days => p.usage_days * least(greatest(l.quantity, 1), 100))) AS until
          FROM commerce_product p
          JOIN commerce_orderline l ON l.brand_id = %(b)s AND l.product_id = p.id
          JOIN commerce_order o ON o.brand_id = %(b)s AND o.id = l.order_id
         WHERE p.brand_id = %(b)s AND p.usage_days > 0 AND o.is_sale AND o.contact_id IS NOT NULL {only_o}
         GROUP BY 1
    ), wanted AS (
        SELECT r.contact_id,
               (least(coalesce(u.until, r.last_at + make_interval(secs => r.pause_s)), r.latest)
                AT TIME ZONE %(zone)s)::date AS next_on
          FROM rhythm r LEFT JOIN used u ON u.contact_id = r.contact_id
    )
    UPDATE contacts_contactstat s SET next_order_on = w.next_on FROM wanted w
     WHERE s.brand_id = %(b)s AND s.contact_id = w.contact_id AND s.next_order_on IS DISTINCT FROM w.next_on
"""


def setting_of(brand: Brand) -> ValueSetting:
    """How the brand scores; the default (not saved) where nobody has set anything."""
    return ValueSetting.objects.first() or ValueSetting(**DEFAULT_CUTS)


@dataclass(frozen=True)
class Preview:
    """What other settings would do: {group: people} now and then, and how many would change theirs."""

    before: dict[int, int]
    after: dict[int, int]
    n_changed: int


def _params(brand: Brand, setting: ValueSetting) -> dict[str, Any]:
    weights = setting.r_weight, setting.f_weight, setting.m_weight
    cuts = {
        f"{letter}{n}": cut
        for letter, row in (("r", setting.r_cuts), ("f", setting.f_cuts), ("m", setting.m_cuts))
        for n, cut in enumerate(row, 1)
    }
    return {
        "b": brand.pk, "now": clock.now(), "zone": brand.timezone, "wr": weights[0], "wf": weights[1], "wm": weights[2],
        "most": 4 * sum(weights), "lost": setting.lost_days, "loyal": setting.loyal_score, "good": setting.good_score, **cuts,
    }  # fmt: skip


def _scored(only: str = "") -> str:
    groups = {group.name.lower(): int(group) for group in ValueGroup}
    return _SCORED.format(only=only, **groups)


def quintiles(brand: Brand) -> dict[str, list[int]]:
    """Cuts that make five equal parts of the brand's buyers; the default ones where nobody has bought."""
    with connection.cursor() as cursor:
        cursor.execute(_QUINTILES, {"b": brand.pk, "now": clock.now(), "shares": SHARES})
        row = cursor.fetchone()
    if row[0] is None:
        return DEFAULT_CUTS
    return {
        name: [int(cut) for cut in cuts]
        for name, cuts in zip(("r_cuts", "f_cuts", "m_cuts"), row, strict=True)
    }


def recompute(brand: Brand) -> int:
    """Everybody, each night: cuts, scores, groups, next orders, in one transaction; gives how many rows changed."""
    started = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor, joined_by_hash(cursor):
        setting = setting_of(brand)
        cuts = quintiles(brand) if setting.method == ValueSetting.Method.QUINTILES else {}
        for name, row in cuts.items():
            setattr(setting, name, row)
        params = _params(brand, setting)
        cursor.execute(_WRITE.format(scored=_scored()), params)
        n = cursor.rowcount
        cursor.execute(_CLEAR.format(only=""), params)
        n += cursor.rowcount
        cursor.execute(_NEXT.format(only="", only_o=""), params)
        note(compute_ms=int((time.monotonic() - started) * 1000), computed_at=clock.now())
        if cuts:
            ValueSetting.objects.filter(method=ValueSetting.Method.QUINTILES).update(**cuts)
    return n


def note(**values: Any) -> None:
    """Write what was found beside the brand's settings: what somebody has set meanwhile stays."""
    kept, _is_new = ValueSetting.objects.get_or_create(defaults=DEFAULT_CUTS)
    ValueSetting.objects.filter(pk=kept.pk).update(**values)


def refresh(brand: Brand, contact_ids: Collection[int]) -> None:
    """Score and next order of some contacts, by the brand's present cuts, in the caller's transaction."""
    if not contact_ids:
        return
    params = {**_params(brand, setting_of(brand)), "ids": sorted(set(contact_ids))}
    only = "AND contact_id = ANY(%(ids)s::bigint[])"
    n: int | None = len(params["ids"])
    if (
        n and n > FEW and is_surprised(brand, "contacts_contactstat", 2 * n)
    ):  # it believes in fewer than these
        n = None
    with connection.cursor() as cursor, joined_by_hash(cursor, n):
        cursor.execute(_WRITE.format(scored=_scored(only)), params)
        cursor.execute(_CLEAR.format(only=only), params)
        cursor.execute(_NEXT.format(only=only, only_o="AND o.contact_id = ANY(%(ids)s::bigint[])"), params)


def preview(brand: Brand, **values: Any) -> Preview:
    """What settings would do to the groups; nothing is written.

    Raises:
        InvalidError: out of range.
    """
    setting = _with(brand, values)
    if setting.method == ValueSetting.Method.QUINTILES:
        for name, cuts in quintiles(brand).items():
            setattr(setting, name, cuts)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT s.value_group, x.value_group, count(*) FROM ({_scored()}) x"  # noqa: S608
            " JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = x.contact_id GROUP BY 1, 2",
            _params(brand, setting),
        )
        rows = cursor.fetchall()
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for old, new, n in rows:
        before[old or 0] = before.get(old or 0, 0) + n
        after[new] = after.get(new, 0) + n
    return Preview(before, after, sum(n for old, new, n in rows if old != new))


@transaction.atomic
def change_setting(brand: Brand, *, by: Actor, **values: Any) -> ValueSetting:
    """Set how the brand scores; everybody is recomputed by a task after commit.

    Args:
        values: of COLUMNS.

    Raises:
        InvalidError: out of range; its `fields` name the columns.
    """
    from tagging.tasks import recompute_values

    before = audit.snapshot(setting_of(brand), list(COLUMNS))
    setting = _with(brand, values)
    setting.save()
    audit.record(by, "value.edit", setting, before=before, after=audit.snapshot(setting, list(COLUMNS)))
    recompute_values.delay_on_commit(brand_id=brand.pk)
    return setting


@transaction.atomic
def ask_recompute(brand: Brand, *, by: Actor) -> None:
    """Score everybody, fit the models and place in stages by a task after commit, as each night.

    Raises:
        ConflictError: it was done or asked for a moment ago.
    """
    from tagging.tasks import recompute_values

    setting, _is_new = ValueSetting.objects.get_or_create(defaults=DEFAULT_CUTS)
    since = clock.now() - AGAIN
    is_asked = AuditEntry.objects.filter(action=RECOMPUTE, at__gt=since).exists()
    if is_asked or (setting.computed_at and setting.computed_at > since):
        raise ConflictError(_("Everybody is being scored, or was a moment ago"), code="too_soon")
    audit.record(by, RECOMPUTE, setting)
    recompute_values.delay_on_commit(brand_id=brand.pk)


def _with(brand: Brand, values: dict[str, Any]) -> ValueSetting:
    setting = setting_of(brand)
    for name, value in values.items():
        if name not in COLUMNS:
            raise TypeError(f"unknown setting {name}")
        setattr(setting, name, value)
    wrong: dict[str, str] = {}
    for name in ("r_cuts", "f_cuts", "m_cuts"):
        cuts = getattr(setting, name)
        if len(cuts) != 4 or sorted(cuts) != list(cuts) or min(cuts, default=-1) < 0:
            wrong[name] = _("Four rising numbers")
    for name in ("r_weight", "f_weight", "m_weight"):
        if not 0 <= getattr(setting, name) <= 100:
            wrong[name] = _("Between 0 and %(n)s") % {"n": 100}
    if not wrong and not setting.r_weight + setting.f_weight + setting.m_weight:
        wrong["r_weight"] = _("One weight at least")
    if not 0 <= setting.good_score <= setting.loyal_score <= 100:
        wrong["good_score"] = _("Between 0 and the score of the loyal ones")
    if not 1 <= setting.lost_days <= 3650:
        wrong["lost_days"] = _("Between 1 and %(n)s days") % {"n": 3650}
    if setting.method not in ValueSetting.Method.values:
        wrong["method"] = _("Unknown method")
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)
    return setting


# ---- figures of the pages


def grid(brand: Brand) -> list[list[tuple[int, int]]]:
    """5 × 5 of (people, average spent_fen): rows by recency from 5 down, columns by frequency from 1 up."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT recency, frequency, count(*), avg(spent_fen)::bigint FROM contacts_contactstat"
            " WHERE brand_id = %s AND value_score IS NOT NULL GROUP BY 1, 2",
            [brand.pk],
        )
        found = {(r, f): (n, spent) for r, f, n, spent in cursor.fetchall()}
    return [[found.get((r, f), (0, 0)) for f in range(1, 6)] for r in range(5, 0, -1)]


def distribution(brand: Brand) -> tuple[list[int], dict[int, tuple[int, int, int | None]]]:
    """(people by ten points of score, {group: (people, spent_fen, what they are expected to spend in a year in fen; None
    before the model is fitted)})."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT least(value_score / 10, 9), value_group, count(*), sum(spent_fen)::bigint, sum(ltv_fen)::bigint"
            " FROM contacts_contactstat WHERE brand_id = %s AND value_score IS NOT NULL GROUP BY 1, 2",
            [brand.pk],
        )
        rows = cursor.fetchall()
    tens = [0] * 10
    groups: dict[int, tuple[int, int, int | None]] = {int(group): (0, 0, None) for group in ValueGroup}
    for ten, group, n, spent, expected in rows:
        tens[ten] += n
        people, money, years = groups[group]
        years = years if expected is None else (years or 0) + expected
        groups[group] = (people + n, money + spent, years)
    return tens, groups
