"""Web hooks: a call is a row first, then made outside of any transaction, signed, and repeated until it is answered.

    POST <url>   {"key", "sop", "node", "contact_id", "at"}
    X-SCRM-Timestamp: 1767225600
    X-SCRM-Signature: sha256=<hex HMAC-SHA256 of "<timestamp>.<body>" with the SOP's secret>

Only public addresses are called: the name is looked up here, and the address that was looked at is the one that is
connected to; redirects are not followed.
"""

import hashlib
import hmac
import http.client
import ipaddress
import json
import secrets
import socket
import ssl
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.models import Sop, SopCall
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand
from wecom.services import turns

TIMEOUT_S = 8
TURN_S = 40  # of one task
# how long after each try the next one is made; then it has failed
PAUSES = [timedelta(minutes=n) for n in (1, 5, 30, 120, 360, 1440)]
LEASE = timedelta(minutes=2)  # a call whose process is gone is made again after this
MOST = 200  # calls of one task


def check_url(url: str) -> str:
    """An address that may be called.

    Raises:
        InvalidError: not https, with a password, of this machine or a private network.
    """
    try:
        parts = urlsplit(url.strip())
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidError(_("This is not an address")) from None
    if not host or parts.username or parts.password or any(c.isspace() for c in url.strip()):
        raise InvalidError(_("This is not an address"))
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.SOP_HOOKS_PRIVATE):
        raise InvalidError(_("The address has to begin with https://"))
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_inside = host == "localhost" or host.endswith((".local", ".internal", ".localhost"))
    else:
        is_inside = not address.is_global
    if is_inside and not settings.SOP_HOOKS_PRIVATE:
        raise InvalidError(_("Addresses of a private network are not called"))
    return url.strip()


def secret_of(sop: Sop) -> str:
    """What its calls are signed with; made at the first use, in the caller's transaction."""
    if not sop.hook_secret:
        Sop.objects.filter(pk=sop.pk, hook_secret="").update(hook_secret=secrets.token_hex(24))
        sop.refresh_from_db(fields=["hook_secret"])
    return sop.hook_secret


@transaction.atomic
def renew_secret(sop: Sop, *, by: Actor) -> str:
    """Another secret for all calls from now on."""
    Sop.objects.filter(pk=sop.pk).update(hook_secret=secrets.token_hex(24))
    sop.refresh_from_db(fields=["hook_secret"])
    audit.record(by, "sop.hook_secret", sop)
    return sop.hook_secret


@transaction.atomic
def again(sop: Sop, *, by: Actor, call_id: int | None = None) -> int:
    """Failed calls of an SOP wait again, with all their tries: one, or all; gives how many."""
    rows = SopCall.objects.filter(sop=sop, state=SopCall.State.FAILED)
    if call_id is not None:
        rows = rows.filter(pk=call_id)
    n = rows.update(state=SopCall.State.WAITING, n_tries=0, next_try_at=clock.now(), done_at=None)
    if n:
        audit.record(by, "sop.call_again", sop, after={"n": n})
    return n


def order(brand: Brand, *, sop: Sop, node: dict[str, Any], rows: list[tuple[str, int]], at: datetime) -> None:
    """Note calls to be made, in the caller's transaction; rows of (key, contact)."""
    SopCall.objects.bulk_create(
        [
            SopCall(
                sop=sop,
                node=node["id"],
                contact_id=contact_id,
                key=key,
                url=node["url"],
                next_try_at=at,
                body={
                    "key": key,
                    "sop": {"id": sop.pk, "name": sop.name},
                    "node": {"id": node["id"], "title": node["title"]},
                    "contact_id": contact_id,
                    "at": at.isoformat(),
                },
            )
            for key, contact_id in rows
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def due(limit: int = MOST) -> list[int]:
    """Calls whose time has come; one index probe when there are none."""
    rows = SopCall.objects.filter(state=SopCall.State.WAITING, next_try_at__lte=clock.now())
    return list(rows.order_by("next_try_at", "pk").values_list("pk", flat=True)[:limit])


def make_due(brand: Brand) -> int:
    """Make what is due, one call after the other, for `TURN_S` at the most; gives how many. One process a brand: a
    receiver that hangs holds up its own brand's calls only."""
    began, n = monotonic(), 0
    with (
        suppress(turns.Busy),
        turns.turn(brand, "sop-hooks", "all", wait_s=0, hold_s=TURN_S + 10 * TIMEOUT_S),
    ):
        for call_id in due():
            if monotonic() - began > TURN_S:
                break
            make(brand, call_id)
            n += 1
    return n


def make(brand: Brand, call_id: int) -> SopCall | None:
    """Make one call; None when somebody else does. Never raises for what the other side does."""
    with transaction.atomic():
        now = clock.now()
        call = (
            SopCall.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("sop")
            .filter(pk=call_id)
            .first()
        )
        if call is None or call.state != SopCall.State.WAITING or call.next_try_at > now:
            return None
        call.next_try_at = now + LEASE
        call.n_tries += 1
        call.save(update_fields=["next_try_at", "n_tries"])
        secret = secret_of(call.sop)
    status, error = post(call.url, call.body, secret)
    with transaction.atomic():
        now = clock.now()
        call.status, call.error = status, error[:200]
        if not error:
            call.state, call.done_at = SopCall.State.DONE, now
        elif call.n_tries > len(PAUSES):
            call.state, call.done_at = SopCall.State.FAILED, now
        else:
            call.next_try_at = now + PAUSES[call.n_tries - 1]
        call.save(update_fields=["status", "error", "state", "done_at", "next_try_at"])
    return call


def post(url: str, body: dict[str, Any], secret: str) -> tuple[int | None, str]:
    """(HTTP status, what was wrong); an empty second means that the receiver has it."""
    try:
        parts = urlsplit(check_url(url))
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        addresses = _public_addresses(host, port)
        text = json.dumps(body, ensure_ascii=False, sort_keys=True)
        stamp = str(int(clock.now().timestamp()))
        signed = hmac.new(secret.encode(), f"{stamp}.{text}".encode(), hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "SCRM-hook/1",
            "X-SCRM-Timestamp": stamp,
            "X-SCRM-Signature": f"sha256={signed}",
        }
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = _Connection(host, port, addresses, is_secure=parts.scheme == "https")
        try:
            connection.request("POST", path, body=text.encode(), headers=headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except InvalidError as error:
        return None, str(error)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return None, f"{type(error).__name__}: {error}"
    return status, "" if 200 <= status < 300 else f"HTTP {status}"


def _public_addresses(host: str, port: int) -> list[str]:
    found = [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not settings.SOP_HOOKS_PRIVATE and any(not ipaddress.ip_address(a).is_global for a in found):
        raise InvalidError(_("Addresses of a private network are not called"))
    return found


class _Connection(http.client.HTTPConnection):
    """Goes to the addresses that were looked at, one after the other, whatever the name means a moment later."""

    def __init__(self, host: str, port: int, addresses: list[str], *, is_secure: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S)
        self.addresses, self.is_secure = addresses, is_secure

    def connect(self) -> None:
        for n, address in enumerate(self.addresses, start=1):
            try:
                plain = socket.create_connection((address, self.port), TIMEOUT_S)
                break
            except OSError:
                if n == len(self.addresses):
                    raise
        if self.is_secure:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        else:
            self.sock = plain
