"""Purchases, refunds and behaviour of the demo's people. When, how many pieces and for how much are CDNOW's (shifted by
days, a dollar as seven yuan, demo_data/README.md); products, channels, refunds and behaviour are invented from a seed."""

import csv
import io
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from commerce.models import Order
from commerce.services import orders, products, staging
from commerce.services.order_merge import merge_orders
from contacts.models import BehaviourKind, Contact, CustomField, Follow, Reminder, Stage
from contacts.services import fields, reminders, stages, values
from contacts.services.behaviour import COLUMNS, merge_behaviour
from contacts.services.staging import open_table
from demo.people import SHANGHAI, Person, buyers
from demo.shelf import SHELVES, Item, Shelf
from demo.story import BrandStory
from org.access import SYSTEM, Actor
from org.models import Staff
from scrm import clock
from tagging.services.value import lifecycle
from tenants.models import Brand

YUAN_PER_DOLLAR = 7
SOURCE = "shop"
# of what people do without buying, in the likeness of the Taobao sample, with searches and check-outs
ACTS = (("view", 55), ("cart", 20), ("favourite", 10), ("search", 10), ("checkout", 5))
HOURS = (2, 1, 1, 0, 0, 1, 2, 4, 5, 6, 7, 7, 8, 7, 6, 6, 6, 7, 8, 11, 13, 13, 10, 6)


def shop(brand: Brand, story: BrandStory, crowd: Sequence[Person], file: Path) -> tuple[int, int]:
    """Fill the brand's catalogue, orders, refunds, behaviour, own fields, stages and reminders; gives how many orders and
    acts. Safe to repeat."""
    shelf, now = SHELVES[story.slug], clock.now()
    products.record_products(
        brand,
        [
            {name: getattr(item, name) for name in ("sku", "name", "category", "price_fen", "usage_days")}
            for item in shelf.items
        ],
    )
    told = _orders(story, crowd, shelf, file, now)
    # what lies more than two weeks back first, so that the stages of the lifecycle have moved since
    before = now - timedelta(days=14)
    n_orders = _tell_orders(brand, [row for row in told if row["paid_at"] < before])
    with clock.at(before), transaction.atomic():
        lifecycle.place(brand)
    n_orders += _tell_orders(brand, [row for row in told if row["paid_at"] >= before])
    _refunds(brand, story, now)
    own(brand, shelf)
    n_acts = _acts(brand, story, crowd, shelf, now)
    _profiles(brand, story, shelf)
    return n_orders, n_acts


def _orders(
    story: BrandStory, crowd: Sequence[Person], shelf: Shelf, file: Path, now: datetime
) -> list[dict[str, Any]]:
    categories = sorted({item.category for item in shelf.items})
    by_category = {c: [item for item in shelf.items if item.category == c] for c in categories}
    found, history = [], buyers(file, now.astimezone(SHANGHAI).date())
    told = [
        (person, n, *row)
        for person in crowd
        for n, row in enumerate(history[person.member_no[1:]].bought, start=1)
    ]
    for person, n, day, quantity, cents in told:
        customer = person.member_no[1:]
        number = f"{story.slug[:2].upper()}{customer}{n:03d}"
        dice = random.Random(f"{story.seed}:{number}")
        seconds = int(min(max(dice.gauss(16, 4), 8), 23.9) * 3600) + dice.randrange(300)
        at = datetime.combine(day, time(), SHANGHAI).astimezone(UTC) + timedelta(seconds=seconds)
        favourite = categories[hash_of(customer) % len(categories)]
        fen = cents * YUAN_PER_DOLLAR
        lines = _basket(dice, by_category[favourite], shelf.items, quantity, fen)
        in_store = dice.random() < 0.25
        found.append(
            {
                "order_no": number, "buyer_kind": "member_no", "buyer_value": person.member_no, "paid_at": at,
                "placed_at": at - timedelta(seconds=dice.randrange(20, 600)), "amount_fen": fen,
                "state": (Order.State.DONE if now - at > timedelta(days=10) else Order.State.PAID).value,
                "store_code": story.stores[hash_of(customer) % len(story.stores)][1] if in_store else None,
                "channel": "门店" if in_store else dice.choice(("小程序", "小程序", "天猫")), "updated_at": at,
                "lines": lines,
            }
        )  # fmt: skip
    return found


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return int.from_bytes(text.encode(), "big") % 7919


