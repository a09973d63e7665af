"""Keyset pages: every row once, whatever is added meanwhile; a forged token is a clear error."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contacts.models import Contact
from scrm.errors import InvalidError
from scrm.keyset import keyset_page
from tests.factories import in_brand, make_contact

ORDER = ("-added_at", "-pk")
# readable, but of values that the fields do not hold: [a moment without a zone, 1], ["x", 1], [a moment, "x"], ["a" and NUL, 1]
FIELDS = [
    "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwgMV0",
    "WyJ4IiwgMV0",
    "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwgIngiXQ",
    "WyJhXHUwMDAwIiwgMV0",
]


@pytest.mark.django_db
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pages_hold_every_row_once(brand: Any, size: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with in_brand(brand):
        # equal times: the second field decides
        made = [make_contact(brand, added_at=start + timedelta(days=i // 3)).pk for i in range(7)]
        seen: list[int] = []
        after = ""
        while True:
            page = keyset_page(Contact.objects.all(), order=ORDER, after=after, size=size)
            seen += [c.pk for c in page]
            if not page.next:
                break
            make_contact(brand, added_at=start + timedelta(days=90))  # newer rows do not shift the pages
            after = page.next
        assert seen == sorted(made, reverse=True)


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["x", "W10", "eyJhIjoxfQ", "é", "WyJ4IiwgW11d", "%00", *FIELDS])
def test_forged_token_is_refused(brand: Any, token: str) -> None:
    with in_brand(brand), pytest.raises(InvalidError):
        keyset_page(Contact.objects.all(), order=ORDER, after=token)
