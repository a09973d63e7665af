"""What a condition means in Python and in SQL is the same; what cannot be read is refused."""

from typing import Any

import numpy as np
import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings

from contacts.models import Contact
from org.access import SYSTEM
from tagging.conditions import ConditionError, Context, holds, parse
from tagging.conditions.evaluate import TESTS
from tagging.conditions.leaves import LEAVES
from tagging.conditions.shapes import MAX_DEPTH, MAX_LEAVES
from tagging.models import BITS
from tagging.services.segments import compile_leaves, persons, segments, why
from tagging.services.segments.audience import Audience
from tagging.services.segments.compile_leaves import LEAVES as COMPILED
from tests.factories import in_brand
from tests.tagging.people import NOW, conditions, every_option, make_crowd


class World:
    """A brand's crowd with a list and two segments, one of which names the other two."""

    def __init__(self, brand: Any) -> None:
        self.brand, self.known = brand, make_crowd(brand)
        pks = Contact.objects.order_by("position").values_list("pk", flat=True)
        self.people = {pk: person for pk in pks if (person := persons.load(pk))}
        self.on_list = set(list(self.people)[::3])
        some = segments.create_list(brand, by=SYSTEM, name="名单", contact_ids=self.on_list)
        tags = list(self.known.names["tags"])[:2]
        tagged = segments.create_segment(
            brand, by=SYSTEM, name="标签", condition={"kind": "tags", "ids": tags}
        )
        inside = {"kind": "segment", "mode": "none", "ids": [tagged.pk]}
        outer = segments.create_segment(
            brand, by=SYSTEM, name="外", condition={"any": [inside, {"kind": "segment", "ids": [some.pk]}]}
        )
        self.some, self.dynamic = some.pk, {row.pk: row.condition for row in (tagged, outer)}
        self.segments = (some.pk, tagged.pk, outer.pk)
        self.known.names["segments"].update(dict.fromkeys(self.segments, "x"))  # type: ignore[attr-defined]

    def context(self, pk: int) -> Context:
        return Context(NOW, self.brand.timezone, {self.some: pk in self.on_list, **self.dynamic})

    def check(self, raw: Any) -> None:
        """Python, SQL in all its forms, and the explanation of one who is in and one who is out agree."""
        condition = parse(raw, self.known)
        assert parse(condition, self.known) == condition
        expected = [pk for pk, person in self.people.items() if holds(condition, person, self.context(pk))]
        audience = Audience(self.brand, condition, now=NOW)
        assert audience.ids() == expected
        n, newest = audience.count_and_sample(5)
        assert (n, newest) == (len(expected), expected[::-1][:5])
        assert audience.count() == n
        few = list(self.people)[n % 3 :: 3]  # asked about alone: their own rows are read
        assert audience.has(few) == set(expected) & set(few)
        packed = audience.bitmap()
        assert sum(chunk.bit_count() for chunk in (int.from_bytes(b) for b in packed.values())) == n
        run = np.unpackbits(np.frombuffer(audience.packed(), np.uint8), bitorder="little")
        ones = {chunk: np.unpackbits(np.frombuffer(b, np.uint8)) for chunk, b in packed.items()}
        assert set(np.flatnonzero(run)) == {
            chunk * BITS + n for chunk, bits in ones.items() for n in np.flatnonzero(bits)
        }
        in_ = set(expected)
        out = next((pk for pk in self.people if pk not in in_), None)
        for pk in {expected[0] if expected else None, out} - {None}:
            tree = why.explain(self.brand, condition, pk, now=NOW)
            assert tree["holds"] is (pk in in_)
            _agrees_with_its_parts(tree)


def _agrees_with_its_parts(tree: dict[str, Any]) -> None:
    parts = [item["holds"] for item in tree.get("items", ())]
    expected = {"all": all, "any": any, "not": lambda p: not p[0]}
    if tree["word"] in expected:
        assert tree["holds"] is expected[tree["word"]](parts)
    else:
        assert tree["text"] and isinstance(tree["fact"], str)
    for item in tree.get("items", ()):
        _agrees_with_its_parts(item)


