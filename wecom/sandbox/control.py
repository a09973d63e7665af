"""The control API: what a tester may do. JSON in and out; errors are {"error": …} with 4xx.

docs/sandbox.md has the table for people.
"""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse

from . import (
    bulk,
    clock,
    crypto,
    delivery,
    dispatch,
    faults,
    generate,
    ids,
    limits,
    login,
    mass_acts,
    people,
    store,
    ticker,
)
from .errors import Refused
from .models import (
    App,
    ContactWay,
    Corp,
    Customer,
    Delivery,
    Follow,
    FollowTag,
    Mass,
    MassTask,
    Member,
    Message,
    Tag,
    Token,
)

MOST_ROWS = 1000
APP_FIELDS = (
    "secret",
    "callback_url",
    "token",
    "aes_key",
    "callable",
    "trusted_ips",
    "trusted_domains",
    "visible",
)
Given = dict[str, Any]


def view(request: HttpRequest, act: str) -> HttpResponse:
    """Serve /control/<act>."""
    table = READS if request.method == "GET" else ACTS
    handler = table.get(act.rstrip("/"))
    if handler is None:
        return JsonResponse({"error": f"no control call {request.method} {act!r}"}, status=404)
    try:
        given = dict(request.GET.items()) if request.method == "GET" else json.loads(request.body or b"{}")
        answer = handler(given)
    except Refused as reason:
        return JsonResponse({"error": str(reason)}, status=reason.status)
    except json.JSONDecodeError as reason:
        return JsonResponse({"error": f"no JSON: {reason}"}, status=400)
    except (KeyError, TypeError, ValueError) as reason:
        return JsonResponse({"error": f"{type(reason).__name__}: {reason}"}, status=400)
    return JsonResponse(answer, safe=False, json_dumps_params={"ensure_ascii": False})


def reset(given: Given) -> Given:
    """Wipe everything; `settings` may be given at once."""
    faults.clear()
    store.reset()
    delivery.forget()
    limits.forget()
    dispatch.calls.clear()
    if given.get("settings"):
        store.change_settings(given["settings"])
    return {}


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
    import requests

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


def scan(given: Given) -> Given:
    """A customer scans a code."""
    return people.scan(given["corpid"], given)


def accept(given: Given) -> Given:
    """A member confirms."""
    return people.accept(given["corpid"], given["userid"], given["external_userid"])


def say(given: Given) -> Given:
    """A customer writes."""
    return {"id": people.say(given["corpid"], given["userid"], given["external_userid"], given["text"])}


def reply(given: Given) -> Given:
    """A member writes by hand."""
    return {"id": people.reply(given["corpid"], given["userid"], given["external_userid"], given["text"])}


def customer_deletes(given: Given) -> Given:
    """A customer deletes a member."""
    people.customer_deletes(given["corpid"], given["userid"], given["external_userid"])
    return {}


def member_deletes(given: Given) -> Given:
    """A member deletes a customer."""
    people.member_deletes(given["corpid"], given["userid"], given["external_userid"])
    return {}


def member_edits(given: Given) -> Given:
    """A member edits remark or tags in his client."""
    people.member_edits(given["corpid"], given["userid"], given["external_userid"], given)
    return {}


def member_leaves(given: Given) -> Given:
    """A member leaves."""
    people.member_leaves(given["corpid"], given["userid"])
    return {}


def confirm(given: Given) -> Given:
    """Members confirm a mass send now."""
    return dict(
        mass_acts.confirm(given["corpid"], given["msgid"], given.get("userid"), given.get("chat_ids"))
    )


def kill_tokens(given: Given) -> Given:
    """All access tokens of a corp answer 40014 from now on."""
    apps = [app.pk for app in store.apps_of(given["corpid"])]
    with store.writing():
        n = Token.objects.filter(app__in=apps, revoked=False).update(revoked=True)
    store.forget_apps()
    return {"killed": n}


def set_clock(given: Given) -> Given:
    """offset_s: seconds ahead of real time; advance_s: seconds ahead of what it shows; speed."""
    shown = clock.now()
    if "offset_s" in given:
        shown = time.time() + float(given["offset_s"])
    shown += float(given.get("advance_s") or 0)
    speed = clock.anchor()["speed"] if given.get("speed") is None else float(given["speed"])
    store.set_clock(shown=shown, speed=speed)
    return {"now": clock.now(), "speed": speed}


def settings(given: Given) -> Given:
    """Change some settings; all of them are answered."""
    store.change_settings(given)
    return store.settings()


def add_fault(given: Given) -> Given:
    """Order a disturbance."""
    return {"id": faults.add(given)}


def clear_faults(given: Given) -> Given:
    """End them all."""
    faults.clear()
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


def log_in(given: Given) -> Given:
    """What a member does on the log-in page: the address with the code that his browser is sent to."""
    return login.enter(given["corpid"], given)


