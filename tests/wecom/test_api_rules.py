"""What all calls of wecom/api keep: documented limits are checked before anything is sent, and only calls that may
be made twice are repeated."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from scrm import clock
from scrm.redis import redis_client
from tests.wecom import contract, local_server
from tests.wecom.contract import PNG, SAMPLES, Placeholders
from tests.wecom.local_server import LocalServer, errcode
from wecom import limits
from wecom.api import (
    acquisition,
    albums,
    app_messages,
    contact_ways,
    directory,
    group_welcomes,
    groups,
    identities,
    intercept_rules,
    join_ways,
    media,
    member_tags,
    messages,
    moments,
    statistics,
    strategies,
    tags,
    transfers,
)
from wecom.api.app_messages import To
from wecom.client import WeComClient
from wecom.errors import (
    InvalidMessage,
    LostAnswer,
    WeComError,
    WeComRateLimited,
    WeComRejected,
    WeComUnavailable,
)

EXAMPLES = contract.examples()
# what must happen once: a lost answer is not asked for again
ONCE = {
    "acquisition.create_link",
    "albums.add_product",
    "app_messages.update_card",
    "auth.user_info",
    "contact_ways.add_contact_way",
    "contact_ways.add_temporary_way",
    "directory.create_department",
    "directory.create_member",
    "directory.delete_department",
    "directory.delete_members",
    "group_welcomes.add_group_welcome",
    "intercept_rules.add_rule",
    "join_ways.add_join_way",
    "member_tags.create_member_tag",
    "member_tags.delete_member_tag",
    "messages.add_group_msg_template",
    "messages.add_msg_template",
    "messages.remind",
    "messages.send_welcome",
    "moments.add_moment_task",
    "strategies.add_strategy_tags",
    "strategies.create_strategy",
    "tags.add_corp_tags",
    "transfers.transfer_customers",
    "transfers.transfer_resigned_customers",
}


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> WeComClient:
    return WeComClient("ww1", "secret", 1000002, brand_id=7, api_url=server.url, redis_conn=redis_client())


def n_calls_after_lost_answers(n: int, example: dict[str, Any]) -> tuple[int, type]:
    """How often a call is made when no answer can be read, and what the caller hears in the end."""
    api = example["request"]["api"]
    with LocalServer() as server:
        server.answer(api, local_server.status(502))
        connection = redis_client()
        client = WeComClient("ww1", "secret", 1000002, brand_id=n, api_url=server.url, redis_conn=connection)
        with clock.at(contract.NOW), pytest.raises(WeComError) as caught:
            contract.call(client, example, Placeholders(SAMPLES))
        return len(server.calls(api)), type(caught.value)


def test_who_is_asked_again() -> None:
    """All at once: most of it is waiting between the tries."""
    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(n_calls_after_lost_answers, range(len(EXAMPLES)), EXAMPLES))
    for example, (n, error) in zip(EXAMPLES, found, strict=True):
        once = example["call"] in ONCE
        welcome = example["call"] == "messages.send_welcome"  # asked once more: its code works once
        wanted = (2 if welcome else 1, LostAnswer) if once else (3, WeComUnavailable)
        assert (n, error) == wanted, example


LONG, START, DAY = "长" * 500, datetime(2026, 11, 1, tzinfo=UTC), date(2026, 11, 1)
TOO_OLD = date(2026, 5, 4)  # 181 days before that day
PICTURE = {"msgtype": "image", "image": {"media_id": "m"}}
PAGE = {"msgtype": "link", "link": {"title": "t", "url": "https://example.com", "media_id": "m"}}
CARD = {"card_type": "text_notice", "main_title": {"title": "t"}, "card_action": {"type": 1}}
WRONG: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (acquisition.create_link, {"name": "", "userids": ["a"]}),
    (acquisition.create_link, {"name": "长" * 31, "userids": ["a"]}),
    (acquisition.create_link, {"name": "n"}),
    (acquisition.create_link, {"name": "n", "userids": ["a"] * 501}),
    (acquisition.create_link, {"name": "n", "userids": ["a"], "priority": {"priority_type": 3}}),
    (acquisition.update_link, {"link_id": "l", "userids": [], "department_ids": []}),
    (acquisition.link_figures, {"link_id": "l", "since": DAY, "until": DAY + timedelta(days=31)}),
    (acquisition.link_figures, {"link_id": "l", "since": DAY, "until": DAY - timedelta(days=1)}),
    (acquisition.link_figures, {"link_id": "l", "since": TOO_OLD, "until": TOO_OLD}),
    (albums.add_product, {"description": "", "price_fen": 1, "media_ids": ["m"]}),
    (albums.add_product, {"description": LONG, "price_fen": 1, "media_ids": ["m"]}),
    (albums.add_product, {"description": "d", "price_fen": 5_000_001, "media_ids": ["m"]}),
    (albums.add_product, {"description": "d", "price_fen": 1, "media_ids": []}),
    (albums.add_product, {"description": "d", "price_fen": 1, "media_ids": ["m"] * 10}),
    (albums.add_product, {"description": "d", "price_fen": 1, "media_ids": ["m"], "number": "a b"}),
    (albums.update_product, {"product_id": "p", "media_ids": []}),
    (app_messages.send_markdown, {"to": To(["a"]), "text": "长" * 683}),
    (app_messages.send_markdown, {"to": To(), "text": "hi"}),
    (app_messages.send_markdown, {"to": To(["a"] * 1001), "text": "hi"}),
    (app_messages.send_markdown, {"to": To(department_ids=[1] * 101), "text": "hi"}),
    (app_messages.send_media, {"to": To(["a"]), "kind": "image", "media_id": ""}),
    (app_messages.send_news, {"to": To(["a"]), "articles": []}),
    (app_messages.send_news, {"to": To(["a"]), "articles": [{"title": "t", "url": "https://x"}] * 9}),
    (app_messages.send_news, {"to": To(["a"]), "articles": [{"title": "t"}]}),
    (app_messages.send_news, {"to": To(["a"]), "articles": [{"title": "t", "url": "ftp://x"}]}),
    (app_messages.send_video, {"to": To(["a"]), "media_id": "m", "title": "长" * 43}),
    (app_messages.send_miniprogram_notice, {"to": To(["a"]), "appid": "wx1", "title": "短"}),
    (
        app_messages.send_miniprogram_notice,
        {"to": To(["a"]), "appid": "wx1", "title": "四个字的", "items": [("k", "v")] * 11},
    ),
    (app_messages.send_template_card, {"to": To(["a"]), "card": {"card_type": "other"}}),
    (app_messages.send_template_card, {"to": To(["a"]), "card": {**CARD, "main_title": {}}}),
    (app_messages.send_template_card, {"to": To(["a"]), "card": {**CARD, "card_action": {}}}),
    (app_messages.send_template_card, {"to": To(["a"]), "card": {**CARD, "jump_list": [{}] * 4}}),
    (app_messages.send_template_card, {"to": To(["a"]), "card": {**CARD, "action_menu": {"desc": "x"}}}),
    (
        app_messages.send_template_card,
        {"to": To(["a"]), "card": {"card_type": "vote_interaction", "task_id": "t"}},
    ),
    (app_messages.update_card, {"response_code": "r", "button": "x"}),
    (app_messages.update_card, {"response_code": "r", "userids": ["a"]}),
    (contact_ways.add_contact_way, {"userids": [], "state": "s"}),
    (
        contact_ways.add_contact_way,
        {"userids": ["a"], "department_ids": [1], "state": "s", "several": False},
    ),
    (contact_ways.add_temporary_way, {"userid": "a", "state": "s", "expires_in_s": 15 * 86_400}),
    (
        contact_ways.add_temporary_way,
        {"userid": "a", "state": "s", "conclusions": {"text": {"content": "长" * 1334}}},
    ),
    *(
        (contact_ways.add_temporary_way, {"userid": "a", "state": "s", "conclusions": conclusions})
        for conclusions in (
            {},
            {"link": {"title": "长" * 43, "url": "https://x"}},
            {"miniprogram": {"title": "t", "appid": "wx", "page": "p"}},
            {"image": {"media_id": "m"}, "link": {"title": "t", "url": "https://x"}},
        )
    ),
    (directory.create_department, {"name": ""}),
    (directory.create_department, {"name": "n", "order": 2**32}),
    (directory.update_department, {"id": 2, "order": -1}),
    (directory.create_department, {"name": "a/b:c"}),
    (directory.create_department, {"name": "长" * 65}),
    (directory.create_member, {"userid": "张三", "name": "n", "department_ids": [1], "mobile": "1"}),
    (directory.create_member, {"userid": "a", "name": "n", "department_ids": [1]}),
    (directory.create_member, {"userid": "a", "name": "n", "department_ids": [], "mobile": "1"}),
    (directory.delete_members, {"userids": ["a"] * 201}),
    (directory.update_member, {"userid": "a", "fields": {}}),
    (group_welcomes.add_group_welcome, {}),
    (group_welcomes.add_group_welcome, {"text": "长" * 1001}),
    (group_welcomes.edit_group_welcome, {"template_id": "t", "text": "长" * 1334}),
    (group_welcomes.add_group_welcome, {"attachment": {"msgtype": "voice"}}),
    (groups.group_chats, {"owner_userids": ["a"] * 101}),
    (identities.pending_ids, {"external_userids": ["wm"] * 101}),
    (identities.new_external_userids, {"external_userids": ["wm"] * 1001}),
    (intercept_rules.add_rule, {"name": "n", "words": ["w"], "act": 1}),
    (intercept_rules.add_rule, {"name": "长" * 21, "words": ["w"], "act": 1, "userids": ["a"]}),
    (intercept_rules.add_rule, {"name": "n", "words": ["w"] * 301, "act": 1, "userids": ["a"]}),
    (intercept_rules.add_rule, {"name": "n", "words": ["长" * 33], "act": 1, "userids": ["a"]}),
    (join_ways.add_join_way, {"chat_ids": []}),
    (join_ways.add_join_way, {"chat_ids": ["wr"] * 6}),
    (join_ways.add_join_way, {"chat_ids": ["wr"], "state": "长" * 31}),
    (join_ways.update_join_way, {"config_id": "c", "chat_ids": ["wr"], "base_name": "长" * 41}),
    (media.upload_by_url, {"kind": "video", "url": "https://x", "filename": "长" * 43, "md5": "0"}),
    (media.upload_by_url, {"kind": "video", "url": "/x", "filename": "f", "md5": "0"}),
    (member_tags.create_member_tag, {"name": "长" * 33}),
    (member_tags.tag_members, {"tag_id": 1}),
    (member_tags.tag_members, {"tag_id": 1, "userids": ["a"] * 1001}),
    (messages.add_msg_template, {"sender": "a", "text": "hi"}),
    (messages.add_msg_template, {"sender": "a", "text": "hi", "tag_groups": [["t"] * 101]}),
    (messages.add_msg_template, {"sender": "a", "text": "hi", "tag_groups": [[]]}),
    (messages.add_group_msg_template, {"sender": "", "text": "hi"}),
    (messages.add_group_msg_template, {"sender": "a", "chat_ids": ["wr"] * 2001, "text": "hi"}),
    (messages.groupmsg_list, {"start_at": START, "end_at": START + timedelta(days=32)}),
    (messages.groupmsg_list, {"start_at": START, "end_at": START - timedelta(days=1)}),
    (moments.add_moment_task, {}),
    (moments.add_moment_task, {"text": "长" * 1334}),
    (moments.add_moment_task, {"text": "长" * 2001}),
    (moments.add_moment_task, {"attachments": [PICTURE] * 10}),
    (moments.add_moment_task, {"attachments": [PAGE] * 2}),
    (moments.add_moment_task, {"attachments": [PICTURE, PAGE]}),
    (moments.add_moment_task, {"attachments": [{"msgtype": "file", "file": {"media_id": "m"}}]}),
    (
        moments.add_moment_task,
        {"attachments": [{"msgtype": "link", "link": {"title": "t", "url": "https://x"}}]},
    ),
    (moments.moments, {"start_at": START, "end_at": START + timedelta(days=31)}),
    (statistics.contact_days, {"since": DAY, "until": DAY}),
    (statistics.contact_days, {"since": DAY, "until": DAY, "userids": ["a"] * 101}),
    (statistics.contact_days, {"since": DAY, "until": DAY + timedelta(days=31), "userids": ["a"]}),
    (statistics.contact_days, {"since": TOO_OLD, "until": TOO_OLD, "userids": ["a"]}),
    (statistics.group_figures_by_owner, {"since": TOO_OLD, "until": TOO_OLD, "owner_userids": ["a"]}),
    (statistics.group_figures_by_day, {"since": TOO_OLD, "until": TOO_OLD, "owner_userids": ["a"]}),
    (statistics.group_figures_by_day, {"since": DAY, "until": DAY, "owner_userids": []}),
    (
        strategies.create_strategy,
        {"kind": "customer", "name": "", "admins": [], "privilege": {}, "range_": [{"type": 1}]},
    ),
    (
        strategies.create_strategy,
        {"kind": "customer", "name": "n", "admins": ["a"] * 21, "privilege": {}, "range_": [{"type": 1}]},
    ),
    (strategies.add_strategy_tags, {"strategy_id": 1, "names": ["长" * 31], "group_name": "g"}),
    (strategies.delete_strategy_tags, {}),
    (tags.add_corp_tags, {"names": ["n"], "group_name": "g", "order": 2**32}),
    (tags.edit_corp_tag, {"id": "et", "order": -1}),
    (
        transfers.transfer_customers,
        {"handover_userid": "a", "takeover_userid": "A", "external_userids": ["wm"]},
    ),
    (
        transfers.transfer_customers,
        {"handover_userid": "a", "takeover_userid": "b", "external_userids": ["wm"] * 101},
    ),
    (
        transfers.transfer_customers,
        {"handover_userid": "a", "takeover_userid": "b", "external_userids": ["wm"], "message": "长" * 201},
    ),
    (transfers.transfer_groups, {"chat_ids": ["wr"] * 101, "new_owner": "b"}),
    (transfers.transfer_resigned_groups, {"chat_ids": ["wr"], "new_owner": ""}),
]


@pytest.mark.parametrize(("function", "given"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_refused_before_the_call(
    function: Callable[..., Any], given: dict[str, Any], client: WeComClient, server: LocalServer
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        list(function(client, **given) or [])
    assert str(caught.value)
    assert server.seen == []


def test_what_just_fits(client: WeComClient, server: LocalServer) -> None:
    """The limits themselves are allowed."""
    server.answer("externalcontact/customer_acquisition/create_link", errcode(0, link={"link_id": "l"}))
    acquisition.create_link(client, "长" * 30, userids=["a"] * 500)
    server.answer("externalcontact/add_moment_task", errcode(0, jobid="j"))
    moments.add_moment_task(client, text="长" * 1000 + "x" * 1000, attachments=[PICTURE] * 9)
    server.answer("externalcontact/groupchat/add_join_way", errcode(0, config_id="c"))
    join_ways.add_join_way(
        client, chat_ids=["wr"] * 5, state="长" * 30, remark="长" * 30, base_name="长" * 40
    )
    server.answer("externalcontact/transfer_customer", errcode(0, customer=[]))
    transfers.transfer_customers(
        client, handover_userid="a", takeover_userid="b", external_userids=["wm"] * 100, message="长" * 200
    )


# ---- lists in pages


def test_pages_are_read_to_the_end(client: WeComClient, server: LocalServer) -> None:
    """An empty page in the middle is not the end; only the cursor is."""
    api = "externalcontact/transfer_result"
    server.answer(
        api,
        errcode(0, customer=[{"external_userid": "wm1"}], next_cursor="c1"),
        errcode(0, customer=[], next_cursor="c2"),
        errcode(0, customer=[{"external_userid": "wm2"}]),
    )
    found = transfers.transfers(client, handover_userid="a", takeover_userid="b")
    assert [row["external_userid"] for row in found] == ["wm1", "wm2"]
    assert [seen.json["cursor"] for seen in server.calls(api)] == ["", "c1", "c2"]


def test_unassigned_ends_with_is_last_or_the_cursor(client: WeComClient, server: LocalServer) -> None:
    api, row = "externalcontact/get_unassigned_list", {"external_userid": "wm"}
    server.answer(
        api, errcode(0, info=[row], is_last=False, next_cursor="c1"), errcode(0, info=[row], is_last=True)
    )
    assert len(list(transfers.unassigned(client))) == 2
    server.answer(api, errcode(0, info=[row], is_last=False, next_cursor="c1"))  # the same again and again
    assert len(list(transfers.unassigned(client))) == 2
    server.answer(api, errcode(0, info=[], is_last=False))
    assert list(transfers.unassigned(client)) == []


def test_figures_by_offset(client: WeComClient, server: LocalServer) -> None:
    api = "externalcontact/groupchat/statistic"
    server.answer(
        api,
        errcode(0, total=3, next_offset=2, items=[{"owner": "a", "data": {}}, {"owner": "b", "data": {}}]),
        errcode(0, total=3, next_offset=3, items=[{"owner": "c", "data": {}}]),
    )
    with clock.at(START):
        found = list(statistics.group_figures_by_owner(client, since=DAY, until=DAY, owner_userids=["a"]))
    assert [row["owner"] for row in found] == ["a", "b", "c"]
    assert [seen.json["offset"] for seen in server.calls(api)] == [0, 2]


def test_the_oldest_day_that_wecom_has(client: WeComClient, server: LocalServer) -> None:
    """180 days back by Shanghai's days: there it is the 2nd when it is still the 1st in UTC."""
    for moment, oldest in ((START, DAY), (START.replace(hour=17), DAY + timedelta(days=1))):
        first = oldest - timedelta(days=180)
        with clock.at(moment):
            statistics.contact_days(client, since=first, until=first, userids=["a"])
            with pytest.raises(InvalidMessage):
                statistics.contact_days(client, since=first - timedelta(days=1), until=first, userids=["a"])
    assert len(server.calls("externalcontact/get_user_behavior_data")) == 2


