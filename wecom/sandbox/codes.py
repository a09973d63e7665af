"""What can be scanned or clicked: contact ways, acquisition links, a member's own code."""

from dataclasses import dataclass
from typing import Any

from . import clock, ranges
from .errors import Refused
from .models import ContactWay, Link, Member

OWN_CODE, LINK = 1, 16  # add_way of a scanned code and of an acquisition link
CHANNEL_BYTES = 64


@dataclass(frozen=True)
class Source:
    """Where somebody comes from, and whom he can meet there."""

    people: list[str]
    state: str = ""
    source_id: str = ""
    add_way: int = OWN_CODE
    skip_verify: bool = True
    link: Link | None = None


def find(corpid: str, given: dict[str, Any]) -> Source:
    """The source named by config_id, qr_code, state (its newest way), link_id or, alone, userid.

    Raises:
        Refused: it does not exist any more, or nothing was named.
    """
    if given.get("link_id"):
        return _link(corpid, given)
    way = way_of(corpid, given)
    if way is not None:
        return Source(
            people=people_behind(corpid, way.users, way.parties),
            state=way.state,
            source_id=way.config_id,
            skip_verify=way.skip_verify,
        )
    member = ranges.find(corpid, given.get("userid") or "")
    if member is None:
        raise Refused("say which code: state, config_id, qr_code, link_id or a member's userid", status=404)
    return Source(people=[member.userid])


def way_of(corpid: str, given: dict[str, Any]) -> ContactWay | None:
    """The contact way named by config_id, qr_code or state (its newest); None if none was named."""
    config_id = given.get("config_id")
    if not config_id and given.get("qr_code"):
        config_id = str(given["qr_code"]).split("/wwpic/", 1)[-1].split("/", 1)[0]
    ways = ContactWay.objects.filter(corpid=corpid)
    if config_id:
        found = ways.filter(config_id=config_id).first()
    elif given.get("state"):
        found = ways.filter(state=given["state"]).order_by("-id").first()
    else:
        return None
    if found is None:
        raise Refused("this code leads nowhere (deleted, or never made)", status=404)
    if found.is_temp and clock.now() > found.create_time + found.expires_in:
        raise Refused("this code has expired")
    return found


def _link(corpid: str, given: dict[str, Any]) -> Source:
    link = Link.objects.filter(corpid=corpid, link_id=given["link_id"]).first()
    if link is None:
        raise Refused("this link leads nowhere (deleted, or never made)", status=404)
    channel = (
        str(given.get("customer_channel") or given.get("state") or "")
        .encode()[:CHANNEL_BYTES]
        .decode(errors="ignore")
    )
    return Source(
        people=people_behind(corpid, link.users, link.departments),
        state=channel,
        source_id=link.link_id,
        add_way=LINK,
        skip_verify=link.skip_verify,
        link=link,
    )


def people_behind(corpid: str, users: list[str], departments: list[int]) -> list[str]:
    """Active members with the customer-contact right among users and departments."""
    wanted = {userid.lower() for userid in users}
    wanted |= {userid.lower() for userid in ranges.members_in(corpid, departments)}
    rows = Member.objects.filter(corpid=corpid, status=ranges.ACTIVE, has_contact_right=True).order_by("id")
    if not departments:
        rows = rows.filter(userid__in=users)
    return [userid for userid in rows.values_list("userid", flat=True) if userid.lower() in wanted]
