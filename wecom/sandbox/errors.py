"""Error codes of WeCom and the head of their message.

Source: developer.work.weixin.qq.com/document/path/90313 (texts are not contractual).
"""

from typing import Any

from . import chance

HEADS: dict[int, str] = {
    -1: "system error",
    6000: "data version conflict",
    40001: "invalid credential",
    40003: "invalid userid",
    40004: "invalid media file type",
    40005: "invalid type parameter",
    40006: "invalid file size",
    40007: "invalid media_id",
    40008: "invalid message type",
    40009: "invalid image size",
    40011: "invalid video size",
    40013: "invalid corpid",
    40014: "invalid access_token",
    40029: "invalid code",
    40031: "userid list invalid",
    40032: "userid list too long",
    40035: "invalid parameter",
    40039: "url too long",
    40037: "invalid template id",
    40050: "chat not found",
    40054: "invalid link url",
    40055: "invalid picture url",
    40056: "invalid agentid",
    40057: "invalid callbackurl",
    40058: "invalid parameter",
    40063: "some parameters are empty",
    40066: "invalid party list",
    40068: "invalid tagid",
    40070: "all of the list is invalid",
    40073: "invalid openid",
    40071: "tagname is existed",
    40072: "invalid tagname size",
    40088: "invalid jobid",
    40091: "invalid secret",
    40096: "invalid external userid",
    40097: "user has not left the corp",
    40099: "customer number of the member reached limit",
    40100: "external user is in transfer",
    40123: "invalid upload image content",
    40126: "corp tag count limit",
    40128: "external user transferred too often",
    40129: "external user is being transferred",
    40130: "handover and takeover are the same",
    40131: "handover user is not a follower",
    41001: "access_token missing",
    41002: "corpid missing",
    41004: "corpsecret missing",
    41009: "userid missing",
    41011: "agentid missing",
    41016: "title missing",
    41017: "tagid missing",
    41019: "department missing",
    41033: "description missing",
    41035: "external userid missing",
    41037: "missing contact way type",
    41038: "missing contact way scene",
    41039: "invalid contact way type",
    41040: "invalid contact way scene",
    41041: "contact way user count exceeds limit",
    41042: "invalid contact way style",
    41043: "missing contact way config id",
    41044: "invalid contact way config id",
    41045: "contact way count exceeds limit",
    41046: "missing msgid",
    41047: "invalid msgid",
    41048: "no customer to send",
    41049: "missing welcome code",
    41050: "invalid welcome code",
    41051: "externaluser has started chatting",
    41054: "user not activated",
    41055: "group welcome template exceeds limit",
    41059: "missing moment id",
    41060: "invalid moment id",
    41061: "userid is not a publisher of the moment",
    41062: "moment not published by the user",
    41063: "group msg is being dispatched",
    41064: "attachment too big",
    41065: "invalid attachment type",
    41096: "welcome msg is being distributed",
    42001: "access_token expired",
    42017: "invalid response_code",
    42022: "code has been used",
    43012: "callback url needed",
    43004: "require subscribe",
    44001: "empty media data",
    44004: "text content is empty",
    45001: "media size out of limit",
    45002: "content size out of limit",
    45009: "api freq out of limit",
    45029: "response size out of limit",
    45033: "api concurrent out of limit",
    45035: "tag is being modified",
    46004: "user no exist",
    48002: "api forbidden",
    49008: "chat dismissed",
    50001: "redirect_url domain is not registered",
    50100: "invalid cursor",
    60003: "department not found",
    60004: "parent department not found",
    60005: "department has members",
    60006: "department has child departments",
    60007: "root department cannot be deleted",
    60008: "department id or name existed",
    60011: "no privilege to access/modify contact/party/agent",
    60020: "not allow to access from your ip",
    60102: "userid existed",
    60104: "mobile existed",
    60106: "email existed",
    60129: "mobile and email are both empty",
    60111: "userid not found",
    60136: "record not found",
    610003: "invalid scene",
    81011: "no privilege to access the tag",
    81013: "user & party & tag all invalid",
    81017: "too many objects, filter needed",
    82001: "all receivers are empty",
    84014: "user_ticket expired",
    84015: "invalid user_ticket",
    84061: "not external contact",
    84074: "no external contact permission",
    86001: "invalid chatid",
    86003: "chatid not found",
    86006: "invalid chat member count",
    86201: "chatid missing",
    86207: "chat owner is not in the member list",
    86215: "chatid existed",
    86216: "invalid chat member userid",
    93000: "invalid webhook url",
    90500: "the owner of this chat is not resigned",
    90501: "chat is not external group chat",
    90502: "the owner of this chat is resigned",
    90504: "the owner of this chat is not changed",
    90508: "this chat was inherited before",
    91040: "invalid ticket type",
    301019: "md5 mismatch",
    830003: "download failed",
    301002: "not allow operate another agent with this accesstoken",
}


class WeComError(Exception):
    """An answer with errcode ≠ 0 (HTTP 200), as WeCom gives it."""

    def __init__(self, errcode: int, detail: str = "", **fields: Any) -> None:
        super().__init__(errcode, detail)
        self.errcode = errcode
        self.detail = detail
        self.fields = fields  # what the answer carries besides errcode and errmsg


class Refused(Exception):
    """A control call that cannot be done: HTTP 400 with {"error": …}, or `status`."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def head(errcode: int) -> str:
    """The short text of a code."""
    return HEADS.get(errcode, "error")


def errmsg(errcode: int, detail: str, *, at: float, ip: str) -> str:
    """Message in WeCom's form: head, hint, caller's address, page of the code."""
    text = f"{head(errcode)}: {detail}" if detail else head(errcode)
    hint = f"{int(at)}_{chance.nth('serial')}_{chance.noise(16, 'hint').hex()}"
    page = f"https://open.work.weixin.qq.com/devtool/query?e={errcode}"
    return f"{text}, hint: [{hint}], from ip: {ip}, more info at {page}"
