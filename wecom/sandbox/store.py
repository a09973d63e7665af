"""What the process keeps in memory: settings, apps, tokens; and the one lock of writers."""

import contextlib
import copy
import json
import math
import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.apps import apps as django_apps
from django.conf import settings as django_settings
from django.db import connection, transaction

from . import chance, clock
from .errors import Refused
from .models import App, Corp, Setting, Token
from .quirks import QUIRKS

_SETTINGS: dict[str, tuple[Any, str]] = {  # name → (default, meaning)
    "limits": (True, "whether 45009 and 45033 are given"),
    "minute_limit": (10_000, "calls of a corp to one API in a minute"),
    "hour_limit": (150_000, "… in an hour"),
    "address_minute_limit": (20_000, "calls of an address to one API in a minute, whatever the corp"),
    "address_hour_limit": (600_000, "… in an hour"),
    "limit_minute_s": (60, "how long such a minute is, and the block after it: shorter ones are for tests"),
    "limit_hour_s": (3600, "the same for the hour"),
    "in_flight": (5, "calls of a corp to one API at the same time; 0: any number"),
    "answer_ms": (0, "how long every call takes at least"),
    "bad_secrets": (2000, "wrong secrets of an address in an hour before it is banned"),
    "confirm_after_s": (
        [20, 120],
        "how long guides wait before they confirm a mass send; null: they never do",
    ),
    "confirm_rate": (0.95, "share of guides who confirm at all"),
    "dispatch_s": (2, "how long a mass send answers 41063 after it was made"),
    "receive_cap": (None, "mass messages per customer and period; null: what the quirk receive_rule says"),
    "token_life_s": (7200, "life of an access token"),
    "welcome_life_s": (20, "life of a welcome code (× the clock's speed: programs have real time)"),
    "moment_job_s": (2, "how long the job of a moment runs"),
    "transfer_s": (86_400, "how long a transfer of a customer waits"),
    "group_lag_s": (0, "how long groupchat/get shows the state before an event"),
    "group_full_at": (200, "members at which a join way goes on to its next group"),
    "callbacks": (
        {"double": 0, "lose": 0, "delay_s": None, "reverse": False},
        "for all callbacks: shares doubled and lost, [from, to] seconds late, order reversed (faults do it by event)",
    ),
    "quirks": ({name: quirk.default for name, quirk in QUIRKS.items()}, "where WeCom's documents differ"),
    "orders_url": ("", "where purchases are posted; '': nowhere"),
    "orders_headers": ({}, "headers of that post, a key for example"),
}
DEFAULTS = {name: default for name, (default, _) in _SETTINGS.items()}
MEANINGS = {name: meaning for name, (_, meaning) in _SETTINGS.items()}
NESTED = ("callbacks", "quirks")  # settings of which a change may name only some keys

writers = threading.RLock()
_settings: dict[str, Any] = {}
_apps: dict[int, App] = {}
_corps: dict[str, Corp] = {}
_apps_of: dict[str, list[App]] = {}
_tokens: dict[str, tuple[int, float, bool]] = {}
_world = 0  # wipes so far


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """A transaction that writes. SQLite has one writer: waiting here is cheaper than its busy loop."""
    with writers:
        outermost = not connection.in_atomic_block
        with transaction.atomic():
            yield
            if outermost and chance.unsaved():
                count = chance.count()
                _keep("chance", chance.state())
                chance.saved(count)


def load() -> None:
    """Read clock and settings from the database; called once at the start."""
    global _settings
    with writers:
        rows = {row.key: row.value for row in Setting.objects.all()}
        clock.set_anchor(**rows.get("clock", {"real": 0.0, "shown": 0.0, "speed": 1.0}))
        chance.set_state(**rows.get("chance", {"seed": None}))
        _settings = _merged(copy.deepcopy(DEFAULTS), rows.get("settings", {}))
        forget_apps()


def reset() -> None:
    """Wipe everything: tables, media, clock, settings."""
    with writing():
        wipe()
        another_world()
    wipe_media()
    load()


def world() -> int:
    """Which one this is. What was under way in another (a call, a callback) has nothing to do in this one."""
    return _world


def another_world() -> None:
    """Called in the transaction that replaces the tables, at its end: who sees the new ones sees this too."""
    global _world
    _world += 1