def test_days_are_shanghais(client: WeComClient, server: LocalServer) -> None:
    with clock.at(START):
        statistics.contact_days(client, since=DAY, until=DAY, userids=["a"])
    [seen] = server.calls("externalcontact/get_user_behavior_data")
    assert (
        seen.json["start_time"] == seen.json["end_time"] == datetime(2026, 10, 31, 16, tzinfo=UTC).timestamp()
    )


# ---- limits of single APIs


def test_apis_with_limits_of_their_own(client: WeComClient, server: LocalServer) -> None:
    server.answer("externalcontact/add_moment_task", errcode(0, jobid="j"))
    for _ in range(9):
        moments.add_moment_task(client, text="hi")
    client.deadline_s = 1.2
    with pytest.raises(WeComRateLimited):
        moments.add_moment_task(client, text="hi")
    api = "externalcontact/customer_strategy/create"
    with limits.slot(redis_client(), client.corp_key, api, wait_s=0):
        assert not has_room(client, api)


def has_room(client: WeComClient, api: str) -> bool:
    try:
        with limits.slot(redis_client(), client.corp_key, api, wait_s=0):
            return True
    except WeComRateLimited:
        return False


# ---- files


def piece(data: bytes, total: int, start: int) -> Callable[[Any], None]:
    return lambda handler: handler.send(
        data,
        206,
        "video/mp4",
        **{
            "Content-Disposition": 'attachment; filename="v.mp4"',
            "Content-Range": f"bytes {start}-{start + len(data) - 1}/{total}",
        },
    )


