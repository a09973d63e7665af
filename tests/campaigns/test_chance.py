"""Sticky chance: the same in Python and SQL, even, and independent between seeds."""

import numpy as np
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from campaigns import chance

IDS = np.arange(1, 200_001)


@pytest.mark.parametrize("seed", [1, 2, 17, 1_000_003, 2**40 + 5])
def test_sql_agrees(db: None, seed: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {chance.bucket_sql('n', seed)} FROM generate_series(1::bigint, 20000) AS n")
        assert [row[0] for row in cursor.fetchall()] == list(chance.buckets(np.arange(1, 20_001), seed))


@given(st.integers(1, 2**40), st.integers(1, 2**50))
def test_one_agrees_with_many(seed: int, contact_id: int) -> None:
    assert chance.bucket(contact_id, seed) == chance.buckets([contact_id, 1], seed)[0]
    assert 0 <= chance.bucket(contact_id, seed) < chance.BUCKETS


@pytest.mark.parametrize("percent", [1, 10, 50])
@pytest.mark.parametrize("seed", range(1, 8))
def test_shares_are_even_and_seeds_independent(seed: int, percent: int) -> None:
    mine = chance.buckets(IDS, seed) < percent * 100
    assert mine.mean() == pytest.approx(percent / 100, rel=0.1)
    other = chance.buckets(IDS, seed + 1) < percent * 100
    share = (percent / 100) ** 2
    assert (mine & other).mean() == pytest.approx(share, abs=5 * (share / len(IDS)) ** 0.5)
