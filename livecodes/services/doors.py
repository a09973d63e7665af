"""What WeCom has behind a code: a contact way (「联系我」) or an acquisition link (获客助手). Both are doors to some
members; ways.py keeps them right and knows nothing of the difference.

Source: developer.work.weixin.qq.com/document/path/92228, 97297
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import transaction

from livecodes.models import ChannelCode
from scrm import clock
from wecom.api import acquisition, contact_ways
from wecom.client import WeComClient
from wecom.errors import WeComRejected

LOOK_FROM = timedelta(minutes=10)  # clocks of WeCom and ours may differ
GONE = 41044  # WeCom's number for a contact way that is not there; ours for a link, too
GONE_CODES = frozenset({41043, GONE})
NO_LINK = 40058  # a link that is not there is an illegal parameter
LINK_NAME, MARK = 30, 8


class Made(NamedTuple):
    """`url`: the picture of a contact way, the address of a link."""

    config_id: str
    url: str


class Shown(NamedTuple):
    """What WeCom shows of a door. `state` is None where a kind has none."""

    userids: list[str]
    skip_verify: bool
    url: str
    name: str
    state: str | None = None


class Door(NamedTuple):
    """The calls of a kind. `find`: what was made without our hearing of it; `read`, `update` and `delete` raise
    WeComRejected 41044 for what is not there any more."""

    name: Callable[[ChannelCode], str]  # what it should be called at WeCom
    make: Callable[[WeComClient, ChannelCode, Sequence[str]], Made]
    find: Callable[[WeComClient, ChannelCode], Made | None]
    update: Callable[[WeComClient, ChannelCode, str, Sequence[str]], None]
    read: Callable[[WeComClient, str], Shown]
    delete: Callable[[WeComClient, str], None]


# ---- contact ways


def _way_name(code: ChannelCode) -> str:
    return code.name[:30]


def _make_way(client: WeComClient, code: ChannelCode, userids: Sequence[str]) -> Made:
    made = contact_ways.add_contact_way(
        client,
        userids=list(userids),
        state=code.state,
        remark=_way_name(code),
        skip_verify=code.skip_verify,
    )
    return Made(made["config_id"], made["qr_code"])


def _find_way(client: WeComClient, code: ChannelCode) -> Made | None:
    """The contact way with this `state` that was made since about then and that no code of ours knows."""
    since = code.asked_at or clock.now()
    ids = contact_ways.contact_ways(client, start_at=since - LOOK_FROM, end_at=clock.now() + LOOK_FROM)
    known = _known(ids)
    for config_id in reversed(ids):
        if config_id not in known:
            way = contact_ways.contact_way(client, config_id)
            if way.get("state") == code.state:
                return Made(config_id, way.get("qr_code", ""))
    return None


def _update_way(client: WeComClient, code: ChannelCode, config_id: str, userids: Sequence[str]) -> None:
    contact_ways.update_contact_way(
        client,
        config_id,
        userids=list(userids),
        remark=_way_name(code),
        state=code.state,
        skip_verify=code.skip_verify,
    )


def _read_way(client: WeComClient, config_id: str) -> Shown:
    way = contact_ways.contact_way(client, config_id)
    users = [userid.lower() for userid in way.get("user") or []]
    return Shown(
        users,
        way.get("skip_verify", True),
        way.get("qr_code") or "",
        way.get("remark") or "",
        way.get("state") or "",
    )


def _delete_way(client: WeComClient, config_id: str) -> None:
    contact_ways.delete_contact_way(client, config_id)


# ---- links


def link_name(code: ChannelCode) -> str:
    """The name at WeCom: only by it a link can be found again whose making had no answer, so it is marked."""
    return f"{code.name[: LINK_NAME - MARK - 1]}·{code.state[-MARK:]}"


def _make_link(client: WeComClient, code: ChannelCode, userids: Sequence[str]) -> Made:
    made = acquisition.create_link(
        client, link_name(code), userids=list(userids), skip_verify=code.skip_verify
    )
    return Made(made["link_id"], made.get("url") or _read_link(client, made["link_id"]).url)


def _find_link(client: WeComClient, code: ChannelCode) -> Made | None:
    ids = acquisition.links(client)
    known, since = _known(ids), (code.asked_at or clock.now()) - LOOK_FROM
    for link_id in reversed(ids):
        if link_id in known:
            continue
        link = acquisition.link(client, link_id)["link"]
        if link.get("create_time") and link["create_time"] < since.timestamp():
            continue
        if str(link.get("link_name", "")).endswith(f"·{code.state[-MARK:]}"):
            return Made(link_id, link.get("url", ""))
    return None


def _update_link(client: WeComClient, code: ChannelCode, link_id: str, userids: Sequence[str]) -> None:
    try:
        acquisition.update_link(
            client, link_id, name=link_name(code), userids=list(userids), skip_verify=code.skip_verify
        )
    except WeComRejected as error:
        if error.errcode == NO_LINK:
            _read_link(client, link_id)  # raises if it is gone
        raise


def _read_link(client: WeComClient, link_id: str) -> Shown:
    try:
        found = acquisition.link(client, link_id)
    except WeComRejected as error:
        if error.errcode != NO_LINK:
            raise
        raise WeComRejected(api=error.api, errcode=GONE, errmsg=error.errmsg) from None
    link, users = found["link"], found["range"].get("user_list") or []
    return Shown(
        [userid.lower() for userid in users],
        link.get("skip_verify", True),
        link.get("url", ""),
        link.get("link_name", ""),
    )


def _delete_link(client: WeComClient, link_id: str) -> None:
    try:
        acquisition.delete_link(client, link_id)
    except WeComRejected as error:
        if error.errcode != NO_LINK:
            raise


def _known(ids: Sequence[str]) -> set[str]:
    with transaction.atomic():
        return set(ChannelCode.objects.filter(config_id__in=ids).values_list("config_id", flat=True))


DOORS: dict[str, Door] = {
    ChannelCode.Kind.CODE: Door(_way_name, _make_way, _find_way, _update_way, _read_way, _delete_way),
    ChannelCode.Kind.LINK: Door(link_name, _make_link, _find_link, _update_link, _read_link, _delete_link),
}


def door_of(code: ChannelCode) -> Door:
    return DOORS[code.kind]


def address_of(code: ChannelCode) -> str:
    """The address to give away for a link, with our channel in it; empty until WeCom has made it."""
    if code.kind != ChannelCode.Kind.LINK or not code.qr_url:
        return ""
    return acquisition.channel_url(code.qr_url, code.state)
