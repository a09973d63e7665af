"""Corp tags (企业标签) and which customer has them. Pages 92117, 92118.

An app may change only the tags that it made. A tag belongs to the pair of member and customer.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, at_most_chars, in_order, needed
from wecom.client import WeComClient


class CorpTag(TypedDict, total=False):
    id: str
    name: str
    create_time: int
    order: int  # larger comes first
    deleted: bool  # only when asked for by id


class TagGroup(TypedDict, total=False):
    group_id: str
    group_name: str
    create_time: int
    order: int
    deleted: bool
    tag: list[CorpTag]


def corp_tags(
    client: WeComClient, *, group_ids: Sequence[str] = (), tag_ids: Sequence[str] = ()
) -> list[TagGroup]:
    """The tag library; all of it when no id is given. With group ids, WeCom ignores tag ids."""
    body: dict[str, Any] = {}
    if group_ids:
        body["group_id"] = list(group_ids)
    elif tag_ids:
        body["tag_id"] = list(tag_ids)
    answer = client.call("POST", "externalcontact/get_corp_tag_list", body=body, repeatable=True)
    return cast(list[TagGroup], answer.get("tag_group") or [])


def add_corp_tags(
    client: WeComClient,
    names: Sequence[str],
    *,
    group_id: str = "",
    group_name: str = "",
    order: int | None = None,
) -> TagGroup:
    """Make tags in a group (by id, or by name: a new one if there is none of it); gives the tags made, with
    their ids.

    Args:
        names: ≤ 30 characters each, different within a group (40071).

    Raises:
        LostAnswer: perhaps made; look with `corp_tags`.
    """
    needed(_("Tag names"), names)
    needed(_("Tag group"), group_id or group_name)
    at_most_chars(_("Tag group"), group_name, 30)
    for name in names:
        needed(_("Tag name"), name)
        at_most_chars(_("Tag name"), name, 30)
    in_order(order)
    body: dict[str, Any] = {"group_id": group_id} if group_id else {"group_name": group_name}
    if order is not None:
        body["order"] = order
    body["tag"] = [{"name": name} for name in names]
    answer = client.call("POST", "externalcontact/add_corp_tag", body=body)
    return cast(TagGroup, answer.get("tag_group") or {})


def edit_corp_tag(client: WeComClient, id: str, *, name: str | None = None, order: int | None = None) -> None:
    """Rename or move a tag or a group (`id` of either)."""
    at_most_chars(_("Tag name"), name or "", 30)
    in_order(order)
    given = {"name": name, "order": order}
    body = {"id": id, **{key: value for key, value in given.items() if value is not None}}
    client.call("POST", "externalcontact/edit_corp_tag", body=body, repeatable=True)


def delete_corp_tags(
    client: WeComClient, *, tag_ids: Sequence[str] = (), group_ids: Sequence[str] = ()
) -> None:
    """Delete tags or whole groups; a group goes with its last tag. Customers lose the tags without an
    event."""
    needed(_("Tags"), tag_ids or group_ids)
    given = {"tag_id": list(tag_ids), "group_id": list(group_ids)}
    body = {key: value for key, value in given.items() if value}
    client.call("POST", "externalcontact/del_corp_tag", body=body, repeatable=True)


def mark_tag(
    client: WeComClient,
    userid: str,
    external_userid: str,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
) -> None:
    """Put tags on a member's customer and take others off; again does no harm.

    Args:
        add, remove: tag ids, at most 100 each, not both empty.

    Raises:
        WeComRejected: 84061 not (any more) this member's customer; 40068 the tag is gone.
        WeComRateLimited: 45035 the same customer is being changed elsewhere.
    """
    needed(_("Tags"), add or remove)
    at_most(_("Tags"), add, 100)
    at_most(_("Tags"), remove, 100)
    body: dict[str, Any] = {"userid": userid, "external_userid": external_userid}
    if add:
        body["add_tag"] = list(add)
    if remove:
        body["remove_tag"] = list(remove)
    client.call("POST", "externalcontact/mark_tag", body=body, repeatable=True)
