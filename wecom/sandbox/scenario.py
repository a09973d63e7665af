"""Scenarios: what shall happen in a corp, from a file, the same for the same seed.

The format is told in docs/sandbox-scenarios.md; the ready ones lie in scenarios/. A scenario only fills the line of
time (life.py) and sets habits; then the clock plays it, or `advance` does without waiting.
"""

import re
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from . import arrivals, behaviour, clock, delivery, life, store
from .errors import Refused
from .models import Corp, Customer, Due, GroupChat, Member, Tag
from .scenario_file import length, read, ready_one, seconds

Given = dict[str, Any]
SHANGHAI = ZoneInfo("Asia/Shanghai")
LAST = float("inf")  # until there is nothing more
NAMED = re.compile(r"@(guide|group|tag|customer)(\d+)")


def _wanted(given: Given) -> tuple[str, Given]:
    if given.get("scenario") is not None:
        return str(given.get("name") or "own"), read(given["scenario"])
    name = str(given.get("name") or "")
    return name, ready_one(name)


def start(given: Given) -> Given:
    """Let a scenario begin; one that plays ends.

    Args:
        given: name (of a ready one) or scenario (object, YAML, JSON); corpid? (else the scenario's, else the
            only one); seed? (else the scenario's); at? (Unix seconds its clock starts at); speed? (0: stands).
    """
    name, wanted = _wanted(given)
    with life.playing:
        try:
            _begin(name, wanted, given)
        except Exception:
            store.load()  # the tables are as before; so shall be what is in memory
            behaviour.forget()
            raise
    return status()


def _begin(name: str, wanted: Given, given: Given) -> None:
    with store.writing():
        _end()
        seed = given["seed"] if given.get("seed") is not None else wanted.get("seed")
        store.set_seed(seed)
        begins = _set_clock(given, wanted)
        with clock.at(begins):
            corpid = _corp(given, wanted)
            if wanted.get("settings"):
                store.change_settings(wanted["settings"])
            habits = {"guides": wanted.get("guides") or {}, "customers": wanted.get("customers") or {}}
            behaviour.change({"corpid": corpid, "replace": True, **_spelled(corpid, habits)})
            _arrivals(corpid, name, wanted, begins)
            _plan(corpid, wanted, begins)
        playing = {
            "name": name,
            "title": wanted.get("title") or {"zh": name, "en": name},
            "corpid": corpid,
            "seed": seed,
            "began_at": begins,
            "ends_at": begins + length(wanted),
            "speed": wanted.get("speed") or 1,
        }
        store.remember("scenario", playing)


def _set_clock(given: Given, wanted: Given) -> float:
    speed = clock.speed() if given.get("speed") is None else float(given["speed"])
    if speed < 0:
        raise Refused("speed is at least 0")
    begins = clock.running()
    if given.get("at") is not None:
        begins = float(given["at"])
    elif wanted.get("starts"):
        begins = datetime.fromisoformat(str(wanted["starts"])).replace(tzinfo=SHANGHAI).timestamp()
    store.set_clock(shown=begins, speed=speed)
    return begins


def _corp(given: Given, wanted: Given) -> str:
    """The corp it plays in, made if the scenario brings one; with people, if it has none yet."""
    from .control_table import ACTS

    own = wanted.get("corp")
    corpid = given.get("corpid") or (own or {}).get("corpid")
    if not corpid:
        corpids = list(Corp.objects.values_list("corpid", flat=True)[:2])
        if len(corpids) != 1:
            raise Refused("say which corp: corpid")
        corpid = corpids[0]
    if not Corp.objects.filter(corpid=corpid).exists():
        if not own:
            raise Refused(f"no corp {corpid!r}", status=404)
        ACTS["corps"].handler({**own, "corpid": corpid})
    if not Member.objects.filter(corpid=corpid).exists():
        if wanted.get("people"):
            ACTS["load"].handler({**wanted["people"], "corpid": corpid})
        if wanted.get("generate"):
            ACTS["generate"].handler({"corpid": corpid, "customers": int(wanted["generate"])})
    return corpid


def _arrivals(corpid: str, name: str, wanted: Given, begins: float) -> None:
    for n, one in enumerate(wanted.get("arrivals") or ()):
        arrivals.chain(
            corpid,
            f"{name} {n}",
            float(one["per_hour"]),
            begins + seconds(one.get("from", 0), "from"),
            begins + seconds(one.get("to", length(wanted)), "to"),
            through=one.get("through"),
            habits=one.get("habits"),
        )


def _plan(corpid: str, wanted: Given, begins: float) -> None:
    rows = []
    for one in wanted.get("plan") or ():
        moments = [seconds(one["at"], "at")] if "at" in one else _repeated(one, wanted)
        rows += [
            Due(
                at=begins + moment,
                corpid=corpid,
                kind="act",
                given={"do": one["do"], "with": one.get("with") or {}},
            )
            for moment in moments
        ]
    life.plan_many(rows)