def sent(given: Given) -> list[Given]:
    """What was really received, oldest first; kind, userid, external_userid, after (id), limit narrow it."""
    rows = Message.objects.filter(corpid=given["corpid"]).order_by("id")
    for field in ("kind", "userid", "external_userid", "msgid"):
        if given.get(field):
            rows = rows.filter(**{field: given[field]})
    if given.get("after"):
        rows = rows.filter(id__gt=int(given["after"]))
    fields = (
        "id",
        "kind",
        "userid",
        "external_userid",
        "text",
        "attachments",
        "at",
        "msgid",
        "welcome_code",
    )
    return list(rows.values(*fields)[: int(given.get("limit") or MOST_ROWS)])


def calls(given: Given) -> list[Given]:
    """Calls of the API, oldest first (kept in memory, the last 100,000)."""
    rows = [
        row
        for row in list(dispatch.calls)
        if given.get("corpid") in (None, row["corpid"]) and given.get("api") in (None, row["api"])
    ]
    return rows[-int(given.get("limit") or MOST_ROWS) :]


def state(given: Given) -> Given:
    """Counts of a corp, or of everything, with clock and settings."""
    corpid = given.get("corpid")
    models: dict[str, Any] = {
        "members": Member,
        "customers": Customer,
        "follows": Follow,
        "contact_ways": ContactWay,
        "mass_sends": Mass,
        "messages": Message,
    }
    counts = {
        name: (model.objects.filter(corpid=corpid) if corpid else model.objects.all()).count()
        for name, model in models.items()
    }
    by_state = Delivery.objects.filter(corpid=corpid) if corpid else Delivery.objects.all()
    return {
        "counts": counts,
        "deliveries": dict(by_state.values_list("state").annotate(n=Count("id"))),
        "idle": delivery.is_idle(corpid or ""),
        "waiting_tasks": (MassTask.objects.filter(corpid=corpid) if corpid else MassTask.objects.all())
        .filter(status=0)
        .count(),
        "now": clock.now(),
        "clock": clock.anchor(),
        "settings": store.settings(),
        "faults": faults.active(),
        "streams": ticker.streams(),
    }


def customer(given: Given) -> Given:
    """A customer with his relations, as the sandbox knows them."""
    corpid, external_userid = given["corpid"], given["external_userid"]
    row = people.customer_of(corpid, external_userid)
    follows: list[Any] = list(
        Follow.objects.filter(corpid=corpid, external_userid=external_userid).order_by("id").values()
    )
    for follow in follows:
        tag_ids = list(FollowTag.objects.filter(follow=follow["id"]).values_list("tag_id", flat=True))
        names = dict(Tag.objects.filter(tag_id__in=tag_ids).values_list("tag_id", "name"))
        follow["tags"] = [{"id": tag_id, "name": names.get(tag_id, "")} for tag_id in tag_ids]
    fields = ("external_userid", "name", "type", "gender", "unionid", "avatar", "corp_name", "position")
    return {field: getattr(row, field) for field in fields} | {"follows": follows}


def deliveries(given: Given) -> list[Given]:
    """The log of callbacks, oldest first."""
    rows = Delivery.objects.order_by("id")
    for field in ("corpid", "event", "change_type", "state"):
        if given.get(field):
            rows = rows.filter(**{field: given[field]})
    if given.get("after"):
        rows = rows.filter(id__gt=int(given["after"]))
    fields = ("id", "corpid", "agentid", "event", "change_type", "xml", "state", "created_at", "attempts")
    return list(rows.values(*fields)[: int(given.get("limit") or MOST_ROWS)])


def mass_sends(given: Given) -> list[Given]:
    """Mass sends of a corp, newest first, with their members' tasks."""
    rows: list[Any] = list(Mass.objects.filter(corpid=given["corpid"]).order_by("-id").values()[:MOST_ROWS])
    for row in rows:
        row["tasks"] = list(MassTask.objects.filter(msgid=row["msgid"]).values())
    return rows


ACTS: dict[str, Callable[[Given], Any]] = {
    "reset": reset,
    "corps": corps,
    "verify_callback": verify_callback,
    "load": bulk.load,
    "generate": lambda given: generate.generate(
        given["corpid"], int(given["customers"]), int(given.get("seed") or 1)
    ),
    "scan": scan,
    "accept": accept,
    "say": say,
    "reply": reply,
    "customer_deletes": customer_deletes,
    "member_deletes": member_deletes,
    "member_edits": member_edits,
    "member_leaves": member_leaves,
    "confirm": confirm,
    "faults": add_fault,
    "faults/clear": clear_faults,
    "kill_tokens": kill_tokens,
    "clock": set_clock,
    "settings": settings,
    "stream": lambda given: ticker.start_stream(given["corpid"], given),
    "callback_raw": callback_raw,
    "login": log_in,
}
READS: dict[str, Callable[[Given], Any]] = {
    "sent": sent,
    "calls": calls,
    "state": state,
    "customer": customer,
    "deliveries": deliveries,
    "mass": mass_sends,
    "stream": lambda given: ticker.streams(),
    "settings": lambda given: store.settings(),
    "faults": lambda given: faults.active(),
}
