"""The catalogue is read from templates and Python without GNU gettext."""

from pathlib import Path

import pytest
from babel.messages import pofile

from devtools import messages

TEMPLATE = """{# contact: of the list #}{% load i18n %}
  <p title="{% translate "Hello" %}">it's {% blocktranslate count n=rows|length trimmed %}
    one {{ n }} "thing" at 100%
  {% plural %} many {{ n }} 'things' {% endblocktranslate %} (
{# Translators: the month #}
{% translate "May" context "month" as x %}{{ _("constant")|upper }}{% if a == _("in a tag") %}{% endif %}
{% translate "it's" %}{% translate variable %}{% translate "" %}
"""


def test_template_strings():
    found = [(line, function, strings) for line, function, strings, _ in messages.from_template(TEMPLATE)]
    assert found[:2] == [
        (2, "gettext", "Hello"),
        (2, "ngettext", ('one %(n)s "thing" at 100%%', "many %(n)s 'things'", None)),
    ]
    assert [strings for _, _, strings in found[2:6]] == [("month", "May"), "constant", "in a tag", "it's"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "org" / "templates").mkdir(parents=True)
    (tmp_path / "wecom" / "sandbox").mkdir(parents=True)
    (tmp_path / "org" / "views.py").write_text(
        'from x import gettext as _\nA = _("From code")\nB = ngettext("%(n)d row", "%(n)d rows", n)\n'
    )
    (tmp_path / "org" / "templates" / "page.html").write_text('{% translate "From a page" %}')
    (tmp_path / "wecom" / "sandbox" / "views.py").write_text('A = _("of the sandbox")\n')
    return tmp_path


def edit(project: Path, **translations: str) -> None:
    path = messages.po_file("zh_Hans", project)
    catalog = messages.read_po(path, "zh_Hans")
    for message in catalog:
        key = (
            (message.id[0] if isinstance(message.id, tuple) else message.id or "")
            .replace(" ", "_")
            .replace("%(n)d_", "n_")
        )
        if key in translations:
            text = translations[key]
            message.string = (text,) if isinstance(message.id, tuple) else text
    with path.open("wb") as file:
        pofile.write_po(file, catalog)


def test_extract_translate_check_compile(project: Path):
    messages.write_catalogs(project)
    assert sorted(line.split(": ")[1] for line in messages.problems(project)) == [
        "untranslated '%(n)d row' (org/views.py)",
        "untranslated 'From a page' (org/templates/page.html)",
        "untranslated 'From code' (org/views.py)",
    ]
    edit(project, From_code="来自代码", From_a_page="来自页面", n_row="%(n)d 行")
    assert list(messages.problems(project)) == []

    messages.write_catalogs(project)  # keeps what is translated
    assert list(messages.problems(project)) == []
    messages.compile_catalogs(project)
    assert "来自代码".encode() in messages.po_file("zh_Hans", project).with_suffix(".mo").read_bytes()


def test_missing_and_wrong_strings_are_named(project: Path):
    messages.write_catalogs(project)
    edit(project, From_code="来自代码", From_a_page="来自页面", n_row="%(m)d 行")
    (project / "org" / "new.py").write_text('C = _("New here")\n')
    said = "\n".join(messages.problems(project))
    assert "missing 'New here' (org/new.py) (make messages)" in said
    assert "'%(n)d row'" in said and "placeholder" in said
