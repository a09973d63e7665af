"""The frame of the pages: what templates may hold, headers, notices, error pages, tags."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import lucide
import pytest
from django.conf import settings
from django.forms import CharField, ChoiceField, Form
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils import translation

from org.access import PRESETS
from scrm import views
from scrm.context import frame
from scrm.navigation import NAVIGATION
from scrm.responses import flash, go, toast
from scrm.templatetags.frame import doer, initials, share

TEMPLATES = sorted(Path(settings.BASE_DIR, "templates").rglob("*.html"))
HX = {"HX-Request": "true"}
# forms of people who are not signed in: a signed token of their visit allows them
OUTSIDE = {"templates/content/forms/_form.html", "templates/campaigns/wish_page.html"}


def name_of(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_templates_hold_to_the_content_security_policy(path: Path) -> None:
    text = re.sub(r"{% comment %}.*?{% endcomment %}", "", path.read_text(), flags=re.S)
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text), "inline script"
    assert not re.search(r"""\s(on\w+|hx-on[\w:-]*)=["']""", text), "inline handler"
    assert "javascript:" not in text and "js:{" not in text
    assert not re.search(r"""(src|href)=["']https?://""", re.sub(r"<a [^>]*>", "", text)), "foreign file"
    assert not re.search(r"{#[^\n]*\n", re.sub(r"{#[^\n]*?#}", "", text)), (
        "a comment of several lines is printed"
    )
    assert (
        name_of(path) in OUTSIDE
        or "csrf_token" in text
        or not re.search(r"""<form[^>]*method=["']post["']""", text)
    ), "post without token"


def test_icons_exist() -> None:
    [archive] = Path(lucide.__file__).parent.glob("*.zip")
    icons = {name.removesuffix(".svg") for name in zipfile.ZipFile(archive).namelist()}
    used = {entry["icon"] for entry in NAVIGATION}
    for path in TEMPLATES:
        text = path.read_text()
        used |= set(
            re.findall(r'{% lucide (?:\w+\|default:)?"([^"]+)"', text) + re.findall(r' icon="([^"]+)"', text)
        )
    assert used <= icons, used - icons


