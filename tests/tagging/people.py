"""A crowd with a bit of everything that conditions ask, and random conditions about it."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from campaigns.models import Broadcast, SendTask, Sop, Touch
from commerce.models import Order, OrderLine, Product
from contacts.models import (
    BehaviourKind,
    Contact,
    ContactStat,
    CustomField,
    CustomValue,
    Event,
    Follow,
    Stage,
)
from contacts.services import stats
from groups.models import GroupChat, GroupMember
from groups.services.bits import came_in
from org.models import Region, Store
from tagging.conditions import FieldType, Known
from tagging.conditions.leaves import DAYS, EVENTS, FIELD_TESTS, LEAVES, OBJECTS, event_params
from tagging.conditions.windows import UNITS
from tagging.models import Tag
from tagging.services.bits import bits
from tagging.services.tags.tags import add_tags
from tests.factories import make_contact, make_corp, make_staff, make_tag

NOW = datetime(2028, 2, 25, 9, 30, tzinfo=UTC)  # a leap year, three days before its day
CATEGORIES = ("面霜", "精华", "防晒")
TEXTS = {  # source → words that are asked
    "categories": CATEGORIES,
    "order_channels": ("门店", "小程序"),
    "order_sources": ("t", "pos"),
    "words": ("退款", "PRICE", "好", "x"),
}
SAID = ("我想要退款100%", "what is the Price?", "你好", "")
OPTIONS = ("混油", "干皮", "敏感")
FIELDS = {
    "city": FieldType("城市", "text"),
    "skin": FieldType("肤质", "choice", OPTIONS),
    "pets": FieldType("宠物数", "number"),
    "birthday": FieldType("生日", "date"),
    "vip": FieldType("会员", "bool"),
}
CITIES = ("上海", "上海浦东", "Hangzhou", "hangzhou west")


def make_crowd(brand: Any, n: int = 60, seed: int = 1) -> Known:
    """`n` people of the brand in scope; gives the names that conditions about them may use."""
    dice = random.Random(seed)
    regions = [Region.objects.create(name=name) for name in "东西"]
    stores = [Store.objects.create(name=f"店{i}", region=regions[i % 2]) for i in range(3)]
    corp = make_corp(brand)
    guides = [
        make_staff(brand, corp, store=dice.choice([*stores, None]), region=dice.choice([*regions, None]))
        for _ in range(5)
    ]
    tags = [make_tag(brand) for _ in range(12)]
    products = [
        Product.objects.create(sku=str(i), name=f"商品{i}", category=CATEGORIES[i % 3]) for i in range(5)
    ]
    kinds = [BehaviourKind.objects.create(key=f"k{i}", label=f"行为{i}") for i in range(2)]
    sops = [Sop.objects.create(name=f"SOP{i}") for i in range(2)]
    casts = [Broadcast.objects.create(name=f"群发{i}") for i in range(2)]
    chats = [
        GroupChat.objects.create(corp=corp, chat_id=f"wr{i}", name=f"群{i}", created_at=NOW) for i in range(3)
    ]
    fields = [
        CustomField.objects.create(key=key, label=f.label, type=f.type, options=list(f.options))
        for key, f in FIELDS.items()
    ]
    stages = [Stage.objects.create(name=f"阶段{i}") for i in range(2)]
    for i in range(n):
        contact = make_contact(
            brand,
            position=i * 613,  # over several chunks
            name=dice.choice(["", "小明"]),
            gender=dice.choice([0, 1, 2]),
            kind=dice.choice([1, 1, 2]),
            do_not_contact=dice.random() < 0.2,
            added_at=_moment(dice),
            member_at=dice.choice([None, None, NOW]),
            stage=dice.choice([None, *stages]),
        )
        _follows(dice, corp, contact, guides)
        if some := [tag for tag in tags if dice.random() < 0.35]:
            add_tags(brand, contacts=[contact], tags=some, source="page")
        _orders(dice, contact, products, stores)
        objects = {
            "products": [p.pk for p in products], "behaviours": [k.pk for k in kinds], "groups": [c.pk for c in chats],
            "sops": [s.pk for s in sops], "tags": [t.pk for t in tags],
        }  # fmt: skip
        _events(dice, contact, objects)
        for _ in range(dice.choice([0, 0, 1, 3])):
            _touch(dice, contact, sops, casts, guides)
        for chat in chats:
            if dice.random() < 0.25:
                left = NOW if dice.random() < 0.3 else None
                GroupMember.objects.create(
                    chat=chat, kind=2, userid=f"wm{i}", contact=contact, joined_at=NOW, left_at=left
                )
                if left is None:
                    came_in(brand, [(chat.pk, contact.pk)])
        _fields(dice, contact, fields)
        stats.refresh(brand, [contact.pk])
        _value(dice, contact)
    bits.flush()
    return Known(
        names={
            "tags": {t.pk: t.name for t in tags},
            "staff": {g.pk: g.name for g in guides},
            "stores": {s.pk: s.name for s in stores},
            "regions": {r.pk: r.name for r in regions},
            "codes": {1: "码1", 2: "码2"},
            "groups": {c.pk: c.name for c in chats},
            "products": {p.pk: p.name for p in products},
            "behaviours": {k.pk: k.label for k in kinds},
            "sops": {s.pk: s.name for s in sops},
            "broadcasts": {b.pk: b.name for b in casts},
            "links": {1: "链接1", 2: "链接2"},
            "pages": {1: "表单1", 2: "表单2"},
            "moments": {1: "朋友圈1", 2: "朋友圈2"},
            "segments": {},
            "value_groups": {1: "忠诚", 2: "优质", 3: "一般", 4: "流失"},
            "lifecycle_stages": {1: "新客", 2: "活跃"},
            "stages": {s.pk: s.name for s in stages},
        },
        fields=FIELDS,
    )


def _moment(dice: random.Random) -> datetime:
    """Often near the bounds of windows that are asked."""
    days = dice.choice([0, 1, 2, 7, 8, 30, 31, 59, 90, 366, 400])
    return (
        NOW
        - timedelta(days=days)
        + timedelta(hours=dice.choice([-9, -1, 0, 1, 5]), seconds=dice.choice([0, 0, 1]))
    )


def _follows(dice: random.Random, corp: Any, contact: Contact, guides: list[Any]) -> None:
    n = 0
    for guide in dice.sample(guides, dice.choice([0, 1, 1, 2])):
        ended, pending = dice.random() < 0.3, dice.random() < 0.15
        Follow.objects.create(
            contact=contact, staff=guide, corp=corp, external_userid=f"wm{contact.pk}", added_at=contact.added_at,
            ended_at=NOW if ended else None, is_pending=pending, channel_code_id=dice.choice([None, 1, 2]),
        )  # fmt: skip
        n += not ended and not pending
    lost = None if n or dice.random() < 0.5 else _moment(dice)
    Contact.objects.filter(pk=contact.pk).update(n_follows=n, lost_at=lost)


_FINAL = (SendTask.State.FINAL,)
# touches of a broadcast stay planned while their send task is with the guide
TASKS = dict.fromkeys(Touch.State, _FINAL) | {
    Touch.State.PLANNED: (SendTask.State.PLANNED, SendTask.State.HANDED, SendTask.State.HANDED),
    Touch.State.DELIVERED: (SendTask.State.FINAL, SendTask.State.HANDED),
}


def _touch(dice: random.Random, contact: Contact, sops: list, casts: list, guides: list) -> None:
    """A message of an SOP, a broadcast, a welcome; a broadcast's has a send task unless it was held back at once."""
    S, at = Touch.State, _moment(dice)
    state = dice.choice([S.DELIVERED, S.DELIVERED, S.DELIVERED, S.BLOCKED, S.FAILED, S.HANDED, S.PLANNED])
    given: dict[str, Any] = {"kind": dice.choice([1, 4])}
    if (sort := dice.random()) < 0.4:
        given = {"kind": 2, "sop_id": dice.choice(sops).pk}
    elif sort < 0.85:
        cast = dice.choice(casts)
        given = {"kind": 3, "broadcast_id": cast.pk}
        if state != S.BLOCKED or dice.random() < 0.5:
            guide = dice.choice(guides)
            task = SendTask.objects.create(
                kind=3, corp_id=guide.corp_id, staff=guide, broadcast=cast, at=at, content_digest="x",
                contact_ids=[contact.pk], n=1, state=dice.choice(TASKS[state]),
            )  # fmt: skip
            given["send_task_id"] = task.pk
    arrived = state == S.DELIVERED
    Touch.objects.create(
        at=at, contact_id=contact.pk, state=state, **given,
        opened_at=NOW if state in (S.DELIVERED, S.HANDED) and dice.random() < 0.4 else None,
        replied_at=NOW if arrived and dice.random() < 0.4 else None,
        converted_at=NOW if arrived and dice.random() < 0.4 else None,
    )  # fmt: skip


