"""Variables of texts: filled in, checked, measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.variables import check, longest, names_in, render
from scrm.errors import InvalidError

VALUES = {"客户昵称": "小明", "员工姓名": "王芳", "品牌": "花间", "门店": "", "渠道": "包裹卡"}


@pytest.mark.parametrize(
    "text, values, expected",
    [
        ("你好，{客户昵称}！我是{品牌}的{员工姓名}", VALUES, "你好，小明！我是花间的王芳"),
        ("你好，{客户昵称}！", {}, "你好！"),  # the comma goes with the name
        ("Hi {客户昵称}, welcome", {}, "Hi, welcome"),
        ("你好，{客户昵称|朋友}！", {}, "你好，朋友！"),
        ("你好，{客户昵称|朋友}！", VALUES, "你好，小明！"),
        ("来{门店|我们的门店}逛逛", VALUES, "来我们的门店逛逛"),
        ("{客户昵称}", {"客户昵称": "{品牌}"}, "{品牌}"),  # a nickname is not a template
        ("{客户昵称}", {"客户昵称": " a\nb\t"}, "a b"),
        ("a { b", VALUES, "a { b"),
        ("", VALUES, ""),
    ],
)
def test_render(text: str, values: dict, expected: str) -> None:
    assert render(text, values) == expected


def test_render_keeps_wecoms_limits() -> None:
    assert render("{客户昵称}", {"客户昵称": "名" * 2000}) == "名" * 1333  # 3,999 bytes: no half character
    assert (
        render("{渠道}-{客户昵称}", {"渠道": "包裹卡", "客户昵称": "名" * 40}, max_chars=20)
        == "包裹卡-" + "名" * 16
    )


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_saved_text_fits_whatever_the_name(text: str, name: str) -> None:
    rendered = render(text + "{客户昵称}", {"客户昵称": name})
    assert len(rendered.encode("utf-8", "replace")) <= 4000
    narrow = len(name) <= 32 and all(len(c.encode("utf-8", "replace")) <= 3 for c in name)
    if narrow and not names_in(text):
        assert len(rendered.encode("utf-8", "replace")) <= longest(text + "{客户昵称}")


@pytest.mark.parametrize("text", ["{客户}", "{}", "{客户昵称}{name}", "{name|x}"])
def test_an_unknown_variable_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match=r"\{客户昵称\}"):
        check(text)


def test_a_text_that_is_too_long_with_names_is_refused() -> None:
    check("你" * 1333)
    with pytest.raises(InvalidError, match="4095"):
        check("你" * 1333 + "{客户昵称}")
    check("你" * 1290 + "{客户昵称}")


def test_what_goes_to_many_cannot_speak_of_one() -> None:
    check("{员工姓名}在{门店名称|本店}", personal=False)
    for text in ("{客户昵称}", "{昵称|亲}，好", "来自{渠道}"):
        check(text)
        with pytest.raises(InvalidError) as refused:
            check(text, personal=False)
        assert refused.value.code == "variable_per_customer"
