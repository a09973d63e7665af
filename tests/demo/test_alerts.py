"""The demo's alerts and moment: there once, however often it starts."""

from typing import Any

import pytest

from campaigns.models import AlertRule, Moment
from demo import alerts
from tests.factories import in_brand


@pytest.mark.django_db(transaction=True)
def test_given_once(brand: Any, corp: Any) -> None:
    for _start in range(2):
        with in_brand(brand):
            alerts.give(brand)
    with in_brand(brand):
        assert AlertRule.objects.filter(is_on=True).count() == 3 and Moment.objects.get().state == "planned"
