"""The order in which WeCom checks a call, for every call: each fault alone, and all of them at once."""

import pytest
import requests

from tests.wecom.sandbox_client import CORPID, SECRET, Sandbox
from wecom.sandbox.api import table_paths

NO_TOKEN = {"gettoken", "webhook/send", "webhook/upload_media"}  # have other ways to say who calls
PROVIDER = {
    "externalcontact/get_new_external_userid",
    "externalcontact/unionid_to_external_userid",
    "idconvert/unionid_to_external_userid",
    "idconvert/batch/external_userid_to_pending_id",
}
PATHS = [path for path in table_paths() if path not in NO_TOKEN]


def code(sandbox: Sandbox, path: str, method: str = "POST", **query: str) -> int:
    url = f"{sandbox.url}/cgi-bin/{path}"
    answer = requests.request(method, url, params=query, json={} if method == "POST" else None, timeout=60)
    assert answer.status_code == 200
    found = answer.json()
    if found["errcode"]:
        assert found["errmsg"] and not [one for one in found.values() if isinstance(one, list) and one]
    return found["errcode"]


@pytest.mark.parametrize("path", PATHS)
def test_order_of_checks(corp: Sandbox, path: str) -> None:
    """Everything is wrong with the call; what is mended from the front shows the next."""
    corp.post("corps", corpid=CORPID, trusted_ips=["10.0.0.1"], callable=False, visible={"users": []})
    token = corp.api("gettoken", corpid=CORPID, corpsecret=SECRET)["access_token"]
    assert code(corp, path) == 41001
    assert code(corp, path, access_token="x" * 64) == 40014
    corp.post("clock", advance_s=7300)
    assert code(corp, path, access_token=token) == 42001
    token = corp.api("gettoken", corpid=CORPID, corpsecret=SECRET)["access_token"]
    assert code(corp, path, access_token=token) == 60020
    corp.post("corps", corpid=CORPID, trusted_ips=None)
    is_customers = path.startswith("externalcontact/")
    is_contacts = path.startswith(("user/", "department/")) and path.endswith(
        ("create", "update", "delete", "batchdelete", "list_id")
    )
    refused = is_customers or is_contacts or path in PROVIDER
    found = code(corp, path, access_token=token)
    assert (found == 48002) == refused, found
    if is_customers and path not in PROVIDER:
        corp.post("corps", corpid=CORPID, callable=True)
        assert code(corp, path, access_token=token) not in (41001, 40014, 42001, 60020, 48002)


def test_the_wrong_method_is_a_missing_body(corp: Sandbox) -> None:
    token = corp.token()
    assert code(corp, "externalcontact/mark_tag", "GET", access_token=token) == 40063


def test_a_token_elsewhere_is_no_token(corp: Sandbox) -> None:
    """Neither a header nor the body counts."""
    token = corp.token()
    url = f"{corp.url}/cgi-bin/externalcontact/get_corp_tag_list"
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(url, json={"access_token": token}, headers=headers, timeout=60)
    assert answer.json()["errcode"] == 41001