def _basket(
    dice: random.Random, liked: Sequence[Item], items: Sequence[Item], quantity: int, fen: int
) -> list[dict[str, Any]]:
    """One to three products whose pieces and money add up to the purchase."""
    n = min(max(quantity, 1), dice.choice((1, 1, 1, 2, 2, 3)))
    unit = fen / max(quantity, 1)
    pool = liked if dice.random() < 0.7 else items
    chosen = sorted(pool, key=lambda item: abs(item.price_fen - unit) * dice.uniform(0.4, 1.6))[:n]
    n = len(chosen)
    pieces = [quantity // n + (i < quantity % n) for i in range(n)]
    weights = [item.price_fen * max(count, 1) for item, count in zip(chosen, pieces, strict=True)]
    money = [fen * weight // sum(weights) for weight in weights]
    money[0] += fen - sum(money)
    return [
        {"sku": item.sku, "name": item.name, "quantity": count, "amount_fen": part}
        for item, count, part in zip(chosen, pieces, money, strict=True)
    ]


def _copy(cursor: Any, table: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["" if row.get(c) is None else row[c] for c in columns] for row in rows])
    text.seek(0)
    cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN WITH (FORMAT csv)", text)


@transaction.atomic
def _tell_orders(brand: Brand, told: list[dict[str, Any]]) -> int:
    if not told:
        return 0
    lines = []
    for n, row in enumerate(told):
        row["n"] = n
        lines += [{**line, "order_n": n, "n": i} for i, line in enumerate(row["lines"], start=1)]
    with connection.cursor() as cursor:
        staging.open_tables(cursor, "order_in", "line_in")
        _copy(cursor, "order_in", [c for c in told[0] if c != "lines"], told)
        _copy(cursor, "line_in", list(lines[0]), lines)
        merge_orders(brand, source=SOURCE, told_by="import")
    return len(told)


def _refunds(brand: Brand, story: BrandStory, now: datetime) -> None:
    """One order in forty is given back, wholly or in part."""
    with transaction.atomic():
        recent = Order.objects.filter(paid_at__gt=now - timedelta(days=200), amount_fen__gt=0).order_by("pk")
        found = list(recent.values_list("order_no", "amount_fen", "paid_at"))
    rows = []
    for number, fen, paid_at in found:
        assert paid_at is not None
        dice = random.Random(f"refund:{number}")
        at = paid_at + timedelta(days=dice.randrange(1, 9), seconds=dice.randrange(30_000))
        if dice.random() < 0.025 and at < now:
            part = fen if dice.random() < 0.6 else fen // dice.choice((2, 3, 4))
            reason = dice.choice(("不喜欢这个味道", "收到时破损", "拍错了", "与描述不符"))
            rows.append(
                {
                    "refund_no": f"TK{number}",
                    "order_no": number,
                    "amount_fen": part,
                    "refunded_at": at,
                    "reason": reason,
                }
            )
    orders.record_refunds(brand, rows, source=SOURCE, told_by="import")


@transaction.atomic
def own(brand: Brand, shelf: Shelf) -> None:
    """The brand's own fields, stages and kinds of behaviour."""
    for key, label, kind, options in shelf.fields:
        if not CustomField.objects.filter(key=key).exists():
            fields.create_field(brand, by=SYSTEM, key=key, label=label, type=kind, options=options)
    for name in shelf.stages:
        if not Stage.objects.filter(name=name).exists():
            stages.create_stage(brand, by=SYSTEM, name=name)
    for key, label in shelf.kinds:
        BehaviourKind.objects.get_or_create(key=key, defaults={"label": label})


@transaction.atomic
def _acts(brand: Brand, story: BrandStory, crowd: Sequence[Person], shelf: Shelf, now: datetime) -> int:
    """What a quarter of the people did on the brand's pages in the last 60 days."""
    kinds, weights = [kind for kind, _ in ACTS], [weight for _, weight in ACTS]
    midnight = datetime.combine(now.astimezone(SHANGHAI).date(), time(), SHANGHAI).astimezone(UTC)
    rows: list[dict[str, Any]] = []
    for person in crowd:
        dice = random.Random(f"acts:{story.seed}:{person.member_no}")
        if dice.random() > 0.25:
            continue
        for n in range(min(1 + int(dice.expovariate(0.22)), 25)):
            days = int(60 * dice.random() ** 1.5)
            hour = dice.choices(range(24), HOURS)[0]
            at = midnight - timedelta(days=days) + timedelta(hours=hour, seconds=dice.randrange(3600))
            if at >= now or at < person.joined_at:
                continue
            kind = dice.choices(kinds, weights)[0] if dice.random() > 0.04 else dice.choice(shelf.kinds)[0]
            data = f'{{"query": "{dice.choice(shelf.words)}"}}' if kind == "search" else None
            sku = dice.choice(shelf.items).sku if kind in kinds and kind != "search" else None
            rows.append(
                {
                    "n": len(rows), "kind": kind, "at": at, "source_key": f"{person.member_no}-{n}",
                    "buyer_kind": "member_no", "buyer_value": person.member_no, "sku": sku, "data": data,
                }
            )  # fmt: skip
    with connection.cursor() as cursor:
        open_table(cursor, "behaviour_in", COLUMNS)
        _copy(cursor, "behaviour_in", list(rows[0]), rows)
        merge_behaviour(brand, source="demo", told_by="import")
    return len(rows)


@transaction.atomic
def _profiles(brand: Brand, story: BrandStory, shelf: Shelf) -> None:
    """Values of own fields of the newest 6,000, stages of 500, reminders of some guides."""
    follows = Follow.objects.filter(ended_at=None).order_by("-added_at", "-pk")
    newest = list(dict.fromkeys(follows.values_list("contact_id", flat=True)[:6_000]))
    dice = random.Random(f"profiles:{story.seed}")
    made = {field.key: field for field in fields.live_fields()}
    for key, _label, kind, options in shelf.fields:
        given: dict[int, Any] = {}
        for pk in newest:
            if dice.random() < 0.45:
                given[pk] = {
                    "date": date(1975 + dice.randrange(32), 1 + dice.randrange(12), 1 + dice.randrange(28)),
                    "choice": dice.choice(options or ("",)),
                    "number": float(
                        dice.choice((3, 5, 6, 8)) if key == "child_age" else dice.choice((100, 200, 300, 500))
                    ),
                    "bool": dice.random() < 0.3,
                }[kind]
        values.write_values(brand, made[key], given)
    if Reminder.objects.exists():
        return
    rows = stages.live_stages()
    buckets: dict[int, list[int]] = defaultdict(list)
    for n, pk in enumerate(newest[:500]):
        buckets[dice.choices(range(len(rows)), range(len(rows) + 2, 2, -1))[0]].append(pk)
        if n < 12:
            _remind(brand, pk, n, dice)
    for place, ids in sorted(buckets.items()):
        stages.set_stage(brand, contacts=ids, stage=rows[place], by=Actor("小运"), source="page")


def _remind(brand: Brand, contact_id: int, n: int, dice: random.Random) -> None:
    follow = (
        Follow.objects.filter(contact=contact_id, ended_at=None).select_related("staff", "contact").first()
    )
    words = ("回访试用感受", "确认到店时间", "补货到了告诉她", "生日前送祝福", "问问礼盒送到了吗")
    if follow is not None and isinstance(follow.staff, Staff) and isinstance(follow.contact, Contact):
        due = clock.now() + timedelta(minutes=4 + 7 * n) if n < 4 else clock.now() + timedelta(hours=5 * n)
        reminders.add_reminder(
            brand, contact=follow.contact, staff=follow.staff, text=dice.choice(words), due_at=due,
            by=Actor(follow.staff.name),
        )  # fmt: skip