def _repeated(one: Given, wanted: Given) -> list[float]:
    step, moment = seconds(one["every"], "every"), seconds(one.get("from", 0), "from")
    end, found = seconds(one.get("to", length(wanted)), "to"), []
    while moment <= end:
        found.append(moment)
        moment += step
    return found


def _spelled(corpid: str, value: Any) -> Any:
    """The value with @guide2, @group1, @tag1, @customer1 replaced: the n-th of the corp, oldest first."""
    if isinstance(value, str):
        return NAMED.sub(lambda match: _named(corpid, match[1], int(match[2])), value)
    if isinstance(value, list):
        return [_spelled(corpid, one) for one in value]
    if isinstance(value, dict):
        return {_spelled(corpid, key): _spelled(corpid, one) for key, one in value.items()}
    return value


def _named(corpid: str, kind: str, n: int) -> str:
    rows: Any = {
        "guide": lambda: (
            Member.objects.filter(corpid=corpid, has_contact_right=True)
            .order_by("id")
            .values_list("userid", flat=True)
        ),
        "group": lambda: (
            GroupChat.objects.filter(corpid=corpid, dismissed_at=None)
            .order_by("id")
            .values_list("chat_id", flat=True)
        ),
        "tag": lambda: (
            Tag.objects.filter(corpid=corpid, deleted=False)
            .order_by("tag_id")
            .values_list("tag_id", flat=True)
        ),
        "customer": lambda: (
            Customer.objects.filter(corpid=corpid).order_by("id").values_list("external_userid", flat=True)
        ),
    }[kind]()
    found = list(rows[n - 1 : n]) if n > 0 else []
    if not found:
        raise Refused(f"this corp has no {kind} {n}")
    return found[0]


def _act(corpid: str, given: Given) -> None:
    """A row of the plan: a call of the control API."""
    from .control import done
    from .control_table import ACTS

    body = _spelled(corpid, given["with"])
    if "corpid" in ACTS[given["do"]].takes:
        body = {"corpid": corpid, **body}
    done(given["do"], body)


life.ACTS["act"] = _act


def status() -> Given:
    """The scenario that plays, or {}; left: what is still planned."""
    playing = store.recall("scenario")
    if not playing:
        return {}
    now = clock.running()
    return playing | {
        "now": now,
        "done": min(1.0, max(0.0, (now - playing["began_at"]) / (playing["ends_at"] - playing["began_at"]))),
        "planned": Due.objects.filter(corpid=playing["corpid"]).count(),
        "next_at": (life.peek() or [None])[0],
        "runs_at": clock.speed(),
    }


def stop(given: Given) -> Given:
    """Nothing more of it happens; habits and settings stay as they are."""
    with life.playing, store.writing():
        _end()
    return {}


def _end() -> None:
    playing = store.recall("scenario")
    if playing:
        Due.objects.filter(corpid=playing["corpid"], kind="act").delete()
        Due.objects.filter(corpid=playing["corpid"], kind="arrive").exclude(given__name="stream").delete()
    store.forget("scenario")


def advance(given: Given) -> Given:
    """Let everything happen up to a moment, in order, without waiting; the clock must stand.

    Args:
        given: seconds | until (Unix seconds) | neither: to the scenario's end; events? (at most so many);
            settle_s? (after each happening wait so long for its callbacks to have had their last attempt).
            A clock that somebody lets run meanwhile ends it.

    Returns:
        events: how many happened; now: what the clock shows.
    """
    n, most = 0, int(given["events"]) if given.get("events") is not None else None
    with life.playing:
        if clock.speed() != 0:
            raise Refused("the clock runs; let it stand first: clock {speed: 0}")
        until = _until(given)
        while most is None or n < most:
            found = life.peek()
            if found is None or found[0] > until:
                break
            with store.writing():
                if clock.speed() != 0:  # somebody let it run meanwhile: from here on it plays by itself
                    break
                store.set_clock(shown=max(found[0], clock.running()), speed=0)
                life.play(found)
                if clock.speed() != 0:  # an act of its own let it run
                    store.set_clock(shown=clock.running(), speed=0)
            n += 1
            if given.get("settle_s"):
                _settle(float(given["settle_s"]))
        with store.writing():
            if (most is None or n < most) and until != LAST and clock.speed() == 0:
                store.set_clock(shown=max(until, clock.running()), speed=0)
    return {"events": n, "now": clock.running()}


def _until(given: Given) -> float:
    if given.get("until") is not None:
        return float(given["until"])
    if given.get("seconds") is not None:
        return clock.running() + float(given["seconds"])
    if given.get("events") is not None:
        return LAST
    playing = store.recall("scenario")
    if not playing:
        raise Refused("say how far: seconds, until or events")
    return playing["ends_at"]


def _settle(most_s: float) -> None:
    end = time.monotonic() + most_s
    while not delivery.is_idle() and time.monotonic() < end:
        time.sleep(0.005)
