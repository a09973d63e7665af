"""Value of customers: everybody's scores, next orders, models and stages in a night; one contact after an order."""

import statistics
import time
from datetime import timedelta

from django.db import connection, transaction

from bench import big
from bench.figures import Figure, timed
from commerce.services.orders import record_orders
from contacts.models import ContactStat, Identity
from scrm import clock
from scrm.keyset import keyset_page
from tagging.models import Segment
from tagging.services.value import lifecycle, lookalike, value, value_model
from tenants.models import Brand
from tenants.scoping import tenant_scope

TIMES = 20  # single contacts


def run(full: bool) -> list[Figure]:
    made, _beside = big.brands(full)
    with tenant_scope(made.brand), clock.at(big.NOW):
        _forget(made.brand)
        scores = _spent(lambda: value.recompute(made.brand))
        again = _spent(lambda: value.recompute(made.brand))
        fit = _spent(lambda: value_model.fit(made.brand))
        model = _spent(lambda: value_model.apply(made.brand))
        stages = _spent(lambda: lifecycle.place(made.brand))
        likes = _spent(lambda: _lookalike(made.brand))
        with transaction.atomic():
            buyers = ContactStat.objects.filter(n_orders__gt=0).count()
        cell = timed(lambda: _cell(made.brand))
        plain = _plain(made.brand)
        one = _one_contact(made.brand)
    night = scores + fit + model + stages
    beside = f"ORM row by row {made.n / plain:,.0f} s" if plain else ""
    return [
        Figure(f"all values of {made.n:,} contacts, {buyers:,} buyers", night, "s", beside, "seconds", night < 120),
        Figure("  of it scores, groups, next orders", scores, "s", f"again, unchanged: {again:.2f} s"),
        Figure("  of it the models: fitted, applied to everybody", fit + model, "s", f"fit {fit:.2f} s"),
        Figure("  of it stages of the lifecycle", stages, "s"),
        Figure("lookalike: 10,000 people like 10,000", likes, "s"),
        Figure("first fifty people of a cell, the best first", cell * 1000, "ms"),
        Figure("one contact after an order: score, next order, stage", one * 1000, "ms", "median", "ms", one < 0.5),
    ]  # fmt: skip


def _forget(brand: Brand) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE contacts_contactstat SET recency = NULL, frequency = NULL, monetary = NULL, value_score = NULL,"
            " value_group = NULL, next_order_on = NULL, alive_ratio = NULL, ltv_fen = NULL, lifecycle = NULL"
            " WHERE brand_id = %s AND (value_score IS NOT NULL OR lifecycle IS NOT NULL)",
            [brand.pk],
        )


def _spent(act) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _cell(brand: Brand) -> None:
    with transaction.atomic():
        rows = ContactStat.objects.filter(recency=3, frequency=3).select_related("contact")
        keyset_page(rows, order=("-value_score", "-spent_fen", "-contact_id"), size=50)


def _lookalike(brand: Brand) -> None:
    with transaction.atomic():
        condition = {"kind": "number", "measure": "n_orders", "compare": {"op": "ge", "value": 6}}
        segment = Segment(name="bench", condition=condition)
        lookalike.find(brand, segment, 10_000)


def _one_contact(brand: Brand) -> float:
    with transaction.atomic():
        ids = list(
            Identity.objects.filter(kind="external_userid")
            .order_by("-pk")
            .values_list("contact_id", "scope", "value")[:TIMES]
        )
    spent = []
    for n, (contact_id, scope, external) in enumerate(ids):
        at = clock.now() - timedelta(minutes=n)
        row = {
            "order_no": f"bench-{time.time_ns()}", "buyer_kind": "external_userid", "buyer_scope": scope, "buyer_value": external,
            "paid_at": at, "amount_fen": 9_900, "updated_at": at,
        }  # fmt: skip
        with transaction.atomic():
            record_orders(brand, [row], source="bench")
        start = time.perf_counter()
        with transaction.atomic():
            value.refresh(brand, [contact_id])
            lifecycle.place_few(brand, [contact_id])
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def _plain(brand: Brand, n: int = 300) -> float:
    """Contacts per second by the ORM, one row at a time, scores only."""
    with transaction.atomic():
        setting = value.setting_of(brand)
        rows = list(ContactStat.objects.filter(n_orders__gt=0).order_by("contact_id")[:n])
    start = time.perf_counter()
    for row in rows:
        days = (clock.now() - row.last_order_at).days
        r = 5 - sum(days > cut for cut in setting.r_cuts)
        f = 1 + sum(row.n_orders > cut for cut in setting.f_cuts)
        m = 1 + sum(row.spent_fen > cut for cut in setting.m_cuts)
        with transaction.atomic():
            ContactStat.objects.filter(contact=row.contact_id).update(recency=r, frequency=f, monetary=m)
    return len(rows) / (time.perf_counter() - start)
