"""Probability of being alive and lifetime value of every customer by BG/NBD and Gamma-Gamma (tagging/lifetime.py):
fitted on a sample of the brand's buyers, applied to all of them by columns, never by objects."""

import io
import logging
from collections.abc import Collection

import numpy as np
import pandas as pd
from django.db import connection, transaction

from scrm import clock
from tagging import lifetime
from tagging.lifetime import CannotFitError, Purchasing, Spending
from tagging.services.value.value import note, setting_of
from tenants.models import Brand

log = logging.getLogger(__name__)

SAMPLE = 50_000  # buyers on whom it is fitted
HORIZON_WEEKS = 52.0  # of the lifetime value
SLICE = 100_000

_HISTORY = """
    SELECT contact_id, n_orders - 1 AS x,
           extract(epoch FROM last_order_at - first_order_at) / 604800 AS t_x,
           extract(epoch FROM %(now)s::timestamptz - first_order_at) / 604800 AS t,
           spent_fen::float8 / n_orders AS mean
      FROM contacts_contactstat WHERE brand_id = %(b)s AND n_orders > 0
"""


def history(brand: Brand, *, sample: int | None = None, only: Collection[int] | None = None) -> pd.DataFrame:
    """Columns contact_id, x, t_x, t (weeks), mean (fen) of the buyers; a sample of them by a hash of the id, or some.

    Orders of one day count as one repeat each: the difference to the papers' days is small where people buy rarely.
    """
    sql = _HISTORY
    if only is not None:
        sql += " AND contact_id = ANY(%(ids)s::bigint[])"
    if sample is not None:
        sql += f" ORDER BY mod(contact_id * 48271, 2147483647) LIMIT {int(sample)}"
    with connection.cursor() as cursor:
        query = cursor.mogrify(sql, {"b": brand.pk, "now": clock.now(), "ids": sorted(only or ())}).decode()
        out = io.BytesIO()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT csv)", out)
    out.seek(0)
    names = ["contact_id", "x", "t_x", "t", "mean"]
    types = dict.fromkeys(names[1:], "float64") | {"contact_id": "int64"}
    return pd.read_csv(out, names=names, dtype=types)


def fit(brand: Brand) -> bool:
    """Fit the brand's models and keep them; False with the reason kept where the history is too small."""
    with transaction.atomic():
        rows = history(brand, sample=SAMPLE)
    try:
        purchasing = lifetime.fit_purchasing(*(rows[name].to_numpy() for name in ("x", "t_x", "t")))
        spending = lifetime.fit_spending(rows["x"].to_numpy(), rows["mean"].to_numpy())
        if spending.q <= 1:
            raise CannotFitError("spending differs too much for a mean")
        model, error = {"purchasing": list(purchasing), "spending": list(spending), "n": len(rows)}, ""
    except CannotFitError as problem:
        model, error = {}, str(problem)
    with transaction.atomic():
        note(model=model, fit_error=error[:200], fitted_at=clock.now())
    return bool(model)


def apply(brand: Brand, only: Collection[int] | None = None) -> int:
    """Write alive_ratio and ltv_fen of every buyer by the fitted models, or of some; gives how many rows changed.

    Who has bought on one day only has no alive_ratio: the model knows no leaving before a second order, and its 1 would
    put everybody who bought once, years ago, among the surest.
    """
    with transaction.atomic():
        model = setting_of(brand).model
        if not model:
            return 0
        rows = history(brand, only=only)
    if rows.empty:
        return 0
    purchasing, spending = Purchasing(*model["purchasing"]), Spending(*model["spending"])
    # whole days: people with the same history are computed once
    cells = np.round(rows[["x", "t_x", "t"]].to_numpy() * [1, 7, 7])
    unique, place = np.unique(cells, axis=0, return_inverse=True)
    x, t_x, t = unique[:, 0], unique[:, 1] / 7, unique[:, 2] / 7
    alive = np.where(x > 0, lifetime.alive_ratio(purchasing, x, t_x, t), np.nan)[place]
    orders = lifetime.expected_orders(purchasing, HORIZON_WEEKS, x, t_x, t)[place]
    spend = lifetime.expected_spend(spending, rows["x"].to_numpy(), rows["mean"].to_numpy())
    out = pd.DataFrame(
        {
            "contact_id": rows["contact_id"],
            "alive": np.clip(alive, 0, 1).round(4),
            "ltv": np.maximum(orders * spend, 0).round().astype("int64"),
        }
    )
    return sum(_write(brand, out.iloc[start : start + SLICE]) for start in range(0, len(out), SLICE))


def _write(brand: Brand, rows: pd.DataFrame) -> int:
    file = io.StringIO()
    rows.to_csv(file, header=False, index=False)
    file.seek(0)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS new_value")
        cursor.execute(
            "CREATE TEMPORARY TABLE new_value (contact_id bigint, alive float8, ltv bigint) ON COMMIT DROP"
        )
        cursor.copy_expert("COPY new_value FROM STDIN WITH (FORMAT csv)", file)
        cursor.execute("ANALYZE new_value")
        cursor.execute(
            "UPDATE contacts_contactstat s SET alive_ratio = v.alive, ltv_fen = v.ltv FROM new_value v"
            " WHERE s.brand_id = %s AND s.contact_id = v.contact_id"
            " AND (s.alive_ratio, s.ltv_fen) IS DISTINCT FROM (v.alive, v.ltv)",
            [brand.pk],
        )
        return cursor.rowcount
