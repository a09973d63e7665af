"""Broadcasts beside the ledger of a quarter, caps that are reached by some and a waiting campaign of lower priority:
audience with caps from bitmaps, the plan with its ledger, the dry run on its page; hand-over, claims and marking by whole
chunks are in hand.py."""

import time
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from bench import big, hand, pages, past, servers
from bench.figures import Figure
from bench.limits import copy_rate
from campaigns.models import Broadcast, Touch, Variant, Wave
from campaigns.services.broadcasts import dry_run, fanout, waves
from campaigns.services.governance import gate, policy, rules
from contacts.models import Contact
from devtools import ports
from org.access import SYSTEM
from scrm import clock
from tagging.services.bits.frames import Frame, count
from tenants.models import Brand
from tenants.scoping import tenant_scope

EVERYBODY = {"condition": {"kind": "everybody"}}
TWO_THIRDS = {"condition": {"kind": "gender", "values": ["male", "female"]}}


def run(full: bool) -> list[Figure]:
    made, _beside = big.brands(full)
    copy = copy_rate()
    with tenant_scope(made.brand):
        _clean(made.brand)
        policy.change_policy(made.brand, by=SYSTEM, caps=past.CAPS)
        sent_before = past.build(made.brand)
        _plan(made.brand, _broadcast(priority=3, audience={"contacts": past.at_the_cap(made.brand)}))
        draft = _broadcast(state="draft", hold_out_percent=10, audience=TWO_THIRDS)
        in_dry_run = _in_transaction(lambda: dry_run.dry_run(made.brand, draft.broadcast)).wanted
        first = _broadcast(hold_out_percent=10)
        past.vacuum()
        plan, numbers = _plan(made.brand, first)
        second = _broadcast()
        audience = _spent(lambda: _audience(made.brand, second))
        _plan(made.brand, second)
        with transaction.atomic():
            rows = Touch.objects.filter(broadcast_id=first.broadcast_id).count()
        chunk_plan = _chunk_plan(made.brand)
        plain = _plain(made.brand)
    dry = _dry_run_page(made.brand, draft.broadcast_id)
    wanted = numbers["wanted"]
    reasons = ", ".join(
        f"{n:,} {name}" for name, n in numbers.items() if name not in ("wanted", "planned", "tasks")
    )
    return [
        Figure(
            f"audience of {wanted:,}: caps, do-not-contact, from bitmaps", audience, "s", "", "≤ 0.5 s", audience <= 0.5
        ),
        Figure(f"dry run of a broadcast to {in_dry_run:,}, the whole page", dry, "s", "", "≤ 3 s at 500,000", dry <= 3),
        _rate(f"plan {wanted:,}: one row of the ledger each, A/B, hold-out", wanted / plan, copy, 0.1,
              f"ORM {plain:,.0f}/s; beside {sent_before:,} sent before; {reasons}"),
        _rate("chunk plan alone", wanted / chunk_plan, copy, 0.3, ""),
        Figure("rows of the ledger (everybody accounted for)", rows, "rows", "", f"{wanted:,}", rows == wanted),
        *hand.run(full),
    ]  # fmt: skip


def _rate(name: str, rate: float, copy: float, share: float, beside: str) -> Figure:
    ratio = f"{rate / copy:.3f} × COPY ({copy:,.0f} rows/s) {beside}"
    return Figure(name, rate, "contacts/s", ratio, f"≥ {share} × COPY", rate / copy >= share)


def _clean(brand: Brand) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table in (
            "campaigns_touch",
            "campaigns_sendtask",
            "campaigns_waveset",
            "campaigns_wave",
            "campaigns_variant",
        ):
            cursor.execute(f"DELETE FROM {table} WHERE brand_id = %s", [brand.pk])
        cursor.execute("DELETE FROM campaigns_broadcast WHERE brand_id = %s", [brand.pk])
        cursor.execute("DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = 5", [brand.pk])


@transaction.atomic
def _broadcast(**over: Any) -> Wave:
    broadcast = Broadcast.objects.create(**{"name": "bench", "state": "on", "audience": EVERYBODY} | over)
    for letter in "AB":
        Variant.objects.create(broadcast=broadcast, letter=letter, text=f"{letter}：新品到店")
    return Wave.objects.create(broadcast=broadcast, n=1, at=clock.now())


def _spent(act) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _in_transaction(act):  # type: ignore[no-untyped-def]
    with transaction.atomic():
        return act()


def _plan(brand: Brand, wave: Wave) -> tuple[float, dict[str, int]]:
    start = time.perf_counter()
    assert waves.plan(brand, wave.pk)
    spent = time.perf_counter() - start
    with transaction.atomic():
        return spent, Wave.objects.get(pk=wave.pk).numbers


def _audience(brand: Brand, wave: Wave) -> None:
    with transaction.atomic():
        frame = Frame.whole(brand)
        wanted = waves.wanted_of(brand, wave, frame)
        verdict = gate.judge(
            frame, wanted, at=clock.now(), kind=Touch.Kind.BROADCAST, rules=rules.rules_of(brand)
        )
        assert count(verdict.allowed)


def _chunk_plan(brand: Brand) -> float:
    """The send tasks without the ledger, taken back afterwards."""
    wave = _broadcast()
    with transaction.atomic():
        frame = Frame.whole(brand)
        wanted = waves.wanted_of(brand, wave, frame)
        start = time.perf_counter()
        fanout.cut_tasks(brand, wave, frame, wanted)
        fanout.put_tasks(brand, wave, clock.now(), 0, 0)
        spent = time.perf_counter() - start
        transaction.set_rollback(True)
    return spent


def _dry_run_page(brand: Brand, broadcast_id: int) -> float:
    """Seconds of the page through gunicorn, as a signed-in operator gets it; the first one wakes the process."""
    port = ports.any_free()
    with servers.web(port, workers=1, ALLOWED_HOSTS="127.0.0.1", SECURE="0"):
        cookie = pages.cookie_of(brand)
        pages._get(port, "/broadcasts/", cookie)
        return max(pages._get(port, f"/broadcasts/{broadcast_id}/check/", cookie) for _ in range(3))


def _plain(brand: Brand, n: int = 500) -> float:
    """People per second by the ORM: one question of the cap and one row each, a transaction for each person."""
    with transaction.atomic():
        ids = list(Contact.objects.order_by("pk").values_list("pk", flat=True)[:n])
    now, start = clock.now(), time.perf_counter()
    for contact_id in ids:
        with transaction.atomic():
            since = now - timedelta(days=7)
            if Touch.objects.filter(contact_id=contact_id, at__gte=since).count() < 100:
                Touch.objects.create(at=now, kind=Touch.Kind.BROADCAST, contact_id=contact_id)
    return n / (time.perf_counter() - start)
