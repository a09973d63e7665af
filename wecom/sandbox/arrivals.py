"""Customers who keep arriving: chains of happenings, each of which plans the next."""

from typing import Any

from . import behaviour, chance, clock, life, people, store
from .generate import a_name
from .models import ContactWay, Customer, Due, Member
from .ranges import ACTIVE

BACKLOG_S = 5  # a stream does not make up for more than this after a pause or a jump of the clock
Given = dict[str, Any]


def start(corpid: str, given: Given) -> Given:
    """Customers arrive through the corp's contact ways for a while; per_minute 0 stops it.

    Args:
        given: per_minute, minutes (sandbox time), say_rate, delete_rate (shares of arrivals).
    """
    store.corp(corpid)
    per_minute = float(given.get("per_minute") or 0)
    own = {"say_rate": given.get("say_rate", 0.3), "delete_rate": given.get("delete_rate", 0.02)}
    with store.writing():
        Due.objects.filter(corpid=corpid, kind="arrive", given__name="stream").delete()
        if per_minute > 0:
            now = clock.now()
            until = now + float(given.get("minutes") or 60) * 60
            chain(corpid, "stream", per_minute * 60, now, until, habits=own, catches_up=False)
    return {"corpid": corpid, "per_minute": per_minute, **own}


def chain(
    corpid: str,
    name: str,
    per_hour: float,
    since: float,
    until: float,
    *,
    through: dict[str, float] | None = None,
    habits: Given | None = None,
    catches_up: bool = True,
) -> None:
    """Let people arrive between two moments.

    Args:
        name: keeps chains apart; two with one name and the same times bring the same people.
        through: states of contact ways with their weights; None: any code, or a guide's own.
        habits: of these people, where they differ from the corp's customers.
        catches_up: whether those come late who were due while the clock jumped.
    """
    given = {
        "name": name,
        "per_hour": per_hour,
        "until": until,
        "arrived": 0,
        "through": through,
        "habits": habits,
        "catches_up": catches_up,
    }
    life.plan(since + _pause(corpid, given), corpid, "arrive", **given)


def _dice(corpid: str, given: Given, what: str) -> Any:
    return chance.draws("arrival", what, corpid, given["name"], given["arrived"], given["until"])


def _pause(corpid: str, given: Given) -> float:
    return _dice(corpid, given, "pause").expovariate(given["per_hour"] / 3600)


def streams() -> dict[str, Given]:
    """Streams that run, by corp."""
    found = {}
    for row in Due.objects.filter(kind="arrive", given__name="stream"):
        if row.given["until"] > clock.now():
            found[row.corpid] = {
                "corpid": row.corpid,
                "per_minute": row.given["per_hour"] / 60,
                "until": row.given["until"],
                "arrived": row.given["arrived"],
            }
    return found


def arrive(corpid: str, given: Given) -> None:
    """One arrives, the next one is planned."""
    now = clock.now()
    if now >= given["until"]:
        return
    since = now if given["catches_up"] else max(now, clock.running() - BACKLOG_S)
    after = given | {"arrived": given["arrived"] + 1}
    following = since + _pause(corpid, after)
    if following < given["until"]:
        life.plan(following, corpid, "arrive", **after)
    who = _who(corpid, given)
    how = behaviour.customers(corpid) | (given["habits"] or {})
    where = _where(corpid, given)
    if where is not None:
        half = chance.happens(
            how["half_rate"], "half", corpid, given["name"], given["arrived"], given["until"]
        )
        people.scan(corpid, who | where | {"half": half, "habits": given["habits"]})


def _who(corpid: str, given: Given) -> Given:
    """Somebody of before, or a new person."""
    how, dice = behaviour.customers(corpid), _dice(corpid, given, "who")
    if dice.random() < how["again_rate"]:
        rows = Customer.objects.filter(corpid=corpid)
        first, last = rows.order_by("id").first(), rows.order_by("-id").first()
        if first is not None and last is not None:
            one = rows.filter(id__gte=dice.randint(first.pk, last.pk)).order_by("id").first()
            if one is not None:
                return {"external_userid": one.external_userid}
    return {"name": a_name(dice), "gender": dice.choice((0, 1, 2, 2))}


def _where(corpid: str, given: Given) -> Given | None:
    dice = _dice(corpid, given, "where")
    if given["through"]:
        states = sorted(given["through"])
        return {"state": dice.choices(states, [given["through"][state] for state in states])[0]}
    ways = list(
        ContactWay.objects.filter(corpid=corpid, is_temp=False)
        .order_by("id")
        .values_list("config_id", flat=True)
    )
    if ways:
        return {"config_id": dice.choice(ways)}
    able = Member.objects.filter(corpid=corpid, status=ACTIVE, has_contact_right=True).order_by("id")
    users = list(able.values_list("userid", flat=True))
    return {"userid": dice.choice(users)} if users else None