def test_large_files_come_in_pieces(client: WeComClient, server: LocalServer) -> None:
    server.answer(
        "media/get",
        errcode(830002, "use range"),
        piece(b"a" * 30, 70, 0),
        piece(b"b" * 30, 70, 30),
        piece(b"c" * 10, 70, 60),
    )
    file = media.download(client, "MEDIA")
    assert (file.name, file.content_type) == ("v.mp4", "video/mp4")
    assert file.data == b"a" * 30 + b"b" * 30 + b"c" * 10
    ranges = [seen.headers.get("Range", "") for seen in server.calls("media/get")]
    assert [text.partition("-")[0] for text in ranges] == ["", "bytes=0", "bytes=30", "bytes=60"]


def test_names_of_files(client: WeComClient, server: LocalServer) -> None:
    plain = 'attachment; filename="海报.png"'.encode().decode("latin-1")
    for disposition, name in (
        (plain, "海报.png"),
        ("attachment; filename=\"x.png\"; filename*=utf-8''%E6%B5%B7.png", "海.png"),
        ("attachment; filename=../../etc/passwd", "passwd"),
    ):
        server.answer(
            "media/get", lambda h, d=disposition: h.send(PNG, kind="image/png", **{"Content-Disposition": d})
        )
        assert media.download(client, "MEDIA") == (name, "image/png", PNG)


def test_a_refusal_in_place_of_a_file(client: WeComClient, server: LocalServer) -> None:
    server.answer("media/get", errcode(40007, "invalid media_id"))
    with pytest.raises(WeComRejected) as caught:
        media.download(client, "MEDIA")
    assert caught.value.errcode == 40007
    server.answer("media/get", local_server.html)  # a gateway's page is no file
    with pytest.raises(WeComError):
        media.download(client, "MEDIA")
    server.answer(
        "media/get",
        lambda handler: handler.send(b'{"a": 1}', **{"Content-Disposition": "attachment; filename=a.json"}),
    )
    assert media.download(client, "MEDIA").data == b'{"a": 1}'  # a file that happens to be JSON


# ---- addresses


def test_links_with_a_channel() -> None:
    url = "https://work.weixin.qq.com/ca/cawABC"
    assert acquisition.channel_url(url, "短信 a&b") == url + "?customer_channel=%E7%9F%AD%E4%BF%A1%20a%26b"
    assert acquisition.app_scheme(url).startswith("weixin://biz/ww/profile/https%3A%2F%2Fwork")
    with pytest.raises(InvalidMessage):
        acquisition.channel_url(url, "长" * 22)
