"""How the virtual people of a corp behave: rates (0 to 1) and delays ([from, to] seconds), per guide and for customers.

Everything is off until somebody sets it, except that guides confirm mass sends as the settings say.
"""

from typing import Any

from . import store
from .errors import Refused

Habits = dict[str, Any]

GUIDE: Habits = {
    "confirm_rate": None,  # mass sends and moments; None: the setting of that name
    "confirm_after_s": None,
    "accept_rate": 0,  # requests of customers and half adds
    "accept_after_s": [5, 120],
    "reply_rate": 0,  # what customers write
    "reply_after_s": [20, 600],
    "note_rate": 0,  # a remark and a tag after somebody was added
    "note_after_s": [60, 1800],
    "delete_rate": 0,  # customers who stay silent: the guide deletes them
    "delete_after_s": [86_400, 259_200],
}
CUSTOMER: Habits = {
    "again_rate": 0,  # share of arrivals who were here before
    "half_rate": 0,  # share of adds that the guide has still to confirm
    "say_rate": 0,  # writes after being added
    "say_after_s": [30, 600],
    "read_rate": 0,  # reads what arrives: welcomes, mass messages, replies
    "read_after_s": [10, 7200],
    "answer_rate": 0,  # … and writes back
    "answer_after_s": [10, 900],
    "buy_rate": 0,  # … or buys
    "buy_after_s": [120, 14_400],
    "buy_fen": [3_900, 49_900],  # what the basket is worth
    "delete_rate": 0,  # … or deletes the guide
    "delete_after_s": [10, 3600],
    "like_rate": 0,  # likes a moment he sees
    "like_after_s": [60, 21_600],
    "join_rate": 0,  # joins a group by its code after being added
    "join_after_s": [60, 3600],
    "quit_rate": 0,  # leaves a group he joined
    "quit_after_s": [600, 86_400],
}
EVERYBODY = "*"

_known: dict[str, dict[str, Any]] = {}


def forget() -> None:
    """The database was changed by another hand."""
    _known.clear()


def of(corpid: str) -> dict[str, Any]:
    """What was set for a corp: {"guides": {"*" | userid: habits}, "customers": habits}."""
    found = _known.get(corpid)
    if found is None:
        with store.writers:  # nobody changes them meanwhile
            found = store.recall(f"behaviour:{corpid}") or {"guides": {}, "customers": {}}
            _known[corpid] = found
    return found


def guide(corpid: str, userid: str) -> Habits:
    """All habits of one guide."""
    own = of(corpid)["guides"]
    found = {**GUIDE, **own.get(EVERYBODY, {}), **own.get(userid.lower(), {})}
    for key in ("confirm_rate", "confirm_after_s"):
        if found[key] is None:
            found[key] = store.setting(key)
    return found


def customers(corpid: str) -> Habits:
    """All habits of the corp's customers."""
    return {**CUSTOMER, **of(corpid)["customers"]}


def change(given: dict[str, Any]) -> dict[str, Any]:
    """Set some habits and leave the others.

    Args:
        given: corpid, guides? ({"*" for all or a userid: habits}), customers? (habits), replace? (forget the rest).

    Returns:
        What is set now.
    """
    corpid = given["corpid"]
    store.corp(corpid)
    with store.writing():
        now: dict[str, Any] = {"guides": {}, "customers": {}} if given.get("replace") else of(corpid)
        guides = {userid: dict(habits) for userid, habits in now["guides"].items()}
        for userid, habits in (given.get("guides") or {}).items():
            key = userid.lower()
            guides[key] = {**guides.get(key, {}), **_checked(habits, GUIDE)}
        changed = {
            "guides": guides,
            "customers": {**now["customers"], **_checked(given.get("customers") or {}, CUSTOMER)},
        }
        store.remember(f"behaviour:{corpid}", changed)
        forget()
    return changed


def _checked(habits: Any, known: Habits) -> Habits:
    if not isinstance(habits, dict):
        raise Refused("habits are an object of rates and delays")
    for key, value in habits.items():
        if key not in known:
            raise Refused(f"no habit {key!r}; there are {', '.join(known)}")
        if value is None and known[key] is None:
            continue
        if key.endswith("_rate"):
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
                raise Refused(f"{key} is a share from 0 to 1")
        elif not _is_span(value):
            raise Refused(f"{key} is [from, to], both at least 0")
    return habits


def _is_span(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(one, int | float) and not isinstance(one, bool) and one >= 0 for one in value)
        and value[0] <= value[1]
    )
