"""Scenarios: what shall happen in a corp, from a file, the same for the same seed.

The format is told in docs/sandbox-scenarios.md; the ready ones lie in scenarios/. A scenario only fills the line of
time (life.py) and sets habits; then the clock plays it, or `advance` does without waiting.
"""

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from . import arrivals, behaviour, clock, delivery, life, store
from .errors import Refused
from .models import Corp, Customer, Due, GroupChat, Member, Tag

Given = dict[str, Any]
FOLDER = Path(__file__).parent / "scenarios"
SHANGHAI = ZoneInfo("Asia/Shanghai")
KEYS = {
    "title",
    "about",
    "seed",
    "hours",
    "speed",
    "starts",
    "corp",
    "people",
    "generate",
    "settings",
    "guides",
    "customers",
    "arrivals",
    "plan",
}
ARRIVAL_KEYS = {"from", "to", "per_hour", "through", "habits"}
PLAN_KEYS = {"at", "from", "to", "every", "do", "with"}
NOT_IN_A_PLAN = {
    "reset",
    "load",
    "generate",
    "corps",
    "scenario/start",
    "scenario/step",
    "scenario/stop",
    "seed",
}
SPAN = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
NAMED = re.compile(r"@(guide|group|tag|customer)(\d+)")
WORKING_DAY_S = 43_200


def seconds(value: Any, where: str) -> float:
    """ "1h30m", "2d", "90s" or a number as seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = SPAN.fullmatch(str(value))
    if match is None:
        raise Refused(f"{where}: {value!r} is no span like 90s, 15m, 1h30m, 2d")
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return days * 86_400.0 + hours * 3600 + minutes * 60 + rest


def read(given: Any) -> Given:
    """A scenario from an object, YAML or JSON, checked.

    Raises:
        Refused: what is wrong, and where.
    """
    if isinstance(given, str):
        try:
            given = yaml.safe_load(given)
        except yaml.YAMLError as reason:
            raise Refused(f"no YAML: {reason}") from None
    if not isinstance(given, dict):
        raise Refused("a scenario is an object")
    _only(given, KEYS, "scenario")
    for n, one in enumerate(given.get("arrivals") or ()):
        _only(one, ARRIVAL_KEYS, f"arrivals[{n}]")
        seconds(one.get("from", 0), f"arrivals[{n}].from")
        seconds(one.get("to", _length(given)), f"arrivals[{n}].to")
        if not isinstance(one.get("per_hour"), int | float) or one["per_hour"] <= 0:
            raise Refused(f"arrivals[{n}].per_hour: a number above 0")
    for n, one in enumerate(given.get("plan") or ()):
        _check_plan(one, f"plan[{n}]", given)
    return given


def _only(given: Any, known: set[str], where: str) -> None:
    if not isinstance(given, dict):
        raise Refused(f"{where}: an object")
    unknown = sorted(set(given) - known)
    if unknown:
        raise Refused(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _check_plan(one: Any, where: str, whole: Given) -> None:
    from .control_table import ACTS  # the table has the calls of this file too

    _only(one, PLAN_KEYS, where)
    if one.get("do") not in ACTS or one["do"] in NOT_IN_A_PLAN:
        raise Refused(f"{where}.do: no call {one.get('do')!r} of the control API")
    if ("at" in one) == ("every" in one):
        raise Refused(f"{where}: either at or every")
    for key in ("at", "every", "from", "to"):
        if key in one:
            seconds(one[key], f"{where}.{key}")
    if "every" in one and seconds(one["every"], where) < 1:
        raise Refused(f"{where}.every: at least a second")
    row = ACTS[one["do"]]
    if row.takes != "*":
        row.check(
            {"corpid": "", **(one.get("with") or {})} if "corpid" in row.takes else one.get("with") or {}
        )


def _length(given: Given) -> float:
    return float(given.get("hours") or WORKING_DAY_S / 3600) * 3600


def ready() -> list[Given]:
    """The scenarios of the package, the calm one first: name, title, about, hours, speed, seed."""
    told = [(path.stem, yaml.safe_load(path.read_text("utf-8"))) for path in FOLDER.glob("*.yaml")]
    keys = ("title", "about", "hours", "speed", "seed")
    return [
        {"name": name, **{key: one.get(key) for key in keys}}
        for name, one in sorted(told, key=lambda pair: pair[1]["seed"])
    ]


def _wanted(given: Given) -> tuple[str, Given]:
    if given.get("scenario") is not None:
        return str(given.get("name") or "own"), read(given["scenario"])
    name = str(given.get("name") or "")
    return name, ready_one(name)


def ready_one(name: str) -> Given:
    """A scenario of the package, or Refused (404)."""
    path = FOLDER / f"{name}.yaml"
    if not re.fullmatch(r"[\w-]+", name) or not path.exists():
        raise Refused(
            f"no scenario {name!r}; there are {', '.join(one['name'] for one in ready())}", status=404
        )
    return read(path.read_text("utf-8"))


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
            "ends_at": begins + _length(wanted),
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
            begins + seconds(one.get("to", _length(wanted)), "to"),
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
    end, found = seconds(one.get("to", _length(wanted)), "to"), []
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

    Returns:
        events: how many happened; now: what the clock shows.
    """
    if clock.speed() != 0:
        raise Refused("the clock runs; let it stand first: clock {speed: 0}")
    until, n = _until(given), 0
    most = int(given["events"]) if given.get("events") is not None else None
    with life.playing:
        while most is None or n < most:
            found = life.peek()
            if found is None or found[0] > until:
                break
            with store.writing():
                store.set_clock(shown=max(found[0], clock.running()), speed=0)
                life.play(found)
            n += 1
            if given.get("settle_s"):
                _settle(float(given["settle_s"]))
        if most is None or n < most:
            store.set_clock(shown=max(until, clock.running()), speed=0)
    return {"events": n, "now": clock.running()}


def _until(given: Given) -> float:
    if given.get("until") is not None:
        return float(given["until"])
    if given.get("seconds") is not None:
        return clock.running() + float(given["seconds"])
    if given.get("events") is not None:
        return float("inf")
    playing = store.recall("scenario")
    if not playing:
        raise Refused("say how far: seconds, until or events")
    return playing["ends_at"]


def _settle(most_s: float) -> None:
    end = time.monotonic() + most_s
    while not delivery.is_idle() and time.monotonic() < end:
        time.sleep(0.005)
