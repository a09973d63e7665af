"""All chance of the sandbox. Without a seed it is the machine's; with one, the same acts give the same world again.

Two kinds: `draws(*key)` belongs to what the key names (whether lisi confirms msg…), so it does not matter in which
order things are asked or whether the process was restarted; `fresh(n)` is for ids, which may never come twice, and
counts. The count is kept with the transaction that used it (store.writing).
"""

import hashlib
import random
import secrets
import threading

_seed: str | None = None
_count = 0
_kept = 0  # the count as the database has it
_noise: dict[str, int] = {}
_lock = threading.Lock()


def seed() -> str | None:
    """The seed in force; None: the machine's own chance."""
    return _seed


def set_state(seed: str | int | None, count: int = 0) -> None:
    """Begin with a seed, or go on from a state that was kept."""
    global _seed, _count, _kept
    with _lock:
        _seed, _count, _kept = None if seed is None else str(seed), count, count
        _noise.clear()


def state() -> dict[str, str | int | None]:
    """What set_state needs, for the database."""
    return {"seed": _seed, "count": _count}


def unsaved() -> bool:
    """Whether the count has gone on since it was kept."""
    return _seed is not None and _count != _kept


def saved(count: int) -> None:
    """The database has the count now."""
    global _kept
    _kept = count


def count() -> int:
    """How many fresh values were given out."""
    return _count


def _digest(size: int, *parts: object) -> bytes:
    text = "\x1f".join(map(str, parts)).encode()
    if size <= 64:
        return hashlib.blake2b(text, digest_size=size).digest()
    return hashlib.shake_128(text).digest(size)


def fresh(size: int) -> bytes:
    """Bytes that were not given out before."""
    global _count
    if _seed is None:
        return secrets.token_bytes(size)
    with _lock:
        _count += 1
        return _digest(size, "fresh", _seed, _count)


def noise(size: int, what: str) -> bytes:
    """Bytes that nobody keeps: nonces, padding, hints. A name of its own for each use keeps them apart."""
    n = nth(what)
    return secrets.token_bytes(size) if _seed is None else _digest(size, "noise", _seed, what, n)


def nth(what: str) -> int:
    """1, 2, 3 … of this name since the process, or the seed, began."""
    with _lock:
        _noise[what] = _noise.get(what, 0) + 1
        return _noise[what]


def draws(*key: object) -> random.Random:
    """Dice that belong to the key: with a seed the same key always throws the same."""
    if _seed is None:
        return random.Random()
    return random.Random(_digest(16, "draws", _seed, *key))


def happens(rate: float, *key: object) -> bool:
    """Whether something of this likelihood happens to what the key names."""
    if rate <= 0:
        return False
    return rate >= 1 or draws(*key).random() < rate
