"""Where content is used, what became of it, and welcomes that come from the library."""

from typing import Any

from campaigns.models import SendTask, SopVersion
from campaigns.services.broadcasts import broadcasts
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.services.graphs import graphs
from campaigns.services.sops import sops
from content import hooks
from content.services import library
from livecodes.models import Welcome
from livecodes.services import defaults
from livecodes.services.content import WelcomeInput
from scrm import clock
from tenants.models import Brand
from tests.campaigns.graphs import entry, line, touch
from tests.content.conftest import MAKER, make_content
from tests.factories import in_brand


def test_uses_and_results(brand: Brand, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        content = make_content(brand)
        version = library.usable(brand, content.pk).version_id
        assert hooks.uses(brand, [version]) == []
        everybody = {"condition": {"kind": "follow", "values": ["reachable"]}}
        broadcasts.save_draft(
            brand,
            BroadcastInput(
                "节日", everybody, [VariantInput("早上好", content_version=version)], [WaveInput()]
            ),
            by=MAKER,
        )
        defaults.save_default(brand, by=MAKER, given=WelcomeInput(text="早上好", content_version=version))
        changed = defaults.save_default(
            brand, by=MAKER, given=WelcomeInput(text="早上好呀", content_version=version)
        )
        assert changed.content_id is None  # no longer the library's words
        assert Welcome.objects.get(content_id=version).text == "早上好"
        sops.create_sop(brand, name="旅程", steps=[])
        assert {use["name"] for use in hooks.uses(brand, [version])} >= {"节日"}
        assert len(hooks.uses(brand, [version])) == 2
        for n in (3, 4):
            SendTask.objects.create(
                corp=corp,
                staff=staff,
                at=clock.now(),
                content_digest=str(n),
                contact_ids=[],
                n=n,
                n_sent=n,
                n_opened=1,
                content_id=version,
            )
        assert hooks.results(brand, [version]) == {
            version: {"sent": 7, "opened": 2, "replied": 0, "converted": 0}
        }
    page = sign_in(brand).get(f"/content/{content.pk}/").content.decode()
    assert "节日" in page and "7" in page


def test_the_editor_of_welcomes_keeps_the_version(brand: Brand, sign_in: Any) -> None:
    import json

    with in_brand(brand):
        content = make_content(brand)
        version = library.usable(brand, content.pk).version_id
    client = sign_in(brand, "operator")
    lists = {"welcomes": [{"text": "早上好", "content": version}]}
    assert client.post("/codes/welcomes/new/", {"lists": json.dumps(lists)}).status_code == 302
    with in_brand(brand):
        welcome = Welcome.objects.get()
        assert welcome.content_id == version
    page = client.get(f"/codes/welcomes/{welcome.pk}/").content.decode()
    assert json.dumps("早安 v1") in page and "data-content-picker" in page
    lists["welcomes"][0]["content"] = "x"  # type: ignore[index]
    assert client.post("/codes/welcomes/new/", {"lists": json.dumps(lists)}).status_code == 422


def test_graphs_in_use_and_drafts_however_many_versions_there_are(brand: Brand, corp: Any) -> None:
    with in_brand(brand):
        content = make_content(brand)
        version = library.usable(brand, content.pk).version_id
        said = line(entry(), touch("", content_id=content.pk))
        old = graphs.create_graph_sop(brand, name="老旅程", graph=said, by=MAKER)
        graphs.publish(brand, sop_id=old.pk, by=MAKER)
        busy = graphs.create_graph_sop(brand, name="常改", graph=line(entry(), touch("你好")), by=MAKER)
        SopVersion.objects.bulk_create(
            SopVersion(sop=busy, n=100 + n, graph=line(entry(), touch("你好"))) for n in range(501)
        )
        graphs.create_graph_sop(brand, name="草稿", graph=said, by=MAKER)
        assert {use["name"] for use in hooks.uses(brand, [version])} == {"老旅程", "草稿"}
