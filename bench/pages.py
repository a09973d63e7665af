"""Contact list and 360° page of a big brand, through gunicorn, as a signed-in operator."""

import random
import time
import urllib.request

from django.contrib.sessions.backends.cache import SessionStore
from django.db import connection, transaction

from bench import servers
from bench.data import brand_of
from bench.figures import Figure, percentile, timed
from contacts.models import Contact
from devtools import ports
from org.access import SYSTEM
from org.models import Role
from org.services.brands import add_person
from tenants.models import Brand, User, UserBrand
from tenants.scoping import tenant_scope


def cookie_of(brand: Brand) -> str:
    """Session cookie of an operator of the brand."""
    user = User.objects.filter(username=f"bench-{brand.pk}").first()
    if user is None:
        with tenant_scope(brand), transaction.atomic():
            role = Role.objects.get(name="品牌管理员")
            _, user = add_person(
                brand,
                by=SYSTEM,
                username=f"bench-{brand.pk}",
                name="Bench",
                role=role,
                password="bench-12345",
            )
    session = SessionStore()
    session.update({"user_id": user.pk, "user_hash": user.get_session_auth_hash(), "brand_id": brand.pk})
    session.save()
    assert UserBrand.objects.filter(user=user, brand=brand).exists()
    return f"scrm_session={session.session_key}"


def run(full: bool) -> list[Figure]:
    n = 1_000_000 if full else 20_000
    brand = brand_of(n)
    with tenant_scope(brand), transaction.atomic(), connection.cursor() as cursor:
        scan = timed(
            lambda: cursor.execute(
                "SELECT count(*) FROM contacts_contact WHERE brand_id = %s AND gender = 5", [brand.pk]
            )
        )
        like = timed(
            lambda: cursor.execute(
                "SELECT count(*) FROM contacts_contact WHERE brand_id = %s AND name LIKE '%%王伟%%'",
                [brand.pk],
            )
        )
        ids = list(Contact.objects.order_by("-added_at").values_list("pk", flat=True)[:500])
        sparse = Contact.objects.order_by("added_at").values_list("pk", flat=True)[:100]
        ids += list(sparse)
        guide = brand_guide(brand)
    port = ports.any_free()
    figures = []
    with servers.web(port, workers=1, ALLOWED_HOSTS="127.0.0.1", SECURE="0") as web:
        cookie = cookie_of(brand)
        dice = random.Random(7)
        pages = {
            "contact list, first page": lambda: "/contacts/",
            "contact list, text of two characters": lambda: f"/contacts/?q={_text(dice)}",
            "contact list, one guide": lambda: f"/contacts/?guide={guide}",
            "contact list, lost": lambda: "/contacts/?state=lost",
            "360° page of a contact": lambda: f"/contacts/{dice.choice(ids)}/",
            "overview": lambda: "/",
        }
        for name, url in pages.items():
            spent = [_get(port, url(), cookie) for _ in range(60)][5:]
            p95 = percentile(spent, 0.95) * 1000
            figures.append(
                Figure(
                    f"{name}: p95 at {n:,} contacts",
                    p95,
                    "ms",
                    f"p50 {percentile(spent, 0.5) * 1000:.0f} ms, scan of the table {scan * 1000:.0f} ms",
                    "≤ 300 ms",
                    p95 <= 300,
                )
            )
        memory = max(servers.memory_mb(web.pid))
        figures.append(Figure("memory of one web process", memory, "MB", "", "≤ 250 MB", memory <= 250))
    figures.append(Figure("LIKE scan of the names (what a search without bigrams costs)", like * 1000, "ms"))
    return figures


def brand_guide(brand: Brand) -> int:
    from org.models import Staff

    return Staff.objects.filter(is_guide=True).values_list("pk", flat=True)[0]


def _text(dice: random.Random) -> str:
    from urllib.parse import quote

    from bench.data import GIVEN, SURNAMES

    return quote(dice.choice(SURNAMES) + dice.choice(GIVEN))


def _get(port: int, url: str, cookie: str) -> float:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{url}", headers={"Cookie": cookie})
    start = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        answer.read()
        assert answer.status == 200 and "/login/" not in answer.url, answer.url
    return time.perf_counter() - start
