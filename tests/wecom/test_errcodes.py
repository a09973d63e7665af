"""The table of WeCom's errcodes: complete where the product acts on it, readable for a brand admin."""

import pickle

import pytest

from wecom.errcodes import _GROUPS, TABLE, UNKNOWN, Kind, advice
from wecom.errors import (
    LostAnswer,
    WeComForbidden,
    WeComRateLimited,
    WeComRejected,
    WeComUnavailable,
    refusal,
)


def test_every_code_stands_once() -> None:
    codes = [code for _, group, _, _ in _GROUPS for code in group]
    assert len(codes) == len(set(codes)) == len(TABLE)


def test_what_an_admin_must_mend_says_so() -> None:
    for code, (kind, text, page) in TABLE.items():
        assert str(text), code
        assert not (page and kind in (Kind.RETRY, Kind.LIMIT, Kind.SESSION)), code
    assert advice(987654) is UNKNOWN


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, WeComUnavailable) for code in (-1, 6000, 41063, 41096, 40014, 42001)),
        *((code, WeComRateLimited) for code in (45009, 45033, 45035)),
        *(
            (code, WeComForbidden)
            for code in (40001, 40013, 40091, 48002, 60011, 60020, 84074, 301002, 41045)
        ),
        *((code, WeComRejected) for code in (84061, 41050, 41051, 41048, 40096, 40058, 60111, 123456)),
    ],
)
def test_class_of_a_code(code: int, kind: type) -> None:
    error = refusal("some/api", code, "said so")
    assert type(error) is kind
    again = pickle.loads(pickle.dumps(error))
    assert (again.api, again.errcode, again.errmsg) == ("some/api", code, "said so")
    assert repr(again) == repr(error)


def test_what_to_catch() -> None:
    """Whoever forgets the rarer classes still does the right thing with `except WeComUnavailable`."""
    assert issubclass(LostAnswer, WeComUnavailable)
    assert issubclass(WeComRateLimited, WeComUnavailable)
    assert not issubclass(WeComRejected, WeComUnavailable)
    assert refusal("a", 45009, "").retry_after_s == 60  # type: ignore[attr-defined]
