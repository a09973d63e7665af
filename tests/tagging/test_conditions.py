"""What a condition means in Python and in SQL is the same; what cannot be read is refused."""

from typing import Any

from django.db import transaction
from hypothesis import HealthCheck, given, settings

from contacts.models import Contact
from org.access import SYSTEM
from tagging.conditions import Context, holds, parse
from tagging.services import persons, segments
from tagging.services.audience import Audience
from tests.factories import in_brand
from tests.tagging.people import NOW, conditions, make_crowd


def test_python_and_sql_agree(brand: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        make_crowd(other_brand, n=5)
    with in_brand(brand):
        known = make_crowd(brand)
        people = {
            pk: persons.load(pk) for pk in Contact.objects.order_by("position").values_list("pk", flat=True)
        }
        some = segments.create_list(brand, by=SYSTEM, name="名单", contact_ids=list(people)[::3])
        tagged = segments.create_segment(
            brand, by=SYSTEM, name="标签", condition={"kind": "tags", "ids": list(known.names["tags"])[:2]}
        )
        known.names["segments"].update({some.pk: "名单", tagged.pk: "标签"})  # type: ignore[attr-defined]

        @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
        @given(conditions(known, (some.pk, tagged.pk)))
        def agree(raw: Any) -> None:
            with transaction.atomic():  # a statement that Postgres refuses fails this example alone
                check(parse(raw, known))

        def context(pk: int) -> Context:
            return Context(NOW, brand.timezone, {some.pk: pk in on_list, tagged.pk: tagged.condition or {}})

        on_list = set(list(people)[::3])

        def check(condition: Any) -> None:
            assert parse(condition, known) == condition
            expected = [
                pk for pk, person in people.items() if person and holds(condition, person, context(pk))
            ]
            audience = Audience(brand, condition, now=NOW)
            assert audience.ids() == expected
            n, newest = audience.count_and_sample(5)
            assert (n, newest) == (len(expected), expected[::-1][:5])
            assert audience.count() == n
            few = list(people)[n % 3 :: 3]  # asked about alone: their own rows are read
            assert audience.has(few) == set(expected) & set(few)
            packed = audience.bitmap()
            assert sum(chunk.bit_count() for chunk in (int.from_bytes(b) for b in packed.values())) == n

        agree()
