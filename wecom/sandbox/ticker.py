"""The thread that lets time act: members confirm mass sends, customers keep arriving."""

import logging
import random
import threading
import time
from typing import Any

from django.db import close_old_connections

from . import clock, mass_acts, moment_acts, people, store, transfer_acts
from .errors import Refused
from .generate import a_name, draw
from .models import ContactWay, Follow, Member
from .ranges import ACTIVE

TICK_S = 0.1
WORDS = (
    "你好",
    "在吗？",
    "这个还有货吗",
    "有优惠券吗",
    "什么时候发货",
    "好的，谢谢",
    "怎么入群？",
    "想了解一下新品",
    "[微笑]",
)

log = logging.getLogger(__name__)


def start_stream(corpid: str, given: dict[str, Any]) -> dict[str, Any]:
    """Customers arrive through the corp's contact ways for a while; per_minute 0 stops it.

    Args:
        given: per_minute, minutes (sandbox time), say_rate, delete_rate (shares of arrivals).
    """
    store.corp(corpid)
    now = clock.now()
    stream: dict[str, Any] = {
        "corpid": corpid,
        "per_minute": float(given.get("per_minute") or 0),
        "until": now + float(given.get("minutes") or 60) * 60,
        "next": now,
        "arrived": 0,
        "say_rate": float(given.get("say_rate", 0.3)),
        "delete_rate": float(given.get("delete_rate", 0.02)),
    }
    with store.writing():
        streams = store.recall("streams") or {}
        if stream["per_minute"] > 0:
            streams[corpid] = stream
        else:
            streams.pop(corpid, None)
        store.remember("streams", streams)
    return stream


def streams() -> dict[str, dict[str, Any]]:
    """Streams that run, by corp."""
    now = clock.now()
    return {corpid: one for corpid, one in (store.recall("streams") or {}).items() if one["until"] > now}


def _flow() -> None:
    """Let those arrive whose moment has come."""
    if not any(stream["next"] <= clock.now() for stream in (store.recall("streams") or {}).values()):
        return
    arriving: list[dict[str, Any]] = []
    with store.writing():
        now = clock.now()
        running = {
            corpid: one for corpid, one in (store.recall("streams") or {}).items() if now < one["until"]
        }
        for stream in running.values():
            while stream["next"] <= now:
                stream["next"] = max(stream["next"], now - 5) + draw.expovariate(stream["per_minute"] / 60)
                stream["arrived"] += 1
                arriving.append(stream)
        store.remember("streams", running)
    for stream in arriving:
        _arrive(stream["corpid"], stream)


def _arrive(corpid: str, stream: dict[str, Any]) -> None:
    given: dict[str, Any] = {"name": a_name(draw), "gender": random.choice((0, 1, 2))}
    ways = ContactWay.objects.filter(corpid=corpid).values_list("config_id", flat=True)
    if ways:
        given["config_id"] = random.choice(list(ways))
    else:
        able = Member.objects.filter(corpid=corpid, status=ACTIVE, has_contact_right=True)
        users = list(able.values_list("userid", flat=True))
        if not users:
            return
        given["userid"] = random.choice(users)
    try:
        people.scan(corpid, given)
        follow = Follow.objects.filter(corpid=corpid, lost=False).order_by("-id")[:50]
        if random.random() < stream["say_rate"]:
            one = random.choice(list(follow))
            if clock.now() - one.createtime > 20:  # after the welcome
                people.say(corpid, one.userid, one.external_userid, random.choice(WORDS))
        if random.random() < stream["delete_rate"]:
            one = random.choice(list(follow))
            if clock.now() - one.createtime > 60:
                people.customer_deletes(corpid, one.userid, one.external_userid)
    except Refused as reason:
        log.warning("arrival at %s: %s", corpid, reason)


def _run() -> None:
    while True:
        try:
            while mass_acts.confirm_due() or moment_acts.publish_due() or transfer_acts.complete_due():
                pass
            _flow()
        except Exception:  # one bad moment must not stop time
            log.exception("tick")
        finally:
            close_old_connections()
        time.sleep(TICK_S)


def start() -> None:
    """Start the thread."""
    threading.Thread(target=_run, name="ticker", daemon=True).start()
