"""Bodies of the wrong shape: an errcode, never a broken answer."""

import itertools
import os
import random

import pytest

from tests.wecom.sandbox.conftest import Api
from tests.wecom.sandbox_client import CORPID, Sandbox
from wecom.sandbox.api import table_paths

ODD = (
    None,
    "",
    "x",
    0,
    -1,
    1.5,
    True,
    [],
    ["x"],
    [1],
    [[]],
    [{}],
    {},
    {"x": 1},
    {"content": 1},
    "字" * 5000,
    10**30,
)
PAIRS_PER_PATH = int(os.environ.get("ODD_PAIRS", "12"))  # of each path; another number for a longer hunt
NAMES = """
    userid external_userid userid_list cursor limit remark remark_mobiles type scene style user
    party state config_id start_time end_time tag_id group_id group_name tag order id add_tag
    remove_tag welcome_code text attachments sender chat_type tag_filter chat_id_list msgid creator
    filter_type touser toparty totag msgtype agentid news textcard template_card user_ticket mobile
    link_id link_name range priority_option visible_range moment_id jobid chat_id status_filter
    owner_filter opengid new_owner room_base_id handover_userid takeover_userid page_id page_size
    partyid day_begin_time day_end_time order_by offset template_id image link conclusions is_temp
    expires_in strategy_id parent_id admin_list privilege range_add product_id price product_sn
    rule_id word_list semantics_list intercept_type applicable_range add_applicable_range tagid
    tagname userlist partylist name parentid department useridlist email openid response_code
    userids button url md5 filename
""".split()  # noqa: SIM905


@pytest.mark.parametrize("path", table_paths())
def test_no_odd_value_breaks_a_call(corp: Sandbox, api: Api, path: str) -> None:
    corp.post("settings", limits=False)
    corp.load(customers=[{"external_userid": "wm1", "name": "a", "follows": [{"userid": "lisi"}]}])
    good = {
        "userid": "lisi",
        "external_userid": "wm1",
        "type": 1,
        "scene": 2,
        "user": ["lisi"],
        "start_time": 1,
        "end_time": 2,
        "day_begin_time": 1,
        "agentid": 1000002,
        "msgtype": "text",
        "touser": "lisi",
        "text": {"content": "x"},
        "sender": "lisi",
        "chat_type": "single",
        "handover_userid": "lisi",
        "takeover_userid": "wangwu",
        "link_name": "x",
        "range": {"user_list": ["lisi"]},
        "group_name": "g",
        "tag": [{"name": "t"}],
        "limit": 5,
    }
    pairs = random.Random(path).sample([*itertools.product(NAMES, ODD)], PAIRS_PER_PATH)
    for name, value in pairs:
        answer = corp.http.post(
            f"{corp.url}/cgi-bin/{path}",
            params={"access_token": api.token, "corpid": CORPID, name: str(value)[:100]},
            json={**good, name: value},
        )
        assert answer.status_code == 200, (name, repr(value)[:60])
        assert isinstance(answer.json()["errcode"], int), (name, repr(value)[:60])
