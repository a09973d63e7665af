"""A transaction that met another one is made again, some times and no more."""

from typing import Any

import pytest

from tenants.db.clash import is_clash, turns


def met(code: str = "40P01") -> Exception:
    error = RuntimeError("met another one")
    error.__cause__ = type("Deadlock", (Exception,), {"pgcode": code})()
    return error


@pytest.mark.parametrize("n_bad", [0, 1, 2])
def test_it_is_made_again_until_it_goes_well(n_bad: int) -> None:
    seen, between = [], []

    def act() -> str:
        for turn in turns(3):
            with turn:
                seen.append(turn.n)
                if turn.n < n_bad:
                    raise met()
                return "done"
            between.append(turn.n)
        raise AssertionError

    assert act() == "done"
    assert (seen, between) == (list(range(n_bad + 1)), list(range(n_bad)))


@pytest.mark.parametrize("error", [met(), met("23505"), KeyboardInterrupt()])
def test_the_last_one_and_other_errors_are_told(error: Any) -> None:
    seen = 0
    with pytest.raises(type(error)):
        for turn in turns(3):
            with turn:
                seen += 1
                raise error
    assert seen == (3 if isinstance(error, Exception) and is_clash(error) else 1)


def test_what_may_be_repeated_is_said_by_who_asks() -> None:
    for turn in turns(2, lambda error: isinstance(error, KeyError)):
        with turn:
            if turn.n == 0:
                raise KeyError
    with pytest.raises(ValueError):
        for turn in turns(2, lambda error: isinstance(error, KeyError)):
            with turn:
                raise ValueError
