"""The set-up doctor: tries, one after the other, what the product needs of a corp, and remembers what it
found.

Each check is stored as {"key", "state": ok | warning | failed | skipped, "errcode", "facts", "at"} in
`Corp.checks`, without words: the page puts them into the reader's language (`doctor_words`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from org.models import Corp, Staff
from scrm import clock
from scrm.errors import InvalidError, LimitError
from tenants.models import Brand
from wecom.api import contact_ways, contacts, members, messages, tags
from wecom.callbacks import VERIFY
from wecom.client import WeComClient, client_for
from wecom.errors import WeComError, WeComRejected
from wecom.models import CallbackEvent, RefusedCallback
from wecom.services import app_state

KEYS = [
    "secret",
    "ip",
    "app",
    "range",
    "callable",
    "guides",
    "ways",
    "tags",
    "domain",
    "address",
    "callback",
    "refused",
]
DEADLINE_S = 8.0
QUIET = timedelta(days=7)  # no event for so long is worth a look where customers are served
PAUSE = timedelta(seconds=3)
IP_CODES = (60020, 48009)
_LOCAL = ("localhost", "127.0.0.1", "::1", "")


@dataclass
class Report:
    """Checks so far; a check that was not reached is `skipped`."""

    checks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, key: str, state: str, errcode: int | None = None, **facts: Any) -> None:
        self.checks[key] = {"key": key, "state": state, "errcode": errcode, "facts": facts}

    def refused(self, key: str, error: WeComError) -> bool:
        """Note what WeCom answered, under the check that it concerns; whether further calls make sense."""
        key = "ip" if error.errcode in IP_CODES else key
        facts = {"errmsg": error.errmsg, "from_ip": error.from_ip}
        self.add(key, "failed", error.errcode, **{name: value for name, value in facts.items() if value})
        return isinstance(error, WeComRejected) and key != "ip"


def examine(brand: Brand, corp: Corp) -> list[dict[str, Any]]:
    """Make all checks and store them. Calls WeCom (a few seconds at most), so outside a transaction.

    Raises:
        LimitError: somebody has just done it; WeCom bans a server that asks too often with a wrong secret.
    """
    now = clock.now()
    with transaction.atomic():
        free = Corp.objects.filter(pk=corp.pk).exclude(checked_at__gt=now - PAUSE)
        if not free.update(checked_at=now):
            raise LimitError(
                _("The check has just been made; wait a moment"), retry_after_s=PAUSE.total_seconds()
            )
    report = Report()
    client = client_for(corp, deadline_s=DEADLINE_S)
    for check in _CALLS:
        if not check(report, client):
            break
    _address(report)
    with transaction.atomic():
        _events(report, corp)
        checks = [
            {
                **report.checks.get(key, {"key": key, "state": "skipped", "errcode": None, "facts": {}}),
                "at": now.isoformat(),
            }
            for key in KEYS
        ]
        Corp.objects.filter(pk=corp.pk).update(checks=checks, checked_at=now)
        _app_state(report, corp)
    corp.checks, corp.checked_at = checks, now
    return checks


def _app_state(report: Report, corp: Corp) -> None:
    """Whether the app sleeps, from the answers of this look: whoever has started it again asks here first."""
    codes = {check["errcode"] for check in report.checks.values()}
    calls = [check["state"] for key, check in report.checks.items() if key in ("guides", "ways", "tags")]
    if app_state.ASLEEP in codes:
        app_state.note_answer(corp, app_state.ASLEEP)
    elif "ok" in calls:
        app_state.note_answer(corp, None)


def send_message(corp: Corp, staff: Staff | None) -> None:
    """A message of the app to whoever asks for it, in their WeCom client.

    Raises:
        InvalidError: this person is not a member of the corp, or WeCom cannot deliver to them.
    """
    if staff is None or staff.corp_id != corp.pk or not staff.userid:
        raise InvalidError(_("You are signed in without a WeCom account of this company"))
    text = _("The set-up works: this message came from the app.") + f" {clock.now():%H:%M:%S}"
    if messages.send_text(client_for(corp, deadline_s=DEADLINE_S), [staff.userid], text):
        raise InvalidError(_("WeCom cannot deliver to you: you are outside the app's visible range"))


# ---- what WeCom is asked


def _secret(report: Report, client: WeComClient) -> bool:
    try:
        client.fetch_access_token()
    except WeComError as error:
        report.refused("secret", error)
        return False
    report.add("secret", "ok")
    return True


def _app(report: Report, client: WeComClient) -> bool:
    try:
        app = members.agent(client)
    except WeComError as error:
        return report.refused("app", error)
    report.add("ip", "ok")
    if app.get("close"):
        report.add("app", "failed", 50003)
    else:
        report.add("app", "ok", name=app.get("name", ""))
    users = len((app.get("allow_userinfos") or {}).get("user") or [])
    parties = len((app.get("allow_partys") or {}).get("partyid") or [])
    labels = len((app.get("allow_tags") or {}).get("tagid") or [])
    report.add("range", "ok" if users or parties or labels else "failed", members=users, departments=parties)
    host, trusted = urlsplit(settings.PUBLIC_URL).hostname or "", str(app.get("redirect_domain") or "")
    same = trusted.split(":")[0].lower() == host.lower()
    report.add("domain", "ok" if same else "warning", trusted=trusted, host=host)
    return True


def _guides(report: Report, client: WeComClient) -> bool:
    try:
        found = contacts.follow_users(client)
    except WeComError as error:
        return report.refused("callable", error)
    report.add("callable", "ok")
    report.add("guides", "ok" if found else "failed", n=len(found))
    return True


def _ways(report: Report, client: WeComClient) -> bool:
    now = clock.now()
    try:
        contact_ways.contact_ways(client, start_at=now - timedelta(days=1), end_at=now)
    except WeComError as error:
        return report.refused("ways", error)
    report.add("ways", "ok")
    return True


def _tags(report: Report, client: WeComClient) -> bool:
    try:
        groups = tags.corp_tags(client)
    except WeComError as error:
        return report.refused("tags", error)
    report.add("tags", "ok", n=sum(len(group.get("tag") or []) for group in groups))
    return True


_CALLS: list[Callable[[Report, WeComClient], bool]] = [_secret, _app, _guides, _ways, _tags]


# ---- what we know ourselves


def _address(report: Report) -> None:
    """Whether WeCom can reach us at all: an address of this machine only is no address for others."""
    ours, theirs = urlsplit(settings.PUBLIC_URL).hostname, urlsplit(settings.WECOM_API_URL).hostname
    reachable = ours not in _LOCAL or theirs in _LOCAL
    report.add("address", "ok" if reachable else "failed", url=settings.PUBLIC_URL)


def _events(report: Report, corp: Corp) -> None:
    now = clock.now()
    events = CallbackEvent.objects.filter(corp=corp).order_by("-received_at")
    verified = events.filter(event=VERIFY[0]).values_list("received_at", flat=True).first()
    last = events.exclude(event=VERIFY[0]).values_list("received_at", flat=True).first()
    if last is None and verified is None:
        state = "failed"
    elif last is not None and last < now - QUIET and Staff.objects.guides().filter(corp=corp).exists():
        state = "warning"
    else:
        state = "ok"
    report.add("callback", state, last_at=_iso(last), verified_at=_iso(verified))

    recent = RefusedCallback.objects.filter(corp=corp, last_at__gt=now - timedelta(days=1))
    reasons = list(recent.values("reason").annotate(n=Sum("n")).order_by("-n").values_list("reason", "n"))
    newest = recent.order_by("-last_at").values_list("last_at", flat=True).first()
    heard = max((at for at in (last, verified) if at), default=None)
    state = "ok" if newest is None else "warning" if heard and heard > newest else "failed"
    report.add("refused", state, reasons=[list(pair) for pair in reasons], last_at=_iso(newest))


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