def test_headers_of_a_page(db: Any) -> None:
    response = Client().get("/login/")
    policy = response["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert response["X-Content-Type-Options"] == "nosniff"
    page = response.content.decode()
    assert '"allowEval":false' in page
    assert Client().get("/login/").wsgi_request.META.get("CSRF_COOKIE")


def test_error_pages(db: Any) -> None:
    page = Client().get("/nothing/here/")
    assert page.status_code == 404 and "404" in page.content.decode()
    assert "<html" in page.content.decode()
    small = Client().get("/nothing/here/", headers=HX)
    assert small.status_code == 404 and small["HX-Reswap"] == "none"
    assert json.loads(small["HX-Trigger"])["toast"]["kind"] == "danger"
    assert Client().get("/api/v1/nothing/").json()["error"]["code"] == "not_found"


def test_a_refusal_leads_back_to_the_page_before(db: Any) -> None:
    """Of ours alone, and not to the refused address itself."""

    def ways(came_from: str) -> list[str]:
        page = Client().get("/nothing/here/", headers={"referer": came_from}).content.decode()
        return re.findall(r'class="btn[^"]*" href="([^"]*)"', page.split('class="error-page"')[1])

    assert ways("http://testserver/broadcasts/5/?a=1&b=2") == [
        "http://testserver/broadcasts/5/?a=1&amp;b=2",
        "/",
    ]
    assert ways("http://testserver/nothing/here/") == ["/"]
    assert ways("https://elsewhere.example/") == ways("javascript:alert(1)") == ways("") == ["/"]


@pytest.mark.django_db(transaction=True)
def test_the_page_of_a_crash_needs_nothing(brand: Any, sign_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from org.views import audit

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    client = sign_in(brand)
    client.raise_request_exception = False
    monkeypatch.setattr(audit, "keyset_page", broken)
    page = client.get("/audit/")
    assert page.status_code == 500 and "500" in page.content.decode()
    told = views.error_500(RequestFactory().get("/api/v1/orders/"))  # a program gets what it can read
    assert (told.status_code, json.loads(told.content)["error"]["code"]) == (500, "error")


@pytest.mark.django_db(transaction=True)
def test_navigation_shows_what_one_may_open(brand: Any, sign_in: Any) -> None:
    for key in ("admin", "operator", "guide"):
        client = sign_in(brand, key)
        page = client.get("/").content.decode()
        for entry in NAVIGATION:
            link = f'href="{entry["url"]}"'
            shown = f'class="sidebar-link" {link}' in page or f'class="sidebar-link active" {link}' in page
            assert shown == (entry["right"] in PRESETS[key][1]), (key, entry["url"])
            assert shown == (client.get(entry["url"]).status_code != 403), (key, entry["url"])
        assert page.count('aria-current="page"') == 1


def test_notices() -> None:
    request: Any = RequestFactory().get("/", headers=HX)
    request.session = {}
    flash(request, "one", "info")
    response = go(request, "/audit/", "two")
    assert (response.status_code, response["HX-Redirect"]) == (204, "/audit/")
    assert frame(request)["flashes"]() == [
        {"text": "one", "kind": "info"},
        {"text": "two", "kind": "success"},
    ]
    assert frame(request)["flashes"]() == []
    assert json.loads(toast(response, "三", closeModal=True)["HX-Trigger"]) == {
        "toast": {"text": "三", "kind": "success"},
        "closeModal": True,
    }


@pytest.mark.parametrize(
    "choice, expected", [("dark", "dark"), ("light", "light"), ("", ""), ("x onload=", "")]
)
def test_theme(db: Any, choice: str, expected: str) -> None:
    client = Client()
    client.cookies["scrm_theme"] = choice
    assert f'data-theme-choice="{expected}"' in client.get("/login/").content.decode()


def render(text: str, **context: Any) -> str:
    return Template(text).render(Context(context))


def test_tags() -> None:
    assert 'class="tag tag-bad"' in render("{% badge 'x' 'failed' %}")
    assert "tag-muted" in render("{% badge 'x' 'never heard of' %}")
    assert "&lt;b&gt;" in render("{% badge name 'ok' %}", name="<b>")
    assert (initials("王小芳"), initials("王芳"), initials("Ada Lovelace"), initials("")) == (
        "小芳",
        "芳",
        "AL",
        "?",
    )
    assert (share(1, 8), share(9, 8), share(None, 0), share(-1, 8)) == ("12.5%", "100.0%", "0%", "0.0%")
    with translation.override("zh-hans"):
        assert (
            render("{{ n|number }} {{ m|number }} {{ x|number }}", n=1234567, m=None, x="3")
            == "1,234,567 — 3"
        )


def test_form_components() -> None:
    class Sample(Form):
        name = CharField(help_text="how")
        kind = ChoiceField(choices=[("a", "A")])

    page = render('{% include "components/form.html" %}', form=Sample({"name": "", "kind": "z"}))
    assert 'class="form-control is-invalid"' in page and 'class="form-select is-invalid"' in page
    assert page.count("field-error") == 2 and 'aria-invalid="true"' in page
    assert 'aria-describedby="id_name_helptext' in page and 'id="id_name_helptext"' in page


def test_chart_data_cannot_break_out() -> None:
    data = {"kind": "bar", "x": ["</script><script>alert(1)</script>"], "series": []}
    page = render('{% include "components/chart.html" with id="c" title="t" data=data %}', data=data)
    assert "<script>alert" not in page


def test_who_did_it() -> None:
    with translation.override("zh-hans"):
        assert [doer(name) for name in ("小运", "system", "")] == ["小运", "系统", "—"]
