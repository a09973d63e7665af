"""JSON from outside: what Python or Postgres could not keep is refused."""

import pytest

from scrm import json_in


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "1e400", "[-1e400]", "[" * 100_000, '"\\ud83d"', "{", b"\xff"]
)
def test_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        json_in.loads(text)


def test_read() -> None:
    assert json_in.loads('{"a": [1, -2.5, 1e300, "\\ud83d\\ude00", null, true]}') == {
        "a": [1, -2.5, 1e300, "😀", None, True]
    }