def _orders(dice: random.Random, contact: Contact, products: list[Any], stores: list[Any]) -> None:
    for i in range(dice.choice([0, 0, 1, 2, 5])):
        at, amount = _moment(dice), dice.choice([0, 9900, 10000, 50000])
        sale = dice.random() < 0.8
        order = Order.objects.create(
            source=dice.choice(["t", "pos"]), order_no=f"{contact.pk}-{i}", contact=contact, placed_at=at, paid_at=at,
            amount_fen=amount, store=dice.choice([None, *stores]), channel=dice.choice(["", "门店", "小程序"]),
            refunded_fen=dice.choice([0, 0, amount // 2]), state=2, is_sale=sale, updated_at=at,
        )  # fmt: skip
        for k in range(dice.choice([0, 1, 1, 2])):
            product = dice.choice([*products, None])
            OrderLine.objects.create(
                order=order,
                n=k + 1,
                product=product,
                quantity=dice.choice([1, 2]),
                amount_fen=dice.choice([0, 5000]),
            )


def _events(dice: random.Random, contact: Contact, objects: dict[str, list[int]]) -> None:
    often = ["viewed", "cart", "custom", "group_joined", "searched", "content_opened", "word_said"] * 4
    for name in dice.choices([*EVENTS, *often], k=dice.choice([0, 0, 2, 6])):
        number, source = EVENTS[name]
        some = objects.get(source, [1, 2])  # whatever the names of links, pages and moments are
        Event.objects.create(
            at=_moment(dice),
            contact_id=contact.pk,
            type=number,
            object_id=dice.choice(some) if source else None,
            data={dice.choice(["text", "query", "title", "code"]): dice.choice(SAID)},
        )


def _fields(dice: random.Random, contact: Contact, fields: list[CustomField]) -> None:
    values: dict[str, list[Any]] = {
        "city": list(CITIES),
        "skin": list(OPTIONS),
        "pets": [0, 1, 2.5],
        "birthday": [
            date(1996, 2, 29),
            date(1990, 2, 28),
            date(1990, 3, 1),
            date(2000, 2, 25),
            date(2028, 2, 20),
        ],
        "vip": [True, False],
    }
    for field in fields:
        if dice.random() < 0.6:
            CustomValue.objects.create(
                field=field, contact=contact, **{field.column: dice.choice(values[field.key])}
            )


def _value(dice: random.Random, contact: Contact) -> None:
    sales = list(Order.objects.filter(contact=contact, is_sale=True).order_by("paid_at"))
    ContactStat.objects.filter(contact=contact).update(
        n_orders=len(sales),
        spent_fen=sum(s.amount_fen - s.refunded_fen for s in sales),
        first_order_at=sales[0].paid_at if sales else None,
        last_order_at=sales[-1].paid_at if sales else None,
        value_score=dice.choice([None, 0, 50, 90]),
        recency=dice.choice([None, 1, 5]),
        frequency=dice.choice([None, 1, 5]),
        monetary=dice.choice([None, 3]),
        value_group=dice.choice([None, 1, 2, 4]),
        lifecycle=dice.choice([None, 1, 2]),
        alive_ratio=dice.choice([None, 0.25, 0.9]),
        ltv_fen=dice.choice([None, 100_000]),
        next_order_on=dice.choice([None, date(2028, 2, 25), date(2028, 3, 3), date(2028, 2, 1)]),
    )


# ---- random conditions


def conditions(known: Known, segments: tuple[int, ...] = ()) -> st.SearchStrategy[Any]:
    """Conditions that may be asked about the crowd, as somebody would write them."""
    leaves = st.one_of([_leaf(kind, known, segments) for kind in LEAVES if kind != "segment" or segments])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda items: {"all": items}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda items: {"any": items}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda item: {"not": item}, inner),
        ),
        max_leaves=7,
    )