def wipe() -> None:
    """Empty all tables, inside a transaction; load() comes after it."""
    with connection.cursor() as cursor:
        for model in django_apps.get_app_config("sandbox").get_models():
            cursor.execute(f'DELETE FROM "{model._meta.db_table}"')  # noqa: S608
        # the same acts give the same numbers again
        cursor.execute("DELETE FROM sqlite_sequence WHERE name LIKE 'sandbox_%%'")
    chance.set_state(None)


def wipe_media() -> None:
    """Remove the uploaded files."""
    media = django_settings.DATA / "media"
    if media.exists():
        shutil.rmtree(media, ignore_errors=True)


def setting(key: str) -> Any:
    """One of DEFAULTS, as it is set now."""
    return _settings[key]


def forget(key: str) -> None:
    """Drop a document kept by remember()."""
    with writing():
        Setting.objects.filter(key=key).delete()


def quirk(name: str) -> str:
    """The choice in force where WeCom's documents differ (quirks.py)."""
    return _settings["quirks"][name]


def settings() -> dict[str, Any]:
    """All settings."""
    return copy.deepcopy(_settings)


def change_settings(changes: dict[str, Any]) -> None:
    """Set some of DEFAULTS; `callbacks` and `quirks` may name only some of their own keys."""
    global _settings
    unknown = set(changes) - set(DEFAULTS)
    for key in NESTED:
        unknown |= set(changes.get(key) or {}) - set(DEFAULTS[key])
    if unknown:
        raise Refused(f"unknown settings: {', '.join(sorted(unknown))}")
    for name, choice in (changes.get("quirks") or {}).items():
        if choice not in QUIRKS[name].choices:
            raise Refused(f"{name} is one of {', '.join(QUIRKS[name].choices)}")
    with writing():
        _settings = _merged(copy.deepcopy(_settings), changes)
        remember("settings", _settings)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for key, value in changes.items():
        base[key] = {**base[key], **(value or {})} if key in NESTED else value
    return base


def remember(key: str, value: Any) -> None:
    """Keep a small document over a restart."""
    with writing():
        _keep(key, value)


def _keep(key: str, value: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sandbox_setting (key, value) VALUES (%s, %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [key, as_json(value)],
        )


def recall(key: str) -> Any:
    """A document kept by remember(), or None."""
    return Setting.objects.filter(key=key).values_list("value", flat=True).first()


def set_seed(seed: str | int | None) -> None:
    """From now on all chance comes from this seed; None: from the machine. Ids given out before never come again."""
    with writing():
        chance.set_state(seed, chance.count())
        _keep("chance", chance.state())


def set_clock(*, shown: float, speed: float) -> None:
    """Let the clock show another moment, run at another speed, and remember it."""
    if not math.isfinite(shown):
        raise Refused("the clock shows a moment")
    with writing():
        clock.set_anchor(real=time.time(), shown=shown, speed=speed)
        remember("clock", clock.anchor())


def forget_apps() -> None:
    """Apps or tokens changed by another hand than this file's: read them anew.

    What is kept is read with `writers` held, so that nobody keeps what a transaction is just changing.
    """
    _apps.clear()
    _corps.clear()
    _apps_of.clear()
    _tokens.clear()


def corp(corpid: str) -> Corp:
    """A corp, or Refused (404)."""
    found = _corps.get(corpid)
    if found is None:
        with writers:
            found = Corp.objects.filter(corpid=corpid).first()
            if found is None:
                raise Refused(f"no corp {corpid!r}", status=404)
            _corps[corpid] = found
    return found


def app(pk: int) -> App:
    """An app by the sandbox's own key."""
    found = _apps.get(pk)
    if found is None:
        with writers:
            found = _apps[pk] = App.objects.get(pk=pk)
    return found


def apps_of(corpid: str) -> list[App]:
    """The apps of a corp, the contact-sync secret included."""
    found = _apps_of.get(corpid)
    if found is None:
        with writers:
            found = _apps_of[corpid] = list(App.objects.filter(corpid=corpid).order_by("id"))
    return found


def as_json(value: Any) -> str:
    """For json_each() and columns that are written by SQL."""
    return json.dumps(value, ensure_ascii=False)


def revoke(value: str) -> None:
    """An access token answers 40014 from now on."""
    with writing():
        Token.objects.filter(token=value).update(revoked=True)
    _tokens.pop(value, None)


def token(value: str) -> tuple[int, float, bool] | None:
    """(app, expires_at, revoked) of an access token, or None if it was never given out."""
    known = _tokens.get(value)
    if known is None and value:
        with writers:
            row = Token.objects.filter(token=value).first()
            if row is None:
                return None
            known = _tokens[value] = (row.app, row.expires_at, row.revoked)
    return known
