"""The control API: what a tester may do. JSON in and out; errors are {"error": …} with 4xx.

docs/sandbox.md has the table for people.
"""

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from . import acquisition_acts as acquisition
from . import (
    arrivals,
    behaviour,
    bulk,
    card_acts,
    faults,
    generate,
    login,
    mass_acts,
    moment_acts,
    people,
    prepared,
    purchases,
    store,
    transfer_acts,
)
from . import console_acts as console
from . import control_reads as reads
from . import control_system as system
from . import group_acts as groups
from .errors import Refused
from .models import Transfer

Given = dict[str, Any]
Act = Callable[[Given], Any]


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


def _pair(act: Callable[[str, str, str], Any], key: str = "") -> Act:
    """An act of (corpid, userid, external_userid), answering {key: its result}."""

    def call(given: Given) -> Given:
        result = act(given["corpid"], given["userid"], given["external_userid"])
        return {key: result} if key else (result or {})

    return call


def _done(act: Callable[..., Any], *keys: str) -> Act:
    """An act that takes the named values of the body in this order and answers {} or what it returns."""

    def call(given: Given) -> Given:
        return act(*(given[key] if not key.endswith("?") else given.get(key[:-1]) for key in keys)) or {}

    return call


def _whole(act: Callable[[str, Given], Any]) -> Act:
    """An act of (corpid, body)."""
    return lambda given: act(given["corpid"], given) or {}


def say(given: Given) -> Given:
    """A customer writes."""
    return {"id": people.say(given["corpid"], given["userid"], given["external_userid"], given["text"])}


def reply(given: Given) -> Given:
    """A member writes by hand."""
    return {"id": people.reply(given["corpid"], given["userid"], given["external_userid"], given["text"])}


def member_edits(given: Given) -> Given:
    """A member edits remark or tags in his client."""
    people.member_edits(given["corpid"], given["userid"], given["external_userid"], given)
    return {}


def react(given: Given) -> Given:
    """A customer (external_userid) or colleague (by) likes or comments on a member's moment."""
    by = given.get("external_userid") or given["by"]
    kind, text = given["kind"], given.get("text") or ""
    moment_acts.react(given["corpid"], given["moment_id"], given["userid"], by, kind, text)
    return {}


def group_change(given: Given) -> Given:
    """The owner changes name, notice, welcome template or owner of a group."""
    groups.change(given["corpid"], given["chat_id"], given)
    return {}


def transfer_now(given: Given) -> Given:
    """The waiting transfers of a customer (or of all) end now instead of after a day."""
    rows = Transfer.objects.filter(corpid=given["corpid"], status=2)
    if given.get("external_userid"):
        rows = rows.filter(external_userid=given["external_userid"])
    found = list(rows)
    for row in found:
        transfer_acts.complete(row)
    return {"completed": len(found)}


ACTS: dict[str, Act] = {
    # the sandbox itself
    "reset": system.reset,
    "corps": system.corps,
    "verify_callback": system.verify_callback,
    "load": bulk.load,
    "generate": lambda given: generate.generate(
        given["corpid"], int(given["customers"]), int(given.get("seed") or 1)
    ),
    "prepare": lambda given: prepared.prepare(given["corpid"]),
    "faults": system.add_fault,
    "faults/clear": system.clear_faults,
    "kill_tokens": system.kill_tokens,
    "clock": system.set_clock,
    "settings": system.settings,
    "callback_raw": system.callback_raw,
    # customers and members
    "scan": _whole(people.scan),
    "accept": _pair(people.accept),
    "say": say,
    "reply": reply,
    "customer_deletes": _pair(people.customer_deletes),
    "member_deletes": _pair(people.member_deletes),
    "member_edits": member_edits,
    "member_leaves": _done(people.member_leaves, "corpid", "userid"),
    "stream": _whole(arrivals.start),
    "behaviour": behaviour.change,
    "seed": system.set_seed,
    "buy": _whole(purchases.buy),
    "login": _whole(login.enter),
    "card_click": _whole(card_acts.click),
    # mass sends, moments
    "confirm": _done(mass_acts.confirm, "corpid", "msgid", "userid?", "chat_ids?"),
    "publish": _done(moment_acts.publish, "corpid", "moment_id", "userid?"),
    "react": react,
    # groups
    "group_create": _whole(groups.create),
    "group_join": _whole(groups.join),
    "group_leave": _done(groups.leave, "corpid", "chat_id", "who", "removed_by?"),
    "group_change": group_change,
    "group_dismiss": _done(groups.dismiss, "corpid", "chat_id"),
    "group_say": lambda given: {
        "id": groups.say(given["corpid"], given["chat_id"], given["who"], given["text"])
    },
    # transfers, acquisition
    "transfer_now": transfer_now,
    "transfer_fails": _done(transfer_acts.fail, "corpid", "userid", "external_userid", "reason"),
    "acquisition_balance": _done(acquisition.set_balance, "corpid", "balance"),
    # the console
    "member_joins": _whole(console.member_joins),
    "member_changes": _whole(console.member_changes),
    "department_put": _whole(console.department_put),
    "department_deletes": _done(console.department_deletes, "corpid", "id"),
    "tag_adds": _done(console.tag_adds, "corpid", "group_name", "tags"),
    "tag_renames": _done(console.tag_renames, "corpid", "id", "name"),
    "tag_deletes": _done(console.tag_deletes, "corpid", "id"),
    "tags_shuffled": _done(console.tags_shuffled, "corpid", "group_id?", "order"),
}
READS: dict[str, Act] = {
    "sent": reads.sent,
    "calls": reads.calls,
    "state": reads.state,
    "customer": reads.customer,
    "deliveries": reads.deliveries,
    "mass": reads.mass_sends,
    "moments": reads.moments,
    "groups": reads.groups,
    "transfers": reads.transfers,
    "stream": lambda given: arrivals.streams(),
    "behaviour": lambda given: behaviour.of(given["corpid"]),
    "orders": reads.orders,
    "settings": lambda given: store.settings(),
    "faults": lambda given: faults.active(),
}