def test_python_and_sql_agree(brand: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        make_crowd(other_brand, n=5)
    with in_brand(brand):
        world = World(brand)

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(conditions(world.known, world.segments))
        def agree(raw: Any) -> None:
            with transaction.atomic():  # a statement that Postgres refuses fails this example alone
                world.check(raw)

        agree()


def test_every_option_of_every_kind(brand: Any, monkeypatch: Any) -> None:
    """The random ones above may pass over an option; these do not. Unknown kinds are neither read nor evaluated."""
    with in_brand(brand):
        world = World(brand)
        assert set(LEAVES) == set(TESTS) == set(COMPILED)
        seen: set[tuple[str, str, Any]] = set()

        def agree(leaf: Any) -> None:
            for param in LEAVES[leaf["kind"]].params:
                value = leaf.get(param.name)
                value = value.get("type") if param.type == "window" and value else value
                options = value if isinstance(value, list) else [value]
                if param.options:
                    seen.update((leaf["kind"], param.name, option) for option in options)
            with transaction.atomic():
                world.check(leaf)
                world.check({"not": leaf})
                if leaf["kind"] in ("staff", "store", "region", "tags"):
                    with monkeypatch.context() as many:  # more than are looked up as bitmaps
                        many.setattr(compile_leaves, "MAX_BITMAPS", 1)
                        many.setattr(compile_leaves, "MAX_OF", 1)
                        world.check(leaf)

        rules = settings(
            max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )
        for leaf in every_option(world.known, world.segments):
            rules(given(leaf)(agree))()
        missing = {
            (kind, param.name, option)
            for kind, leaf in LEAVES.items()
            for param in leaf.params
            for option in param.options
        } - seen
        assert missing <= {("event", "event", "custom")}, missing
        for node in ({"kind": "moon"}, {"all": [{"kind": "moon"}]}, {"not": {}}):
            with pytest.raises(ConditionError):
                parse(node, world.known)
            with pytest.raises((KeyError, AttributeError)):
                holds(node, next(iter(world.people.values())), world.context(0))
            with pytest.raises((KeyError, AttributeError)):
                Audience(brand, node, now=NOW).count()


def test_words_and_numbers_of_the_tables_fit_together() -> None:
    """Each event and result has words; numbers are those of the models; each object of an event can be chosen."""
    from campaigns.models import Touch
    from campaigns.services.ledger import audience
    from contacts.models import EventType
    from tagging.conditions import evaluate, summary
    from tagging.conditions.leaves import EVENTS, OBJECTS, RESULTS, TOUCH_KINDS
    from tagging.services.segments import naming

    assert set(EVENTS) == set(summary.EVENTS)
    assert {number for number, _source in EVENTS.values()} <= set(EventType.values)
    assert set(RESULTS) == set(summary.RESULTS) == set(audience.RESULTS) == set(evaluate.RESULT_TESTS)
    assert set(TOUCH_KINDS.values()) == set(Touch.Kind.values)
    assert set(TOUCH_KINDS) == set(summary.TOUCH_KINDS)
    assert {source for _number, source in EVENTS.values()} - {""} <= set(OBJECTS)
    sources = {(p.type, p.source) for leaf in LEAVES.values() for p in leaf.params if p.source}
    assert {source for type_, source in sources if type_ == "ids"} <= set(naming.SOURCES) | set(naming.FIXED)
    assert {source for type_, source in sources if type_ == "texts"} <= set(naming.TEXTS)


def test_nesting_has_an_end() -> None:
    deep: Any = {"kind": "everybody"}
    for _level in range(MAX_DEPTH - 1):
        deep = {"not": deep}
    assert parse(deep)
    for bad in ({"not": deep}, {"all": [{"kind": "everybody"}] * (MAX_LEAVES + 1)}):
        with pytest.raises(ConditionError):
            parse(bad)
    for _level in range(5_000):
        deep = {"all": [deep]}
    with pytest.raises(ConditionError):
        parse(deep)
