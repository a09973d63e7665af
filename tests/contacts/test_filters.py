"""What the address of the list says, and what it never silently means."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from contacts.filters import STATES, Filters, parse
from contacts.views.lists import query_of
from scrm.errors import InvalidError

ids = st.integers(1, 2**63 - 1)
filters = st.builds(
    Filters,
    q=st.text(alphabet="王小明vip 9%", max_size=10).map(str.strip),
    guide=st.none() | ids,
    store=st.none() | ids,
    code=st.none() | ids,
    tags=st.lists(ids, max_size=4, unique=True).map(tuple),
    state=st.sampled_from(["", *STATES]),
    since=st.none() | st.dates(date(2000, 1, 1), date(2200, 1, 1)),
    dnc=st.booleans(),
    segment=st.none() | ids,
)


@given(filters)
def test_an_address_says_the_filter_again(found: Filters) -> None:
    assert parse(QueryDict(query_of(found))) == found
    assert parse(found.as_query()) == found  # a saved view


@pytest.mark.parametrize(
    "query",
    [
        "guide=x",
        "guide=-1",
        "segment=vip",
        "segment=0",
        "tag=1&tag=",
        "tag=a",
        "state=all",
        "since=2026-13-01",
        "until=x",
        "dnc=yes",
        "all=2",
        "code=99999999999999999999",
        "since=0001-01-01",
        "&".join(f"tag={n}" for n in range(1, 22)),
    ],
)
def test_what_cannot_be_read_is_refused(query: str) -> None:
    if query == "tag=1&tag=":
        assert parse(QueryDict(query)).tags == (1,)
        return
    with pytest.raises(InvalidError):
        parse(QueryDict(query))


def test_days_are_the_brands() -> None:
    found = Filters(since=date(2026, 3, 1), until=date(2026, 3, 1))
    assert found.moments("Asia/Shanghai") == (
        datetime(2026, 2, 28, 16, tzinfo=UTC),
        datetime(2026, 3, 1, 16, tzinfo=UTC),
    )
    assert Filters().moments("Asia/Shanghai") == (None, None)


def test_unknown_parameters_do_not_matter() -> None:
    query: Any = QueryDict("after=abc&utm=1&q=%E7%8E%8B")
    assert parse(query) == Filters(q="王")
    assert not Filters() and Filters(dnc=True)
