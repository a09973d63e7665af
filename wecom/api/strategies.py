"""Rule groups (规则组) of customers and of moments, and the tags of a rule group. Pages 94883, 94890, 94882.

A rule group says which members may do what with their customers. An app reads and changes those that it made.
Make and edit them one after the other: WeCom allows nothing else, and the client lets one call through at a
time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, at_most_chars, needed
from wecom.api.paging import rows
from wecom.api.tags import TagGroup
from wecom.client import WeComClient
from wecom.errors import LostAnswer

Kind = Literal["customer", "moment"]
MAX_ADMINS = 20


class Strategy(TypedDict, total=False):
    strategy_id: int
    parent_id: int  # 0: first level
    strategy_name: str
    create_time: int
    admin_list: list[str]
    privilege: dict[str, bool]  # customers: view_customer_list, contact_me …; moments: send_moment …


class RangeEntry(TypedDict, total=False):
    type: int  # 1 member, 2 department
    userid: str
    partyid: int


def strategies(client: WeComClient, kind: Kind) -> list[int]:
    """Ids of all rule groups."""
    found = rows(client, f"externalcontact/{kind}_strategy/list", {"limit": 1000}, "strategy")
    return [row["strategy_id"] for row in found]


def strategy(client: WeComClient, kind: Kind, strategy_id: int) -> Strategy:
    body = {"strategy_id": strategy_id}
    answer = client.call("POST", f"externalcontact/{kind}_strategy/get", body=body, repeatable=True)
    return cast(Strategy, answer.get("strategy") or {})


def strategy_range(client: WeComClient, kind: Kind, strategy_id: int) -> list[RangeEntry]:
    """For whom the rules hold."""
    body = {"strategy_id": strategy_id, "limit": 1000}
    return cast(
        list[RangeEntry], list(rows(client, f"externalcontact/{kind}_strategy/get_range", body, "range"))
    )


def create_strategy(
    client: WeComClient,
    kind: Kind,
    *,
    name: str,
    admins: Sequence[str],
    privilege: Mapping[str, bool],
    range_: Sequence[RangeEntry],
    parent_id: int = 0,
) -> int:
    """Make a rule group; gives its id.

    Raises:
        LostAnswer: perhaps made; look with `strategies` and compare names.
    """
    needed(_("Name"), name)
    needed(_("Range"), range_)
    at_most(_("Administrators"), admins, MAX_ADMINS)
    api = f"externalcontact/{kind}_strategy/create"
    body = {
        "parent_id": parent_id,
        "strategy_name": name,
        "admin_list": list(admins),
        "privilege": dict(privilege),
        "range": [dict(entry) for entry in range_],
    }
    made = client.call("POST", api, body=body).get("strategy_id")
    if not isinstance(made, int):
        raise LostAnswer(api=api, errmsg="no strategy_id in the answer")
    return made


def edit_strategy(
    client: WeComClient,
    kind: Kind,
    strategy_id: int,
    *,
    name: str | None = None,
    admins: Sequence[str] | None = None,
    privilege: Mapping[str, bool] | None = None,
    add: Sequence[RangeEntry] = (),
    remove: Sequence[RangeEntry] = (),
) -> None:
    """Change what is given; administrators and privileges are replaced as a whole."""
    body: dict[str, Any] = {"strategy_id": strategy_id}
    if name is not None:
        body["strategy_name"] = name
    if admins is not None:
        at_most(_("Administrators"), admins, MAX_ADMINS)
        body["admin_list"] = list(admins)
    if privilege is not None:
        body["privilege"] = dict(privilege)
    if add:
        body["range_add"] = [dict(entry) for entry in add]
    if remove:
        body["range_del"] = [dict(entry) for entry in remove]
    client.call("POST", f"externalcontact/{kind}_strategy/edit", body=body, repeatable=True)


def delete_strategy(client: WeComClient, kind: Kind, strategy_id: int) -> None:
    """Delete a rule group."""
    body = {"strategy_id": strategy_id}
    client.call("POST", f"externalcontact/{kind}_strategy/del", body=body, repeatable=True)


# ---- tags of a rule group (type 3 in `contacts.FollowTag`)


def strategy_tags(
    client: WeComClient, strategy_id: int, *, group_ids: Sequence[str] = (), tag_ids: Sequence[str] = ()
) -> list[TagGroup]:
    """The tags of one rule group; all of them when no id is given."""
    body: dict[str, Any] = {"strategy_id": strategy_id}
    if group_ids:
        body["group_id"] = list(group_ids)
    elif tag_ids:
        body["tag_id"] = list(tag_ids)
    answer = client.call("POST", "externalcontact/get_strategy_tag_list", body=body, repeatable=True)
    return cast(list[TagGroup], answer.get("tag_group") or [])


def add_strategy_tags(
    client: WeComClient, strategy_id: int, names: Sequence[str], *, group_id: str = "", group_name: str = ""
) -> TagGroup:
    """Make tags in a group of a first-level rule group; they count with the corp tags.

    Raises:
        LostAnswer: perhaps made; look with `strategy_tags`.
    """
    needed(_("Tag names"), names)
    needed(_("Tag group"), group_id or group_name)
    at_most_chars(_("Tag group"), group_name, 30)
    for name in names:
        at_most_chars(_("Tag name"), name, 30)
    body: dict[str, Any] = {"strategy_id": strategy_id, "tag": [{"name": name} for name in names]}
    body |= {"group_id": group_id} if group_id else {"group_name": group_name}
    answer = client.call("POST", "externalcontact/add_strategy_tag", body=body)
    return cast(TagGroup, answer.get("tag_group") or {})


def edit_strategy_tag(
    client: WeComClient, id: str, *, name: str | None = None, order: int | None = None
) -> None:
    """Rename or move a tag or a group; it stays with its rule group."""
    at_most_chars(_("Tag name"), name or "", 30)
    given = {"name": name, "order": order}
    body = {"id": id, **{key: value for key, value in given.items() if value is not None}}
    client.call("POST", "externalcontact/edit_strategy_tag", body=body, repeatable=True)


def delete_strategy_tags(
    client: WeComClient, *, tag_ids: Sequence[str] = (), group_ids: Sequence[str] = ()
) -> None:
    """Delete tags or whole groups."""
    needed(_("Tags"), tag_ids or group_ids)
    given = {"tag_id": list(tag_ids), "group_id": list(group_ids)}
    body = {key: value for key, value in given.items() if value}
    client.call("POST", "externalcontact/del_strategy_tag", body=body, repeatable=True)
