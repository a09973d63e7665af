"""The set-up doctor's findings in words: what was looked at, what it means, and the console page that mends
it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from org.models import Corp
from wecom.errcodes import (
    APP_PAGE,
    CALLBACK_PAGE,
    DOMAIN_PAGE,
    IP_PAGE,
    RIGHTS_PAGE,
    SCOPE_PAGE,
    advice,
)
from wecom.services.call_log import explain
from wecom.services.doctor import IP_CODES, KEYS


@dataclass(frozen=True)
class Finding:
    """One line of the page.

    Attributes:
        state: ok, warning, failed or skipped.
        page: where in WeCom's console it is mended, or "".
        detail: for support: WeCom's own words and number.
        at: a moment that the text speaks of, or None.
    """

    key: str
    title: str
    state: str
    text: str
    page: str = ""
    detail: str = ""
    at: datetime | None = None


def findings(corp: Corp) -> list[Finding]:
    """The last answers of the doctor for a corp; empty when it was never asked."""
    by_key = {
        check["key"]: check for check in corp.checks or [] if isinstance(check, dict) and "key" in check
    }
    return [_finding(by_key[key]) for key in KEYS if key in by_key]


def _finding(check: dict[str, Any]) -> Finding:
    key, state, errcode, facts = check["key"], check["state"], check.get("errcode"), check.get("facts") or {}
    title = TITLES[key]()
    if state == "skipped":
        return Finding(key, title, state, _("Not checked: something before it has to be fixed first."))
    if errcode is not None:
        known = advice(errcode)
        text, page = str(known.text), str(known.page)
        if errcode in IP_CODES and facts.get("from_ip"):
            text += " " + _("WeCom saw this server as %(ip)s.") % {"ip": facts["from_ip"]}
        return Finding(key, title, state, text, page, _detail(errcode, facts))
    if state == "failed" and "errmsg" in facts:
        return Finding(key, title, state, str(explain(None, facts["errmsg"]).text), "", facts["errmsg"])
    text, page, at = WORDS[key](state, facts)
    return Finding(key, title, state, text, str(page), "", at)


def _detail(errcode: int, facts: dict[str, Any]) -> str:
    """WeCom's number and own words; an admin finds the call by the hint in them."""
    return f"{errcode}: {facts.get('errmsg', '').partition(', more info')[0]}"[:200]


TITLES: dict[str, Callable[[], str]] = {
    "secret": lambda: _("Corp ID and app secret"),
    "ip": lambda: _("Trusted IP"),
    "app": lambda: _("The app"),
    "range": lambda: _("Visible range of the app"),
    "callable": lambda: _("Customer contact API"),
    "guides": lambda: _("Members who serve customers"),
    "ways": lambda: _("Channel codes"),
    "tags": lambda: _("Customer tags"),
    "domain": lambda: _("Trusted domain for log-in"),
    "address": lambda: _("Address of this system"),
    "callback": lambda: _("Events from WeCom"),
    "refused": lambda: _("Callbacks refused"),
}

Words = tuple[str, Any, datetime | None]


def _plain(ok: Callable[[], str]) -> Callable[[str, dict[str, Any]], Words]:
    return lambda state, facts: (ok(), "", None)


def _range(state: str, facts: dict[str, Any]) -> Words:
    if state != "ok":
        return (
            _("Nobody is in the visible range: the app sees no members and no customers."),
            SCOPE_PAGE,
            None,
        )
    counts = {"members": facts.get("members", 0), "departments": facts.get("departments", 0)}
    return _("%(departments)s departments and %(members)s single members.") % counts, "", None


def _guides(state: str, facts: dict[str, Any]) -> Words:
    if state != "ok":
        return (
            _("No member in the visible range may serve customers, so no customer can be seen."),
            RIGHTS_PAGE,
            None,
        )
    return _("%(n)s members may serve customers.") % {"n": facts.get("n", 0)}, "", None


def _domain(state: str, facts: dict[str, Any]) -> Words:
    if state == "ok":
        return _("Members can sign in with WeCom."), "", None
    words = {"trusted": facts.get("trusted") or "—", "host": facts.get("host", "")}
    text = (
        _("Members cannot sign in with WeCom: its trusted domain is “%(trusted)s”, not “%(host)s”.") % words
    )
    return text, DOMAIN_PAGE, None


def _address(state: str, facts: dict[str, Any]) -> Words:
    url = str(facts.get("url", ""))
    if state == "ok":
        return url, "", None
    text = _("WeCom cannot reach %(url)s. Set PUBLIC_URL to the address known outside.") % {"url": url}
    return text, "", None


def _callback(state: str, facts: dict[str, Any]) -> Words:
    last, verified = _moment(facts.get("last_at")), _moment(facts.get("verified_at"))
    if state == "failed":
        return (
            _("WeCom has never called. Enter the address, Token and EncodingAESKey, and tick the events."),
            CALLBACK_PAGE,
            None,
        )
    if last is None:
        return (
            _("No event has come yet. WeCom checked the address:"),
            "",
            verified,
        )
    if state == "warning":
        return _("No event for more than a week. The last one:"), CALLBACK_PAGE, last
    return _("Events arrive. The last one:"), "", last


def _refused(state: str, facts: dict[str, Any]) -> Words:
    reasons = facts.get("reasons") or []
    if not reasons:
        return _("No callback was refused in the last day."), "", None
    texts = [f"{reason_text(reason)} ({n})" for reason, n in reasons]
    return " ".join(texts) + " " + _("The last one:"), CALLBACK_PAGE, _moment(facts.get("last_at"))


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def reason_text(reason: str) -> str:
    """What a refused callback means for the person who filled in the console page."""
    if reason == "signature":
        return _("The Token in WeCom's console is another one than here.")
    if reason in ("key", "cipher", "padding", "base64", "length", "text"):
        return _("The EncodingAESKey in WeCom's console is another one than here.")
    if reason == "receive_id":
        return _("The letters are for another company: the corp ID here is not the one of the app.")
    if reason == "late":
        return _("The clock of this server and WeCom's differ by more than ten minutes.")
    return _("Somebody sends what is not from WeCom.")


WORDS: dict[str, Callable[[str, dict[str, Any]], Words]] = {
    "secret": _plain(lambda: _("WeCom accepts them.")),
    "ip": lambda state, facts: (_("WeCom trusts this server."), "" if state == "ok" else IP_PAGE, None),
    "app": lambda state, facts: (
        _("The app “%(name)s” is on.") % {"name": facts.get("name", "")},
        "" if state == "ok" else APP_PAGE,
        None,
    ),
    "range": _range,
    "callable": _plain(lambda: _("The app may call it.")),
    "guides": _guides,
    "ways": _plain(lambda: _("The app may make channel codes.")),
    "tags": lambda state, facts: (_("%(n)s tags can be read.") % {"n": facts.get("n", 0)}, "", None),
    "domain": _domain,
    "address": _address,
    "callback": _callback,
    "refused": _refused,
}
