"""What can go wrong with WeCom, as a caller has to tell it apart.

    WeComError
    ├── WeComUnavailable        again later, nothing is known to be done
    │   ├── WeComRateLimited    again after `retry_after_s`
    │   └── LostAnswer          sent, no answer: look first whether it was done, then perhaps again
    └── WeComRejected           WeCom said no; repeating cannot help
        └── WeComForbidden      … and somebody has to change something in the console (`page`)

Only the client makes these. No message, attribute or context carries a token or a secret.
"""

import re
from typing import Any

from django.utils.translation import gettext_lazy as _

from scrm.errors import InvalidError, SCRMError
from wecom.errcodes import Kind, advice

_HINT = re.compile(r"hint:\s*\[([^\]]*)\]")
_FROM_IP = re.compile(r"from ip:\s*([0-9a-fA-F.:]+)")


class WeComError(SCRMError):
    """Base; `str()` is for people, `repr()` for logs.

    Attributes:
        api: path of the call, e.g. `externalcontact/get`.
        errcode: WeCom's number, or None when there was no answer that could be read.
        errmsg: WeCom's own text (never branch on it).
        hint: the number under which the corp's admin finds the call in WeCom's query tool.
        from_ip: our address as WeCom saw it, when it says so (60020).
        page: the console page that mends it, or "".
    """

    code, http_status = "wecom_error", 502

    def __init__(
        self, message: Any = None, *, api: str = "", errcode: int | None = None, errmsg: str = ""
    ) -> None:
        known = advice(errcode) if errcode is not None else None
        if message is None:  # lazy texts must not be looked at here: not every process has translations
            message = known.text if known else _("WeCom did not answer.")
        super().__init__(message)
        self.api, self.errcode, self.errmsg = api, errcode, errmsg[:500]
        self.page = known.page if known else ""
        self.hint = hint_of(errmsg)
        ip = _FROM_IP.search(errmsg)
        self.from_ip = ip.group(1) if ip else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.api}, errcode {self.errcode}, {self.errmsg})"


class WeComUnavailable(WeComError):
    """Not done, as far as one can know: try again later (`retry_after_s` is a proposal)."""

    code, http_status = "wecom_unavailable", 503
    retry_after_s: float = 5


class WeComRateLimited(WeComUnavailable):
    """WeCom's limit, or our own that stays below it."""

    code, http_status = "wecom_limit", 429

    def __init__(self, message: Any = None, *, retry_after_s: float = 5, **kwargs: Any) -> None:
        super().__init__(advice(45009).text if message is None else message, **kwargs)
        self.retry_after_s = retry_after_s


class LostAnswer(WeComUnavailable):
    """The request went out and no readable answer came back, on a call that must not be made twice.

    It may have been done. Look it up before calling again.
    """

    code = "wecom_lost_answer"


class WeComRejected(WeComError):
    """WeCom answered with an errcode that stays the same however often one asks."""

    code, http_status = "wecom_rejected", 422


class WeComForbidden(WeComRejected):
    """The corp's admin has to change something: tell them `message` and `page`."""

    code = "wecom_forbidden"


class InvalidMessage(InvalidError):
    """The content breaks one of WeCom's documented limits; found before the call."""

    code = "invalid_message"


def hint_of(errmsg: str) -> str:
    """The number in WeCom's text under which the corp's admin finds the call; "" if there is none."""
    hint = _HINT.search(errmsg)
    return hint.group(1).strip() if hint else ""


def refusal(api: str, errcode: int, errmsg: str) -> WeComError:
    """The exception for an errcode other than 0."""
    kind = advice(errcode).kind
    if kind in (Kind.RETRY, Kind.SESSION):
        return WeComUnavailable(api=api, errcode=errcode, errmsg=errmsg)
    if kind is Kind.LIMIT:
        seconds = 60 if errcode == 45009 else 1
        return WeComRateLimited(
            advice(errcode).text, retry_after_s=seconds, api=api, errcode=errcode, errmsg=errmsg
        )
    if kind is Kind.ADMIN:
        return WeComForbidden(api=api, errcode=errcode, errmsg=errmsg)
    return WeComRejected(api=api, errcode=errcode, errmsg=errmsg)
