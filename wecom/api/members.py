"""Members, departments and the app itself. Pages 90208, 95351, 90200, 90201, 90196, 90227.

With a self-built app's secret WeCom shows names and departments in the visible range, never phone or e-mail.
"""

from typing import TypedDict, cast

from wecom.client import WeComClient


class Department(TypedDict, total=False):
    id: int
    name: str
    name_en: str
    department_leader: list[str]
    parentid: int
    order: int  # larger comes first


class Member(TypedDict, total=False):
    userid: str  # compare without regard to case
    name: str
    department: list[int]
    is_leader_in_dept: list[int]  # parallel to `department`
    main_department: int
    direct_leader: list[str]
    position: str
    alias: str
    status: int  # 1 active, 2 disabled, 4 not activated, 5 left


class Agent(TypedDict, total=False):
    agentid: int
    name: str
    description: str
    close: int  # 1 disabled
    redirect_domain: str  # trusted domain
    home_url: str
    allow_userinfos: dict[str, list[dict[str, str]]]  # {"user": [{"userid": …}]}
    allow_partys: dict[str, list[int]]  # {"partyid": […]}
    allow_tags: dict[str, list[int]]


def departments(client: WeComClient) -> list[Department]:
    """All departments in the visible range; the root's id is 1."""
    answer = client.call("GET", "department/list", repeatable=True)
    return cast(list[Department], answer.get("department") or [])


def department(client: WeComClient, department_id: int) -> Department:
    """One department. WeComRejected 60003 or 60123: there is none."""
    answer = client.call("GET", "department/get", params={"id": department_id}, repeatable=True)
    return cast(Department, answer.get("department") or {})


def department_userids(client: WeComClient, department_id: int) -> list[Member]:
    """userid, name and departments of the members of one department, not of those below it."""
    answer = client.call("GET", "user/simplelist", params={"department_id": department_id}, repeatable=True)
    return cast(list[Member], answer.get("userlist") or [])


def department_users(client: WeComClient, department_id: int) -> list[Member]:
    """Members of one department, not of those below it: walk the tree (45029 when asked for all of a large
    one)."""
    answer = client.call("GET", "user/list", params={"department_id": department_id}, repeatable=True)
    return cast(list[Member], answer.get("userlist") or [])


def user(client: WeComClient, userid: str) -> Member:
    """One member. WeComRejected 60111 unknown, WeComForbidden 60011 outside the visible range."""
    return cast(Member, client.call("GET", "user/get", params={"userid": userid}, repeatable=True))


def agent(client: WeComClient) -> Agent:
    """The app as WeCom knows it: its visible range and trusted domain (for the set-up doctor)."""
    return cast(Agent, client.call("GET", "agent/get", params={"agentid": client.agent_id}, repeatable=True))
