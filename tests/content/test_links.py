"""Tracked links: whom they count, what they tell, where they lead, and what nobody can do with them."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from contacts.models import Contact, Event, EventType
from contacts.services.identity.identity import merge
from content import tokens, visitors
from content.models import LinkDay, LinkPerson, TrackedLink, Via, Visit
from content.services import browsers, editing, link_numbers, links, visits
from content.services.browsers import Place, Visitor
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand, BrandLookup
from tests.content.conftest import MAKER, make_content, make_picture
from tests.factories import in_brand, make_contact

PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36"
WECHAT = f"{PHONE} MicroMessenger/8.0"
TARGET = "https://shop.example.cn/new?a=1"


def browser(agent: str = PHONE, **over: Any) -> Client:
    return Client(headers={"User-Agent": agent}, **over)


def path_of(address: str) -> str:
    parts = urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")


@pytest.fixture
def link(brand: Brand) -> TrackedLink:
    with in_brand(brand):
        return links.create_link(brand, name="新品", url=TARGET, by=MAKER)


@pytest.fixture
def article(brand: Brand) -> TrackedLink:
    with in_brand(brand):
        page = {
            "title": "故事",
            "blocks": [
                {"type": "text", "text": "很久以前 <b>"},
                {"type": "image", "file_id": make_picture(brand).pk},
            ],
        }
        return links.link_of_page(brand, make_content(brand, "故事", "", kind="page", page=page), by=MAKER)


def known(brand: Brand, client: Client, contact: Contact) -> Visitor:
    """A browser whose person WeCom has named before."""
    visitor = Visitor(browsers.new_visitor().id, contact.pk)
    client.cookies[browsers.cookie_name(brand)] = browsers.write_cookie(brand, visitor)
    return visitor


# ---- tokens


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 2**62), st.sampled_from(Via.values))
def test_tokens_say_what_was_packed_and_nothing_else(staff: int, task: int, touch: int, via: int) -> None:
    what = tokens.Sent(staff, task, touch, via)
    token = tokens.pack(7, "abcdefgh", what)
    assert tokens.unpack(7, "abcdefgh", token) == what
    assert tokens.unpack(8, "abcdefgh", token) is None  # another brand, another link, another letter
    assert tokens.unpack(7, "abcdefgj", token) is None
    other = ("A" if token[3] != "A" else "B").join([token[:3], token[4:]])
    assert tokens.unpack(7, "abcdefgh", other) is None


@given(st.text(max_size=60))
def test_anything_else_is_no_token(text: str) -> None:
    assert tokens.unpack(7, "abcdefgh", text) is None


def test_tokens_are_short() -> None:
    assert len(tokens.pack(7, "abcdefgh", tokens.Sent(1_200, 5_000_000, 0, 3))) <= 24


def test_links_in_messages_get_the_tail_of_their_message(brand: Brand, link: TrackedLink) -> None:
    address = links.address_of(link)
    text = f"看这里 {address} ，或者 {address[:-1]}。别的 https://a.cn/l/{link.key}/"
    card = {"type": "link", "title": "新品", "url": address}
    new, [changed] = links.personalise(brand, text, [card], staff_id=7, send_task_id=9, via=3)
    assert new.count(f"{address}") == 2 and f"https://a.cn/l/{link.key}/" in new
    token = changed["url"].removeprefix(address).strip("/")
    assert tokens.unpack(brand.pk, link.key, token) == tokens.Sent(7, 9, 0, 3)
    assert links.personalise(brand, new, [changed], staff_id=7, send_task_id=9, via=3) == (new, [changed])
    other, _cards = links.personalise(brand, new, [], staff_id=8)
    assert other != new and other.count(address) == 2
    assert links.personalise(brand, "没有链接", [{"type": "image", "file_id": 1}]) == (
        "没有链接",
        [{"type": "image", "file_id": 1}],
    )


# ---- making


@pytest.mark.parametrize(
    "url",
    ["", "javascript:alert(1)", "//a.cn", "http://", "ftp://a.cn", "https://a.cn/\nb", "https://u:p@a.cn", "data:text/html,x",
     "http://testserver/l/abc/", "http://testserver/p/abc/", "https://a.cn/" + "x" * 1000, "https://[a"],
)  # fmt: skip
def test_bad_targets(brand: Brand, url: str) -> None:
    with in_brand(brand), pytest.raises(InvalidError) as refused:
        links.create_link(brand, name="x", url=url, by=MAKER)
    assert "url" in refused.value.details["fields"]


def test_links_of_pages(brand: Brand, other_brand: Brand, article: TrackedLink) -> None:
    with in_brand(brand):
        assert links.link_of_page(brand, article.content, by=MAKER) == article  # type: ignore[arg-type]
        text = make_content(brand)
        with pytest.raises(InvalidError):
            links.create_link(brand, name="x", content_id=text.pk, by=MAKER)
        links.archive_link(brand, link_id=article.pk, by=MAKER)
        links.edit_link(brand, link_id=article.pk, name="新名", url="https://a.cn", by=MAKER)
        article.refresh_from_db()
        assert (article.name, article.url) == ("新名", "")
    with in_brand(other_brand), pytest.raises(NotFoundError):
        links.get_link(article.pk)


# ---- opening


@pytest.mark.django_db(transaction=True)
def test_an_opening_leads_on_and_is_counted(brand: Brand, staff: Any, link: TrackedLink) -> None:
    client = browser()
    token = tokens.pack(brand.pk, link.key, tokens.Sent(staff.pk, 0, 0, Via.DIRECT))
    for _ in range(2):  # a second tap is the same visit
        answer = client.get(f"/l/{link.key}/{token}/")
        assert (answer.status_code, answer["Location"]) == (302, TARGET)
        assert answer["Cache-Control"].startswith("max-age=0")
    with in_brand(brand):
        visit = Visit.objects.get()
        assert (visit.staff_id, visit.via, visit.contact_id) == (staff.pk, Via.DIRECT, None)
        day = LinkDay.objects.get()
        assert (day.staff_id, day.via, day.n_opens, day.n_new) == (staff.pk, Via.DIRECT, 1, 1)
        assert Event.objects.count() == 0  # nobody is known
    with clock.at(clock.now() + timedelta(minutes=31)):
        client.get(f"/l/{link.key}/{token}/")
    with in_brand(brand):
        link.refresh_from_db()
        assert (link.n_opens, link.n_known) == (2, 0)
        assert sum(LinkDay.objects.values_list("n_new", flat=True)) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("tail", ["x", "AAAAAAAAAAAAAAAAAAAA", "who-else", "1" * 200])
def test_a_changed_tail_leads_to_the_target_uncounted(brand: Brand, link: TrackedLink, tail: str) -> None:
    answer = browser().get(f"/l/{link.key}/{tail}/")
    assert answer["Location"] == TARGET and not answer.cookies
    with in_brand(brand):
        assert Visit.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_tail_of_another_link_or_brand_counts_nothing(
    brand: Brand, other_brand: Brand, link: TrackedLink
) -> None:
    with in_brand(other_brand):
        theirs = links.create_link(other_brand, name="x", url="https://b.cn", by=MAKER)
    for token in (
        tokens.pack(brand.pk, theirs.key, tokens.Sent(1)),
        tokens.pack(other_brand.pk, link.key, tokens.Sent(1)),
    ):
        assert browser().get(f"/l/{link.key}/{token}/")["Location"] == TARGET
    with in_brand(brand):
        assert Visit.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "agent",
    ["", "curl/8.0", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "python-requests/2.31",
     "Mozilla/5.0 (iPhone) WeChatShareExtension/8.0", "facebookexternalhit/1.1 (+http://www.facebook.com/x)"],
)  # fmt: skip
def test_machines_are_led_on_uncounted(brand: Brand, link: TrackedLink, agent: str) -> None:
    assert browser(agent).get(f"/l/{link.key}/")["Location"] == TARGET
    assert browser().head(f"/l/{link.key}/")["Location"] == TARGET
    ahead = Client(headers={"User-Agent": PHONE, "Sec-Purpose": "prefetch;prerender"})
    assert ahead.get(f"/l/{link.key}/")["Location"] == TARGET
    with in_brand(brand):
        assert Visit.objects.count() == 0


def test_phones_are_no_machines() -> None:
    for agent in (
        PHONE,
        WECHAT,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 wxwork/4.1 MicroMessenger/7.0",
    ):
        assert not visitors.is_machine("GET", {"User-Agent": agent})
    assert visitors.is_wechat({"User-Agent": WECHAT}) and not visitors.is_wechat({"User-Agent": PHONE})


@pytest.mark.django_db(transaction=True)
def test_unknown_keys_closed_brands_and_floods(brand: Brand, link: TrackedLink, monkeypatch: Any) -> None:
    from content.services import throttle

    assert browser().get("/l/nothing1/").status_code == 404
    monkeypatch.setattr(throttle, "OPENS", 3)
    for _ in range(6):
        assert browser().get(f"/l/{link.key}/")["Location"] == TARGET
    with in_brand(brand):
        assert Visit.objects.count() == 3
    Brand.objects.filter(pk=brand.pk).update(state="closed")
    assert browser().get(f"/l/{link.key}/").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_known_person_is_told_of(brand: Brand, staff: Any, link: TrackedLink) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
    client = browser()
    known(brand, client, contact)
    token = tokens.pack(brand.pk, link.key, tokens.Sent(staff.pk, 77, 0, Via.BROADCAST))
    for _ in range(2):
        client.get(f"/l/{link.key}/{token}/")
    with in_brand(brand):
        event = Event.objects.get()
        assert (event.type, event.contact_id, event.object_id, event.staff_id) == (
            EventType.OPENED,
            contact.pk,
            link.pk,
            staff.pk,
        )
        assert event.data == {"page": "新品", "via": 3, "staff": staff.pk, "send_task": 77}
        person = LinkPerson.objects.get()
        assert (person.contact_id, person.n_opens, person.staff_id) == (contact.pk, 1, staff.pk)
        link.refresh_from_db()
        assert link.n_known == 1
        Contact.objects.filter(pk=contact.pk)  # joined with another one: the browser is nobody's for now
        visit = visits.record_open(Place(brand, link), Visitor("v" * 22, 987_654), None)
        assert visit.contact_id is None


@pytest.mark.django_db(transaction=True)
def test_a_cookie_that_somebody_made_is_nobodys(brand: Brand, other_brand: Brand, link: TrackedLink) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
    for text in ("x", browsers.write_cookie(other_brand, Visitor("v", contact.pk))):
        client = browser()
        client.cookies[browsers.cookie_name(brand)] = text
        client.get(f"/l/{link.key}/")
    with in_brand(brand):
        assert list(Visit.objects.values_list("contact_id", flat=True)) == [None, None]


# ---- pages


@pytest.mark.django_db(transaction=True)
def test_reading_and_passing_on(brand: Brand, staff: Any, article: TrackedLink) -> None:
    with in_brand(brand):
        first, second = make_contact(brand, staff), make_contact(brand)
    client = browser()
    known(brand, client, first)
    token = tokens.pack(brand.pk, article.key, tokens.Sent(staff.pk, 5, 0, Via.BROADCAST))
    start = clock.now()
    with clock.at(start):
        answer = client.get(f"/l/{article.key}/{token}/")
    page = client.get(answer["Location"])
    body = page.content.decode()
    assert page.status_code == 200 and "很久以前 &lt;b&gt;" in body and page["X-Robots-Tag"] == "noindex"
    share = parse_qs(urlsplit(answer["Location"]).query)["v"][0]
    assert f"/l/{article.key}/{share}/" in body

    beat = f"/l/{article.key}/beat/"

    def tell(seconds: int, depth: int, after_s: int) -> int:
        with clock.at(start + timedelta(seconds=after_s)):
            given = {"token": share, "seconds": seconds, "depth": depth}
            return browser().post(beat, given, content_type="application/json").status_code

    assert tell(10, 40, 10) == tell(8, 90, 12) == tell(99_999, 1_000, 20) == 204
    with in_brand(brand):
        visit = Visit.objects.get()
        assert 20 <= visit.seconds <= 24 and visit.depth == 100  # never more than has passed
        assert visits.fold_read(brand, start + timedelta(seconds=60)) == 0  # still reading
        assert visits.fold_read(brand, start + timedelta(seconds=90)) == 1
        assert visits.fold_read(brand, start + timedelta(seconds=90)) == 0
        read = Event.objects.get(type=EventType.READ)
        assert read.data["seconds"] == visit.seconds and read.data["send_task"] == 5
    tell(40, 100, 100)  # and on
    with in_brand(brand):
        assert visits.fold_read(brand, start + timedelta(seconds=200)) == 1
        assert Event.objects.filter(type=EventType.READ).count() == 1
        day = LinkDay.objects.get()
        assert (day.n_reads, day.seconds) == (1, 40) and LinkPerson.objects.get().seconds == 40

    # reloading their own address goes on with the visit; anybody else's browser was passed it on
    assert parse_qs(urlsplit(client.get(f"/l/{article.key}/{share}/")["Location"]).query)["v"] == [share]
    friend = browser()
    known(brand, friend, second)
    for _ in range(2):
        assert friend.get(f"/l/{article.key}/{share}/").status_code == 302
    assert browser().get(f"/p/{article.key}/?v={share}").status_code == 200  # no cookies: the address alone
    with in_brand(brand):
        shared = Event.objects.get(type=EventType.SHARED)
        assert (shared.contact_id, shared.data["to"]) == (first.pk, second.pk)
        visit = Visit.objects.get(contact_id=second.pk)
        assert (visit.via, visit.from_contact_id, visit.staff_id, visit.send_task_id) == (
            Via.SHARED,
            first.pk,
            staff.pk,
            None,
        )
        assert LinkPerson.objects.get(contact_id=first.pk).n_shared == 1
        assert link_numbers.totals(article)["shared"] == 1


@pytest.mark.django_db(transaction=True)
def test_the_page_alone(brand: Brand, article: TrackedLink) -> None:
    answer = browser().get(f"/p/{article.key}/")
    assert answer["Location"] == f"/l/{article.key}/"  # through the link, which counts
    machine = Client(headers={"User-Agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"})
    assert machine.get(f"/p/{article.key}/").status_code == 200
    assert browser().get(f"/p/{article.key}/?n=1").status_code == 200  # a changed tail: read, not counted
    with in_brand(brand):
        assert Visit.objects.count() == 0
        mine, foreign = make_picture(brand, (40, 30)), make_picture(brand, (9, 9))
        now = clock.now()
    assert browser().get(f"/p/{article.key}/i/{mine.pk}/")["Content-Type"] == "image/png"
    assert browser().get(f"/p/{article.key}/i/{foreign.pk}/").status_code == 404  # not on this page
    with in_brand(brand):
        stale = visits.share_token(brand, article.key, Visit(pk=5, at=now))
    assert browser().get(f"/p/{article.key}/?v={stale}").status_code == 302
    with in_brand(brand):
        editing.archive(brand, content_id=article.content_id or 0, by=MAKER)
    assert browser().get(f"/p/{article.key}/?n=1").status_code == 410
    assert browser().get(f"/p/{article.key}/i/{mine.pk}/").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        "[]",
        '{"token": "x"}',
        '{"token": "x", "seconds": "a", "depth": 1}',
        '{"token": "x", "seconds": 1e999, "depth": 1}',
        "x" * 600,
    ],
)
def test_bad_beats(article: TrackedLink, body: str) -> None:
    status = browser().post(f"/l/{article.key}/beat/", body, content_type="text/plain").status_code
    assert status in (400, 429)


@pytest.mark.django_db(transaction=True)
def test_beats_of_others_change_nothing(brand: Brand, link: TrackedLink, article: TrackedLink) -> None:
    browser().get(f"/l/{article.key}/")
    with in_brand(brand):
        visit = Visit.objects.get()
    for key, token in (
        (article.key, "x"),
        (article.key, tokens.pack(brand.pk, article.key, tokens.Sent(1))),
        (link.key, visits.share_token(brand, article.key, visit)),
        (article.key, tokens.pack(brand.pk, article.key, tokens.Shared(2**70, 2**70))),
        ("nothing1", "x"),
    ):
        given = {"token": token, "seconds": 1, "depth": 1}
        assert browser().post(f"/l/{key}/beat/", given, content_type="application/json").status_code == 204
    with in_brand(brand):
        assert Visit.objects.get().seconds == 0


# ---- dashboard


def test_pages_of_links(brand: Brand, sign_in: Any, link: TrackedLink, staff: Any) -> None:
    client = sign_in(brand, "operator")
    with in_brand(brand):
        contact = make_contact(brand, staff, name="王小美")
        for n in range(3):
            visits.record_open(
                Place(brand, link),
                Visitor(f"v{n}", contact.pk if n == 0 else None),
                tokens.Sent(staff.pk, via=Via.DIRECT),
            )
    assert "新品" in client.get("/links/?q=新").content.decode()
    body = client.get(f"/links/{link.pk}/?days=7").content.decode()
    assert "王小美" in body and staff.name in body
    assert client.get(f"/links/{link.pk}/qr.png")["Content-Type"] == "image/png"
    assert client.post("/links/new/", {"name": "页", "url": "javascript:x"}).status_code == 422
    assert (
        client.post("/links/new/", {"name": "页", "url": "https://a.cn", "asks_who": "on"}).status_code == 302
    )
    assert client.post(f"/links/{link.pk}/edit/", {"name": "改", "url": "https://b.cn"}).status_code == 302
    assert client.post(f"/links/{link.pk}/archive/").status_code == 302
    assert "改" in client.get("/links/?state=archived").content.decode()
    manager = sign_in(brand, "manager")
    assert "王小美" not in manager.get(f"/links/{link.pk}/").content.decode()  # not of their store
    assert manager.get("/links/new/").status_code == 403
    assert sign_in(brand, "guide").get("/links/").status_code == 403


def test_the_list_asks_as_much_for_many_as_for_few(
    brand: Brand, sign_in: Any, link: TrackedLink, staff: Any, django_assert_max_num_queries: Any
) -> None:
    client = sign_in(brand)
    for path in ("/links/", f"/links/{link.pk}/"):
        client.get(path)
        with in_brand(brand):
            visits.record_open(Place(brand, link), Visitor(f"w{path}", make_contact(brand, staff).pk), None)
        with django_assert_max_num_queries(60) as few:
            client.get(path)
        with in_brand(brand):
            for n in range(18):
                links.create_link(brand, name=f"l{n}", url=TARGET, by=MAKER)
                visits.record_open(
                    Place(brand, link), Visitor(f"x{path}{n}", make_contact(brand, staff).pk), None
                )
        with django_assert_max_num_queries(len(few)):
            client.get(path)
    assert BrandLookup.objects.filter(kind="short_link", brand=brand).count() == 37


def test_an_idle_minute_is_one_look(brand: Brand, django_assert_num_queries: Any) -> None:
    with in_brand(brand), django_assert_num_queries(3):  # savepoint, look, release
        visits.fold_read(brand)


def test_two_people_become_one_and_both_have_dealt_with_a_link(brand: Brand, staff: Any) -> None:
    """One has only passed it on, the other one has opened it: it stays somebody's who opened it."""
    with in_brand(brand):
        link = TrackedLink.objects.create(key="k1", name="新品", url="https://example.com/")
        keep, lose = make_contact(brand), make_contact(brand)
        now = clock.now()
        both = {"link": link, "last_at": now}
        LinkPerson.objects.create(contact_id=keep.pk, first_at=now, n_opens=0, n_shared=2, **both)
        earlier = now - timedelta(days=1)
        LinkPerson.objects.create(
            contact_id=lose.pk,
            first_at=earlier,
            n_opens=3,
            seconds=40,
            staff_id=staff.pk,
            via=Via.BROADCAST,
            **both,
        )
        merge(brand, keep=keep, lose=lose, why={})
        person = LinkPerson.objects.get()
        assert (person.contact_id, person.n_opens, person.n_shared, person.seconds) == (keep.pk, 3, 2, 40)
        assert (person.first_at, person.staff_id, person.via) == (earlier, staff.pk, Via.BROADCAST)
