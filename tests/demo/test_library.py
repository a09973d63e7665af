"""The demo's library: there once, however often it starts; its page can be opened and answered."""

from typing import Any

import pytest

from content.models import Content, TrackedLink
from demo import library
from tests.content.test_links import browser
from tests.factories import in_brand


@pytest.mark.django_db(transaction=True)
def test_filled_once(brand: Any, corp: Any) -> None:
    for _start in range(2):
        with in_brand(brand):
            library.fill(brand)
    with in_brand(brand):
        assert Content.objects.count() == 12 and not Content.objects.filter(current_id=None).exists()
        link = TrackedLink.objects.get()
    client = browser()
    assert "两分钟" in client.get(client.get(f"/l/{link.key}/")["Location"]).text
