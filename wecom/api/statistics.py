"""WeCom's own figures: contact of members with customers, groups by owner and by day. Pages 92132, 92133.

Days are Shanghai's, of the last 180; the figures of a day are there on the next one.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, needed, whole_days
from wecom.client import WeComClient

LONGEST, BACK = 30, 180  # days of one call, and how far they reach back


class ContactDay(TypedDict, total=False):
    stat_time: int  # 0:00 of the day
    chat_cnt: int  # conversations in which the member wrote
    message_cnt: int
    reply_percentage: float  # only if there were conversations
    avg_reply_time: int  # minutes; only if there were conversations
    negative_feedback_cnt: int  # customers who deleted or blocked the member
    new_apply_cnt: int
    new_contact_cnt: int


class GroupFigures(TypedDict, total=False):
    new_chat_cnt: int
    chat_total: int
    chat_has_msg: int
    new_member_cnt: int
    member_total: int
    member_has_msg: int
    msg_total: int
    migrate_trainee_chat_cnt: int  # education only


class OwnerFigures(TypedDict):
    owner: str
    data: GroupFigures


class DayFigures(TypedDict):
    stat_time: int
    data: GroupFigures


def contact_days(
    client: WeComClient,
    *,
    since: date,
    until: date,
    userids: Sequence[str] = (),
    department_ids: Sequence[int] = (),
) -> list[ContactDay]:
    """One row per day, summed over all who are named: ask for one member to get one member.

    Args:
        since, until: both counted, ≤ 30 days apart, of the last 180.
        userids, department_ids: ≤ 100 each, not both empty.
    """
    needed(_("Members"), userids or department_ids)
    at_most(_("Members"), userids, 100)
    at_most(_("Departments"), department_ids, 100)
    first, last = whole_days(since, until, LONGEST, back=BACK)
    body: dict[str, Any] = {"start_time": first, "end_time": last}
    if userids:
        body["userid"] = list(userids)
    if department_ids:
        body["partyid"] = list(department_ids)
    answer = client.call("POST", "externalcontact/get_user_behavior_data", body=body, repeatable=True)
    return cast(list[ContactDay], answer.get("behavior_data") or [])


def group_figures_by_owner(
    client: WeComClient, *, since: date, until: date, owner_userids: Sequence[str]
) -> Iterator[OwnerFigures]:
    """One row per owner, summed over the days, page after page.

    Args:
        owner_userids: 1 to 100.
    """
    api, offset = "externalcontact/groupchat/statistic", 0
    body = _groups(since, until, owner_userids)
    while True:
        answer = client.call("POST", api, body={**body, "offset": offset, "limit": 1000}, repeatable=True)
        items = cast(list[OwnerFigures], answer.get("items") or [])
        yield from items
        offset = int(answer.get("next_offset") or 0)
        if not items or offset <= 0 or offset >= int(answer.get("total") or 0):
            return


def group_figures_by_day(
    client: WeComClient, *, since: date, until: date, owner_userids: Sequence[str]
) -> list[DayFigures]:
    """One row per day, summed over the owners (1 to 100)."""
    api = "externalcontact/groupchat/statistic_group_by_day"
    answer = client.call("POST", api, body=_groups(since, until, owner_userids), repeatable=True)
    return cast(list[DayFigures], answer.get("items") or [])


def _groups(since: date, until: date, owner_userids: Sequence[str]) -> dict[str, Any]:
    needed(_("Owners"), owner_userids)
    at_most(_("Owners"), owner_userids, 100)
    first, last = whole_days(since, until, LONGEST, back=BACK)
    return {
        "day_begin_time": first,
        "day_end_time": last,
        "owner_filter": {"userid_list": list(owner_userids)},
    }
