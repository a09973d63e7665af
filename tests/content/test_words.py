"""Sensitive words: found through disguises, refused or warned of, from a file, wherever something is written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.models import SensitiveWord
from content.services import sensitive
from content.services.editing import ContentInput, create_content
from content.words import plain
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from tests.content.conftest import CHECKER, MAKER, make_content
from tests.factories import in_brand


@pytest.mark.parametrize("text", ["根治", "根 治", "根．治", "包根\u200b治的", "根\n治"])
def test_disguises_do_not_hide_a_word(text: str) -> None:
    assert "根治" in plain(text)


@pytest.mark.parametrize("text", ["vip", "ＶＩＰ", "V-I-P"])
def test_case_and_width(text: str) -> None:
    assert plain(text) == plain("VIP") == "vip"


@given(st.text(max_size=40), st.text(min_size=1, max_size=10), st.text(max_size=40))
def test_a_word_is_found_wherever_it_stands(before: str, word: str, after: str) -> None:
    # a mark that composes with its neighbour is another character
    if plain(word) and plain(before + word + after) == plain(before) + plain(word) + plain(after):
        assert plain(word) in plain(before + word + after)


def put(brand: Brand, *words: str, level: str = "refuse", note: str = "") -> None:
    sensitive.add_words(brand, words=words, level=level, note=note, by=CHECKER)


def test_refused_and_warned_of(brand: Brand, other_brand: Brand) -> None:
    with in_brand(brand):
        put(brand, "根治", note="改为：舒缓")
        put(brand, "最", level="warn")
        with pytest.raises(InvalidError) as refused:
            make_content(brand, text="可以根 治")
        assert "改为" in str(refused.value) and "根治" in refused.value.details["fields"]["text"]
        link = {"type": "link", "title": "根治方法", "url": "https://a.cn"}
        with pytest.raises(InvalidError):
            make_content(brand, attachments=[link])
        saved = create_content(brand, given=ContentInput(name="a", text="最好的"), by=MAKER)
        assert len(saved.warnings) == 1
        page = {"title": "标题", "blocks": [{"type": "text", "text": "根治"}]}
        with pytest.raises(InvalidError):
            create_content(brand, given=ContentInput(name="a", kind="page", page=page), by=MAKER)
    with in_brand(other_brand):
        make_content(other_brand, text="根治")  # their list is their own


def test_the_list(brand: Brand) -> None:
    with in_brand(brand):
        n, bad = sensitive.add_words(
            brand, words=["A 级", " ", "ａ级", "长" * 41, "..."], level="refuse", by=CHECKER
        )
        assert (n, len(bad)) == (1, 2)
        sensitive.add_words(brand, words=["A级"], level="warn", by=CHECKER)
        word = SensitiveWord.objects.get()
        assert word.level == "warn"
        with pytest.raises(InvalidError):
            sensitive.add_words(brand, words=["x"], level="kill", by=CHECKER)
        assert sensitive.remove_words(brand, word_ids=[word.pk], by=CHECKER) == 1
        with pytest.raises(NotFoundError):
            sensitive.remove_words(brand, word_ids=[word.pk], by=CHECKER)


def test_files_of_words() -> None:
    assert sensitive.read_file("最\n根治\r\n".encode("gb18030")) == ["最", "根治"]
    assert sensitive.read_file("\ufeff最".encode()) == ["最"]
    for bad in (b"\x00\x01", b"\xff\xff\xff", b"a" * (2 * 1024 * 1024 + 1)):
        with pytest.raises(InvalidError):
            sensitive.read_file(bad)


def test_the_page(brand: Brand, sign_in: Any) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    admin = sign_in(brand)
    file = SimpleUploadedFile("w.txt", "根治\n最\n".encode("gb18030"))
    answer = admin.post("/content/words/add/", {"words": "第一，顶级", "level": "refuse", "file": file})
    assert answer.status_code == 302
    page = admin.get("/content/words/").content.decode()
    assert all(word in page for word in ("根治", "第一", "顶级"))
    assert "顶级" in admin.post("/content/words/try/", {"text": "这是顶 级的"}).content.decode()
    assert admin.post("/content/words/add/", {"words": "", "level": "refuse"}).status_code == 422
    assert (
        sign_in(brand, "operator").post("/content/words/add/", {"words": "a", "level": "refuse"}).status_code
        == 403
    )
    with in_brand(brand):
        ids = list(SensitiveWord.objects.values_list("pk", flat=True))
    assert admin.post("/content/words/remove/", {"ids": ids}).status_code == 302


def test_wherever_something_is_written(brand: Brand, staff: Any) -> None:
    from campaigns.services.broadcasts import broadcasts
    from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
    from campaigns.services.sops import sops
    from campaigns.services.sops.sops import StepInput
    from livecodes.services import defaults
    from livecodes.services.content import WelcomeInput

    everybody = {"condition": {"kind": "follow", "values": ["reachable"]}}
    with in_brand(brand):
        put(brand, "根治")
        for write in (
            lambda text: sops.create_sop(brand, name=text, steps=[StepInput(0, 10, 0, text)]),
            lambda text: defaults.save_default(brand, by=MAKER, given=WelcomeInput(text=text)),
            lambda text: broadcasts.save_draft(
                brand, BroadcastInput(text, everybody, [VariantInput(text)], [WaveInput()]), by=MAKER
            ),
        ):
            write("早上好")
            with pytest.raises(InvalidError, match="根治"):
                write("根治")


def look(client: Any, **given: str) -> str:
    answer = client.post("/content/wording/", given)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_words_are_said_while_somebody_writes(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    with in_brand(brand):
        put(brand, "根治", note="改为：舒缓")
        put(brand, "最", level="warn")
    operator = sign_in(brand, "operator")
    link = '[{"type": "link", "title": "根 治", "desc": "最好"}]'
    said = look(operator, text="早上好", attachments=link)
    assert "“根治”（改为：舒缓）" in said and "“最”" in said
    quiet = look(operator, text="根治，最好", only="warnings")
    assert "根治" not in quiet and "“最”" in quiet
    for broken in ("[", "3", "[1]", '{"a": 1}'):
        assert look(operator, text="早上好", attachments=broken).strip() == ""
    assert look(sign_in(other_brand, "operator"), text="根治").strip() == ""
    assert sign_in(brand, "guide").post("/content/wording/", {"text": "最"}).status_code == 403
    for deep in ("[" * 100_000, '[{"title": 1e400}]'):  # cannot be read: nothing to look at, saving says so
        for path in ("/content/wording/", "/content/check/"):
            assert sign_in(brand).post(path, {"text": "最", "attachments": deep}).status_code == 200


def test_a_refused_word_is_said_at_its_text(brand: Brand, sign_in: Any) -> None:
    with in_brand(brand):
        put(brand, "根治")
    operator = sign_in(brand, "operator")
    steps = {
        "name": "关怀", "late_days": 3, "step_id": ["", ""], "day": [1, 2], "time": ["10:00", "10:00"],
        "text": ["早上好", "包根治"], "attachments": ["[]", "[]"],
    }  # fmt: skip
    broadcast = {
        "name": "上新", "audience": "everybody", "priority": 5, "hold_out_percent": 0, "late_hours": 48,
        "text": ["早上好", "包根治"], "attachments": ["[]", "[]"], "weight": [1, 1], "content": ["", ""],
        "at": "", "after": "", "segment": "",
    }  # fmt: skip
    moment = {"name": "上新", "text": "包根治", "attachments": "[]", "late_hours": 24}
    for path, sent in (("/sops/new/", steps), ("/broadcasts/new/", broadcast), ("/moments/new/", moment)):
        answer = operator.post(path, sent)
        page = answer.content.decode()
        assert answer.status_code == 422
        assert page.count("data-said-before") == 1, path
        assert page.index("包根治") < page.index("data-said-before"), path
