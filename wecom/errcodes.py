"""WeCom's error codes: what they mean for us, in plain words, and which console page mends them.

One table for the client (which exception), the task that retries, and the set-up doctor (what to tell a brand
admin). Source: developer.work.weixin.qq.com/document/path/90313; newer codes from the pages of the single
calls.
"""

from enum import StrEnum
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Kind(StrEnum):
    """What a caller can do about an answer."""

    RETRY = "retry"  # WeCom is busy: the same call later
    LIMIT = "limit"  # too many calls: wait
    SESSION = "session"  # the access token is no longer valid: the client fetches one new one
    STATE = "state"  # already done, or not possible for this object: finished, nothing to repair
    STOP = "stop"  # our data is wrong: repeating cannot help
    ADMIN = "admin"  # somebody has to change something in the WeCom console


class Advice(NamedTuple):
    """`text` and `page` are translated lazily; `page` is empty when no console page can help."""

    kind: Kind
    text: str | Promise
    page: str | Promise = ""


CORP_PAGE = _("WeCom console: My company, Company information")
APP_PAGE = _("WeCom console: App management, your app")
SCOPE_PAGE = _("WeCom console: App management, your app, Visible range")
IP_PAGE = _("WeCom console: App management, your app, Trusted company IP")
CALLBACK_PAGE = _("WeCom console: App management, your app, Receive messages, Set API reception")
DOMAIN_PAGE = _("WeCom console: App management, your app, Web authorisation and JS-SDK (trusted domain)")
CALLABLE_PAGE = _("WeCom console: Customer contact, Customers, API, Apps that may call the API")
RIGHTS_PAGE = _("WeCom console: Customer contact, Permission settings, Usage scope")
UNIONID_PAGE = _("WeCom console: Customer contact, Customers, API, WeChat developer ID")
TAGS_PAGE = _("WeCom console: Customer contact, Customer tags")
MEMBERS_PAGE = _("WeCom console: Contacts")

_SECRET = _("The app secret is wrong, was reset, or the app is disabled. Copy the secret of this app again.")
_CORPID = _("WeCom does not know this corp ID. Copy it again from the company information page.")
_CALLABLE = _(
    "The app may not call this function. Add it to the apps that may call the customer contact API."
)
_RANGE = _("The member or department is outside the app's visible range. Widen the range to include them.")
_RIGHT = _("The member may not have customers. Include them in the usage scope of customer contact.")
_MEMBER = _("The member is not active, not verified by real name, or may not have customers.")
_PARAMETER = _("WeCom does not accept the data that was sent.")
_UNKNOWN_USER = _("WeCom does not know this member. They may have left or been renamed.")
_CUSTOMER = _("WeCom does not know this customer.")
_RELATION = _("This member and this customer are not connected.")
_CODE = _("The log-in code was used already or is too old. Sign in again.")
_BUSY = _("WeCom is busy. The call is repeated a little later.")
_LIMIT = _("Too many calls in a short time. The calls go on when WeCom allows it.")
_MEDIA = _("WeCom does not accept this file: its type, size or content is wrong.")
_TOO_LONG = _("The content is longer than WeCom allows.")
_DEVELOPER = _(
    "No verified WeChat developer account is bound, so WeCom does not tell who a customer is in WeChat."
)
_TRANSFER = _("The customer cannot be handed over now.")

