"""Chance that stays: the same contact always gets the same number for the same seed. Pure; Python, numpy and SQL agree.

Hold-outs and variants are cut from it, so that who is in which is the same in every wave and after every restart, and
two broadcasts cut independently. (Postgres's own hash functions may change between its versions.)
"""

from typing import Any

import numpy as np

BUCKETS = 10_000
_P, _A = 2_147_483_647, 48_271  # a prime below 2^31 and a multiplier: products stay within 63 bits


def _multiplier(seed: int) -> int:
    return (seed % _P * 69_621 + 40_503) % _P or 1


def buckets(contact_ids: Any, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """0 … 9,999 for each contact."""
    x = np.asarray(contact_ids, dtype=np.int64) % _P * _multiplier(seed) % _P
    x = (x ^ (x >> 15)) * _A % _P
    x = (x ^ (x >> 13)) * _A % _P
    return x % BUCKETS


def bucket(contact_id: int, seed: int) -> int:
    """The same for one contact."""
    return int(buckets([contact_id], seed)[0])


def bucket_sql(column: str, seed: int) -> str:
    """The same as an SQL expression over a bigint column; `seed` is ours, never a person's text."""
    # mod(), not %, which parameters of a statement would have to double
    x = f"mod(mod({column}, {_P}) * {_multiplier(seed)}, {_P})"
    x = f"mod(({x} # ({x} >> 15)) * {_A}, {_P})"
    x = f"mod(({x} # ({x} >> 13)) * {_A}, {_P})"
    return f"mod({x}, {BUCKETS})"
