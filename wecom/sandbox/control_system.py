"""Control calls about the sandbox itself: corps, clock, settings, faults, tokens, raw callbacks."""

import time
from typing import Any
from urllib.parse import urlencode

import requests

from . import behaviour, clock, crypto, delivery, dispatch, faults, ids, life, limits, store
from .api import messages
from .errors import Refused
from .models import App, Corp, Token

APP_FIELDS = (
    "secret",
    "callback_url",
    "token",
    "aes_key",
    "callable",
    "trusted_ips",
    "trusted_domains",
    "sidebar_url",
    "visible",
)
Given = dict[str, Any]
FASTEST = 100_000


def reset(given: Given) -> Given:
    """Wipe everything; `settings` may be given at once."""
    faults.clear()
    with life.playing, store.writers:
        store.reset()
        forget_all()
        dispatch.forget()
        if given.get("settings"):
            store.change_settings(given["settings"])
    return {}


def forget_all() -> None:
    """What is kept in memory of tables that were replaced, but for what store.load() reads. With store.writers held."""
    for module in (delivery, behaviour, limits, faults, messages):
        module.forget()


def corps(given: Given) -> Given:
    """Make or change a corp and its app; another agent_id makes a second app of the same corp."""
    corpid = given["corpid"]
    with store.writing():
        corp, is_new = Corp.objects.get_or_create(
            corpid=corpid, defaults={"name": given.get("name") or corpid}
        )
        for field in ("name", "open_platform"):
            if field in given:
                setattr(corp, field, given[field])
        corp.save()
        agentid = int(given.get("agent_id") or 1000002)
        app = App.objects.filter(corpid=corpid, agentid=agentid).first() or App(
            corpid=corpid, agentid=agentid
        )
        app.name = given.get("app_name") or app.name or "SCRM"
        for field in APP_FIELDS:
            if field in given:
                setattr(app, field, given[field])
        if app.secret == "":
            raise Refused("secret is missing")
        app.save()
        if given.get("contact_secret"):
            App.objects.update_or_create(
                corpid=corpid,
                agentid=0,
                defaults={
                    "name": "通讯录同步",
                    "kind": "contacts",
                    "secret": given["contact_secret"],
                    "callable": False,
                },
            )
    store.forget_apps()
    if given.get("verify"):
        return verify_callback({"corpid": corpid, "agent_id": agentid})
    return {"corpid": corpid, "agent_id": agentid, "is_new": is_new}


def _app(given: Given) -> App:
    apps = App.objects.filter(corpid=given["corpid"], kind="app").order_by("id")
    if given.get("agent_id"):
        apps = apps.filter(agentid=given["agent_id"])
    found = apps.first()
    if found is None:
        raise Refused("no such corp or app", status=404)
    return found


def verify_callback(given: Given) -> Given:
    """What the console does when somebody saves the callback address: GET with echostr, one second."""
    app = _app(given)
    echo = ids.code()
    timestamp, nonce = str(int(clock.now())), str(time.time_ns() % 10**10)
    encrypted = crypto.encrypt(echo.encode(), aes_key=app.aes_key, receive_id=app.corpid)
    signed = crypto.signature(token=app.token, timestamp=timestamp, nonce=nonce, encrypted=encrypted)
    query = urlencode({"msg_signature": signed, "timestamp": timestamp, "nonce": nonce, "echostr": encrypted})
    try:
        answer = requests.get(f"{app.callback_url}?{query}", timeout=1)
    except requests.RequestException as problem:
        return {"ok": False, "error": f"{type(problem).__name__}: {problem}"[:300]}
    return {"ok": answer.status_code == 200 and answer.text == echo, "status": answer.status_code}


def forget_calls(given: Given) -> Given:
    """Empty the log of calls."""
    dispatch.calls.clear()
    return {}


def kill_tokens(given: Given) -> Given:
    """All access tokens of a corp answer 40014 from now on."""
    apps = [app.pk for app in store.apps_of(given["corpid"])]
    with store.writing():
        n = Token.objects.filter(app__in=apps, revoked=False).update(revoked=True)
    store.forget_apps()
    return {"killed": n}


def set_clock(given: Given) -> Given:
    """offset_s: seconds ahead of real time; at: a moment; advance_s: seconds ahead of what it shows; speed."""
    with store.writing():
        shown = clock.running()
        if given.get("offset_s") is not None:
            shown = time.time() + float(given["offset_s"])
        elif given.get("at") is not None:
            shown = float(given["at"])
        shown += float(given.get("advance_s") or 0)
        speed = clock.speed() if given.get("speed") is None else float(given["speed"])
        if not 0 <= speed <= FASTEST:
            raise Refused(f"speed is from 0 to {FASTEST}")
        store.set_clock(shown=shown, speed=speed)
        return {"now": clock.running(), "speed": speed}


def set_seed(given: Given) -> Given:
    """All chance comes from `seed` from now on; null: from the machine again."""
    store.set_seed(given.get("seed"))
    return {"seed": given.get("seed")}


def settings(given: Given) -> Given:
    """Change some settings; all of them are answered."""
    store.change_settings(given)
    return store.settings()


def add_fault(given: Given) -> Given:
    """Order a disturbance."""
    return {"id": faults.add(given)}


def clear_faults(given: Given) -> Given:
    """End them all, or one."""
    faults.clear(pk=int(given["id"]) if given.get("id") is not None else None)
    return {}


def callback_raw(given: Given) -> Given:
    """Sign, encrypt and post an event of the tester's own, at once.

    Args:
        given: corpid, xml, times?, agent_id?, receive_id? (another one), spoil? ("signature" or "truncated").
    """
    app = _app(given)
    url, body = delivery.sealed(
        app, given["xml"], receive_id=given.get("receive_id"), spoil=given.get("spoil") or ""
    )
    return {"attempts": [delivery.post(url, body) for _ in range(int(given.get("times") or 1))]}