_GROUPS: list[tuple[Kind, tuple[int, ...], str | Promise, str | Promise]] = [
    (Kind.RETRY, (-1, 6000), _BUSY, ""),
    (Kind.RETRY, (41063,), _("WeCom is still handing the mass message to the members."), ""),
    (Kind.RETRY, (41096,), _("Another app is sending a welcome message to this customer right now."), ""),
    (Kind.LIMIT, (45009, 45033), _LIMIT, ""),
    (Kind.LIMIT, (45035,), _("The tags of this customer are being changed elsewhere."), ""),
    (Kind.SESSION, (40014, 42001), _("WeCom ended the app's session early."), ""),
    # ---- somebody has to change something in the console
    (Kind.ADMIN, (40001, 40091), _SECRET, APP_PAGE),
    (Kind.ADMIN, (40013, 2000002), _CORPID, CORP_PAGE),
    (Kind.ADMIN, (40056, 301002), _("The AgentId does not belong to this app's secret."), APP_PAGE),
    (Kind.ADMIN, (50003,), _("The app is disabled."), APP_PAGE),
    (Kind.ADMIN, (301007,), _("WeCom has closed this company's account."), CORP_PAGE),
    (Kind.ADMIN, (43009,), _("The company is not verified."), CORP_PAGE),
    (
        Kind.ADMIN,
        (60020, 48009),
        _("WeCom does not trust the address of this server. Add its IP; it works about a minute later."),
        IP_PAGE,
    ),
    (Kind.ADMIN, (48002,), _CALLABLE, CALLABLE_PAGE),
    (Kind.ADMIN, (48001, 48005), _("WeCom does not offer this function to the app."), APP_PAGE),
    (
        Kind.ADMIN,
        (48006,),
        _("WeCom has switched the app off because it was not used. Open the app once in the console."),
        APP_PAGE,
    ),
    (Kind.ADMIN, (60011, 50002, 60021, 92000), _RANGE, SCOPE_PAGE),
    (Kind.ADMIN, (84074, 610004, 84083), _RIGHT, RIGHTS_PAGE),
    (Kind.ADMIN, (41054, 40098), _MEMBER, RIGHTS_PAGE),
    (
        Kind.ADMIN,
        (40057, 43012),
        _("WeCom cannot reach the callback address, or got a wrong answer."),
        CALLBACK_PAGE,
    ),
    (Kind.ADMIN, (50001, 80001), _("The address of this page is not the app's trusted domain."), DOMAIN_PAGE),
    (Kind.ADMIN, (41057, 610014, 610015, 610016, 610017), _DEVELOPER, UNIONID_PAGE),
    (Kind.ADMIN, (40126,), _("The company has as many customer tags as WeCom allows."), TAGS_PAGE),
    (Kind.ADMIN, (41045,), _("The company has as many contact codes as WeCom allows. Delete old ones."), ""),
    (Kind.ADMIN, (41055,), _("The company has as many group welcome messages as WeCom allows."), ""),
    (Kind.ADMIN, (701008,), _("The member has no interface licence."), APP_PAGE),
    (Kind.ADMIN, (90206, 90207, 90208), _("The mini-program is not linked to this company."), APP_PAGE),
    # ---- the state of one object: finished
    (Kind.STATE, (84061, 84084, 43004), _RELATION, ""),
    (Kind.STATE, (41048,), _("None of these customers can receive the message."), ""),
    (Kind.STATE, (41049, 41050), _("The 20 seconds for a welcome message are over."), ""),
    (Kind.STATE, (41051,), _("The conversation has begun, or a welcome message was delivered already."), ""),
    (Kind.STATE, (41053,), _("The customer has not agreed that conversations are stored."), ""),
    (Kind.STATE, (40100, 40129), _("The customer is being handed over already."), ""),
    (Kind.STATE, (40128,), _("The customer was handed over too often in the last 90 days."), ""),
    (Kind.STATE, (40099,), _("The receiver has as many customers as WeCom allows."), ""),
    (Kind.STATE, (40131,), _("The customer is no longer a customer of this member."), ""),
    (Kind.STATE, (40097, 90500), _("The member has not left the company."), ""),
    (Kind.STATE, (40130,), _TRANSFER, ""),
    (Kind.STATE, (90502,), _("The owner of the group has left the company."), ""),
    (Kind.STATE, (90501, 40050), _("This is not a customer group."), ""),
    (Kind.STATE, (49008,), _("The group was dissolved."), ""),
    (Kind.STATE, (90503,), _("The group is full."), ""),
    (Kind.STATE, (90504,), _("The group has this owner already."), ""),
    (Kind.STATE, (90507, 90508), _("The group is being handed over, or was already."), ""),
    (Kind.STATE, (41061, 41062), _("The member has not published this moment."), ""),
    (Kind.STATE, (60102, 60104, 60106), _("A member with this ID, phone or e-mail exists already."), ""),
    (Kind.STATE, (40029, 42022, 84014, 84015), _CODE, ""),
    (
        Kind.STATE,
        (40093, 42012, 91040),
        _("The signature of the page is out of date. Load the page again."),
        "",
    ),
    # ---- our data
    (
        Kind.STOP,
        (40035, 40058, 40063, 40033, 40066, 40008, 41035, 41037, 41038, 41039, 41040, 41042),
        _PARAMETER,
        "",
    ),
    (Kind.STOP, (41001, 41002, 41004, 41009, 41011, 41016, 41017, 41019, 41033), _PARAMETER, ""),
    (Kind.STOP, (40003, 40031, 46004, 60111, 301021), _UNKNOWN_USER, MEMBERS_PAGE),
    (Kind.STOP, (40032, 81014, 81017, 45029), _("Too many members in one call."), ""),
    (Kind.STOP, (81013, 82001), _("Nobody who was named can receive the message."), SCOPE_PAGE),
    (Kind.STOP, (40096, 41056), _CUSTOMER, ""),
    (Kind.STOP, (41041,), _("A contact code can have at most 100 members."), ""),
    (
        Kind.STOP,
        (41043, 41044),
        _("WeCom does not know this contact code. It was deleted or made by another app."),
        "",
    ),
    (Kind.STOP, (40068,), _("WeCom does not know this tag. It was deleted."), TAGS_PAGE),
    (Kind.STOP, (40071, 40070), _("A tag of this name exists already."), TAGS_PAGE),
    (Kind.STOP, (40072,), _("The name of the tag is too long."), ""),
    (Kind.STOP, (81011,), _("Only the app that made this tag may change it."), TAGS_PAGE),
    (
        Kind.STOP,
        (40007,),
        _("The uploaded file is no longer known to WeCom: it is older than three days."),
        "",
    ),
    (Kind.STOP, (40004, 40005, 40006, 40009, 40011, 40123, 44001, 45001, 41064, 41065), _MEDIA, ""),
    (Kind.STOP, (44004,), _("The text is empty."), ""),
    (Kind.STOP, (45002,), _TOO_LONG, ""),
    (Kind.STOP, (85002,), _("The text contains words that WeCom forbids."), ""),
    (Kind.STOP, (40039, 40094, 40054, 40055, 40127), _("WeCom does not accept the link."), ""),
    (Kind.STOP, (41046, 41047), _("WeCom does not know this mass message."), ""),
    (Kind.STOP, (41052,), _("The time of sending is not allowed."), ""),
    (Kind.STOP, (60003, 60123), _("WeCom does not know this department."), MEMBERS_PAGE),
    (Kind.STOP, (41059, 41060), _("WeCom does not know this moment."), ""),
    (Kind.STOP, (40037, 60203), _("WeCom does not know this template."), ""),
    (Kind.STOP, (40088,), _("WeCom does not know this job: it is too old."), ""),
    (Kind.STOP, (60005, 60006, 60007), _("The department is not empty, or is the root."), MEMBERS_PAGE),
    (Kind.STOP, (60110, 81001, 81003), _("Too many departments or members in one place."), ""),
    (Kind.STOP, (40073,), _("WeCom does not know this openid."), ""),
    (Kind.STOP, (41066,), _("WeCom does not know this Channels account."), ""),
    (Kind.STOP, (42014, 42015, 42016, 42017, 42018, 42019, 42020), _("The card was answered already."), ""),
    (Kind.STOP, (610003,), _PARAMETER, ""),
    (Kind.STOP, (830001, 830003, 301019), _("WeCom could not fetch the file from its address."), ""),
    (Kind.STOP, (830002,), _("The file is too large to be fetched at once."), ""),
    (Kind.STOP, (50100,), _("WeCom has forgotten the position in this list. Start it again."), ""),
    (Kind.STOP, (60136,), _("WeCom has no such record."), ""),
]

TABLE: dict[int, Advice] = {
    errcode: Advice(kind, text, page) for kind, errcodes, text, page in _GROUPS for errcode in errcodes
}
UNKNOWN = Advice(Kind.STOP, _("WeCom refused the call."))


def advice(errcode: int) -> Advice:
    """What to do about an errcode; a code that is not in the table means 'stop'."""
    return TABLE.get(errcode, UNKNOWN)