def _leaf(kind: str, known: Known, segments: tuple[int, ...]) -> st.SearchStrategy[Any]:
    if kind == "field":
        return st.sampled_from(list(FIELDS)).flatmap(_field_leaf)
    parts: dict[str, st.SearchStrategy[Any]] = {"kind": st.just(kind)}
    for param in LEAVES[kind].params:
        if param.type == "ids":
            ids = list(segments) if param.source == "segments" else list(known.names[param.source])
            value = st.lists(st.sampled_from(ids), min_size=1, max_size=12, unique=True)
        elif param.type == "words":
            value = st.lists(st.sampled_from(param.options), min_size=1, max_size=3)
        elif param.type == "word":
            value = st.sampled_from(param.options)
        elif param.type == "texts":
            value = st.lists(st.sampled_from(TEXTS[param.source]), min_size=1, max_size=2)
        elif param.type == "bool":
            value = st.booleans()
        elif param.type == "int":
            value = st.integers(1, 4)
        elif param.type == "compare":
            value = compares()
        else:
            value = windows(param.options, param.unit)
        parts[param.name] = (
            value
            if param.name in ("mode", "ids", "values", "event", "measure", "window", "n") or kind == "number"
            else st.none() | value
        )
    return st.fixed_dictionaries(parts).map(_sensible)


