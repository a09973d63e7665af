"""The sandbox's tables.

Rows point to each other by WeCom's own ids (corpid, userid, external_userid …), without foreign keys: a wipe
is then one statement per table. Member ids compare without regard to case, as WeCom's do. Every *_at and
*time is sandbox seconds.
"""

from .contacts import (
    ContactWay,
    Customer,
    Follow,
    FollowTag,
    FriendRequest,
    Happening,
    Link,
    Prepared,
    Tag,
    TagGroup,
    Transfer,
)
from .corp import App, Corp, Department, LoginCode, Member, Seat, Ticket, Token, UserTicket
from .groups import GroupChat, GroupMember, GroupTemplate, JoinWay
from .library import InterceptRule, MemberTag, Product, Strategy
from .messages import (
    AppChat,
    Mass,
    MassReceiver,
    MassTask,
    Media,
    Message,
    Moment,
    MomentTask,
    MonthCount,
    Purchase,
    Reaction,
    ResponseCode,
    Robot,
    UrlJob,
    WelcomeCode,
)
from .system import Delivery, Due, Fault, Setting

__all__ = [
    "App",
    "AppChat",
    "ContactWay",
    "Corp",
    "Customer",
    "Delivery",
    "Department",
    "Due",
    "Fault",
    "Follow",
    "FollowTag",
    "FriendRequest",
    "GroupChat",
    "GroupMember",
    "GroupTemplate",
    "Happening",
    "InterceptRule",
    "JoinWay",
    "Link",
    "LoginCode",
    "Mass",
    "MassReceiver",
    "MassTask",
    "Media",
    "Member",
    "MemberTag",
    "Message",
    "Moment",
    "MomentTask",
    "MonthCount",
    "Prepared",
    "Product",
    "Purchase",
    "Reaction",
    "ResponseCode",
    "Robot",
    "Seat",
    "Setting",
    "Strategy",
    "Tag",
    "TagGroup",
    "Ticket",
    "Token",
    "Transfer",
    "UrlJob",
    "UserTicket",
    "WelcomeCode",
]
