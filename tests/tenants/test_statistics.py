"""New statistics, where Postgres does not know that a brand has become large."""

from typing import Any

import pytest
from django.db import connections

from contacts.models import Contact
from scrm import clock
from tenants.db import statistics
from tests.factories import in_brand


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_brand_that_has_become_large_is_noticed(brand: Any, other_brand: Any) -> None:
    def fill(of: Any, n: int) -> None:
        with in_brand(of):
            Contact.objects.bulk_create(
                Contact(position=i, name="客户", added_at=clock.now()) for i in range(n)
            )

    fill(other_brand, 300)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE contacts_contact")
    fill(brand, 300)
    assert statistics.refresh(brand, ["contacts_contact"], 300)
    assert not statistics.refresh(brand, ["contacts_contact"], 300)
    assert not statistics.refresh(other_brand, ["contacts_contact"], 300)