def _sensible(leaf: dict[str, Any]) -> dict[str, Any]:
    """Without what does not belong to the rest."""
    leaf = {name: value for name, value in leaf.items() if value is not None}
    if leaf["kind"] == "tags":
        leaf["n"] = min(leaf["n"], len(leaf["ids"]))
    if leaf["kind"] == "orders" and not leaf.get("product_ids") and not leaf.get("categories"):
        leaf["measure"] = leaf["measure"] if leaf["measure"] != "quantity" else "sum"
    if leaf["kind"] == "event":
        if leaf["event"] == "custom" and "behaviour_ids" not in leaf:
            leaf["event"] = "cart"
        for name in {*OBJECTS.values(), "words"} - set(event_params(leaf["event"])):
            leaf.pop(name, None)
    if leaf["kind"] == "touch" and "kinds" in leaf:
        for name, word in (("sop_ids", "sop"), ("broadcast_ids", "broadcast")):
            if word not in leaf["kinds"]:
                leaf.pop(name, None)
    return leaf


def compares() -> st.SearchStrategy[Any]:
    values = st.sampled_from([0, 1, 2, 3, 5, 50, 0.25, 2.5, 9900, 10000, 29900])
    simple = st.fixed_dictionaries(
        {"op": st.sampled_from(["eq", "ne", "ge", "gt", "le", "lt"]), "value": values}
    )
    between = st.tuples(values, values).map(lambda v: {"op": "between", "value": min(v), "to": max(v)})
    return simple | between


def windows(types: Any, unit: str = "") -> st.SearchStrategy[Any]:
    n = st.sampled_from([1, 2, 3, 7, 8, 30, 31, 90, 400])
    days = st.dates(date(2027, 12, 1), date(2028, 3, 10)).map(str)
    made: dict[str, st.SearchStrategy[Any]] = {
        "ever": st.just({}),
        "never": st.just({}),
        "last": st.fixed_dictionaries({"n": n} | ({"unit": st.sampled_from(["day", unit])} if unit else {})),
        "before": st.fixed_dictionaries({"n": n}),
        "next": st.fixed_dictionaries({"n": n}),
        "anniversary": st.fixed_dictionaries({"n": st.sampled_from([0, 1, 3, 4, 30])}),
        "month": st.fixed_dictionaries({"of": st.sampled_from(["this", "next"])}),
        "this": st.fixed_dictionaries({"unit": st.sampled_from(UNITS)}),
        "previous": st.fixed_dictionaries({"unit": st.sampled_from(UNITS)}),
        "between": st.tuples(days, days).map(lambda d: {"from": min(d), "to": max(d)})
        | days.map(lambda d: {"to": d})
        | days.map(lambda d: {"from": d}),
    }
    return st.one_of([made[t].map(lambda w, t=t: {"type": t, **w}) for t in types])


def every_option(known: Known, segments: tuple[int, ...]) -> list[st.SearchStrategy[Any]]:
    """Leaves with each option of each parameter of each kind, whatever else they say."""
    made = []
    for kind, leaf in LEAVES.items():
        if kind == "field":
            continue
        made.append(_leaf(kind, known, segments))
        for param in leaf.params:
            for option in param.options:
                fixed = st.just(option)
                if param.type == "words":
                    fixed = st.just([option])
                elif param.type == "window":
                    fixed = windows([option], param.unit)
                # quantities are counted of products only
                rest = {"product_ids": list(known.names["products"])[:2]} if option == "quantity" else {}
                made.append(
                    st.tuples(_leaf(kind, known, segments), fixed).map(
                        lambda two, name=param.name, rest=rest: _sensible(two[0] | rest | {name: two[1]})
                    )
                )
    for key, field in FIELDS.items():
        made += [_field_test(key, test) for test in FIELD_TESTS[field.type]]
        if field.type == "date":
            asked = {"kind": "field", "key": key, "test": "window"}
            made += [windows([day]).map(lambda w, asked=asked: {**asked, "window": w}) for day in DAYS]
    return made


def _field_leaf(key: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(FIELD_TESTS[FIELDS[key].type]).flatmap(lambda test: _field_test(key, test))


def _field_test(key: str, test: str) -> st.SearchStrategy[Any]:
    more: dict[str, st.SearchStrategy[Any]] = {
        "eq": st.fixed_dictionaries({"text": st.sampled_from(CITIES)}),
        "contains": st.fixed_dictionaries({"text": st.sampled_from(["上", "HANG", "west", "x"])}),
        "starts": st.fixed_dictionaries({"text": st.sampled_from(["上海", "hang"])}),
        "in": st.fixed_dictionaries({"texts": st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=2)}),
        "compare": st.fixed_dictionaries({"compare": compares()}),
        "window": st.fixed_dictionaries({"window": windows(DAYS)}),
    }
    rest = more.get(test, st.just({}))
    return rest.map(lambda given: {"kind": "field", "key": key, "test": test, **given})


__all__ = ["NOW", "Tag", "conditions", "every_option", "make_crowd"]
