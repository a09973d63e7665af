"""Lists of people by reason on a broadcast: the viewer's scope is applied before pages are cut, whatever the size of the
set."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Touch, Wave
from campaigns.services import people_pages
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import WaveInput
from campaigns.services.governance import policy
from org.access import SYSTEM
from org.models import Region, Scope, Store
from scrm import clock
from tests.campaigns.conftest import at
from tests.campaigns.test_api import client_of
from tests.campaigns.test_broadcasts import WRITER, given
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_user, role

R = Touch.Reason
NOW = at("2026-03-10 10:00")


@pytest.fixture
def shop(brand: Any, corp: Any, monkeypatch: Any) -> dict[str, Any]:
    """Six customers of a guide elsewhere, three of a store's, who came first; pages of two."""
    monkeypatch.setattr(people_pages.people_page, "__kwdefaults__", {"after": None, "size": 2})
    with in_brand(brand):
        region = Region.objects.create(name="华东")
        store = Store.objects.create(name="南京店", region=region)
        guide = make_staff(brand, corp, store=store)
        mine = [make_contact(brand, guide, name=f"店里{n}") for n in range(3)]
        others = [make_contact(brand, make_staff(brand, corp), name=f"别处{n}") for n in range(6)]
        for contact in (*mine, *others):
            policy.set_refusal(
                brand, contact_id=contact.pk, kind=Touch.Kind.BROADCAST, refused=True, by=SYSTEM
            )
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
    return {
        "region": region,
        "store": store,
        "mine": mine,
        "others": others,
        "draft": draft,
        "url": f"/broadcasts/{draft.pk}/check/people/?what={int(R.REFUSED_KIND)}",
    }


def viewer(brand: Any, sign_in: Any, scope: str, **place: Any) -> Any:
    with in_brand(brand):
        person = make_staff(brand, **place)
    user = make_user(brand, "manager", staff=person)
    with in_brand(brand):
        held = role(brand, "manager")
        held.scope, held.rights = scope, [*held.rights, "broadcasts.view"]
        held.save()
    return sign_in(brand, user=user)


def walk(client: Any, url: str) -> list[str]:
    """Names of all pages, as 'Load more' brings them."""
    names, after = [], ""
    while True:
        response = client.get(f"{url}&after={after}" if after else url, headers={"HX-Request": "true"})
        assert response.status_code == 200
        names += [contact.name for contact in response.context["page"]]
        if not (after := response.context["page"].next):
            return names


@pytest.mark.parametrize("scope", [Scope.STORE, Scope.REGION])
def test_a_manager_sees_all_of_their_own(brand: Any, shop: Any, sign_in: Any, scope: str) -> None:
    place = {"store": shop["store"]} if scope == Scope.STORE else {"region": shop["region"]}
    client = viewer(brand, sign_in, scope, **place)
    assert walk(client, shop["url"]) == ["店里2", "店里1", "店里0"]
    page = client.get(shop["url"], headers={"accept-language": "en"})
    assert (page.context["people"].n, page.context["people"].n_seen) == (9, 3)
    assert "别处" not in page.content.decode()


def test_somebody_with_no_customers_among_them(brand: Any, shop: Any, sign_in: Any) -> None:
    client = viewer(brand, sign_in, Scope.OWN)
    page = client.get(shop["url"])
    assert walk(client, shop["url"]) == [] and page.context["people"].n == 9


def test_everybody_of_the_brand_by_pages(brand: Any, other_brand: Any, shop: Any, sign_in: Any) -> None:
    with in_brand(other_brand):
        make_contact(other_brand, make_staff(other_brand, make_corp(other_brand)), name="别家")
    client = sign_in(brand, "operator")
    names = [contact.name for contact in reversed([*shop["mine"], *shop["others"]])]
    assert walk(client, shop["url"]) == names
    assert client.get(f"{shop['url']}&after=moon").status_code == 422
    assert sign_in(other_brand, "operator").get(shop["url"]).status_code == 404
    assert sign_in(brand, "guide").get(shop["url"]).status_code == 403


def test_a_planned_wave_keeps_the_same_lists(brand: Any, shop: Any, sign_in: Any) -> None:
    with in_brand(brand), clock.at(NOW):
        plan = [WaveInput(), WaveInput(NOW + timedelta(days=2))]
        draft = broadcasts.save_draft(brand, given(name="两波", waves=plan), by=WRITER)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        wave = Wave.objects.get(broadcast=draft, n=1)
    url = f"/broadcasts/{draft.pk}/waves/{wave.pk}/?what={int(R.REFUSED_KIND)}"
    client = viewer(brand, sign_in, Scope.STORE, store=shop["store"])
    assert walk(client, url) == walk(client, url.replace(f"={int(R.REFUSED_KIND)}", "=0"))
    assert walk(client, url) == ["店里2", "店里1", "店里0"]


def test_the_page_costs_the_same_for_two_and_for_all(
    brand: Any, shop: Any, sign_in: Any, monkeypatch: Any
) -> None:
    client = viewer(brand, sign_in, Scope.STORE, store=shop["store"])
    client.get(shop["url"])
    seen = []
    for size in (1, 3):
        monkeypatch.setattr(people_pages.people_page, "__kwdefaults__", {"after": None, "size": size})
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(client.get(shop["url"]).context["page"]) == size
        seen.append(len(queries))
    assert seen[0] == seen[1]


def test_the_api_goes_on_behind_the_first_page(brand: Any, shop: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("campaigns.broadcast_api.PEOPLE", 4)
    client = client_of(brand, "broadcasts.view")
    url, found, after = f"/api/v1/broadcasts/{shop['draft'].pk}/dry-run/people/?reason=refused_kind", [], ""
    for n in (4, 4, 1):
        got = client.get(f"{url}&after={after}" if after else url).json()
        assert len(got["contact_ids"]) == n
        found += got["contact_ids"]
        after = got.get("next", "")
    assert after == ""
    assert found == [contact.pk for contact in reversed([*shop["mine"], *shop["others"]])]
    assert client.get(f"{url}&after=moon").status_code == 422
