"""The page of trouble: faults of calls and callbacks, limits, tokens, and where WeCom's documents differ."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from . import faults, store
from .api.table import TABLE
from .models import App, Corp
from .page_frame import frame, page
from .quirks import QUIRKS

# kind → (Chinese, English, which further fields it has)
KINDS = {
    "slow": ("变慢", "slow", "seconds"),
    "http500": ("HTTP 5xx", "HTTP 5xx", "errcode"),
    "errcode": ("返回错误码", "an errcode", "errcode"),
    "html": ("返回一张网页", "a web page instead of JSON", ""),
    "empty": ("返回空内容", "an empty answer", ""),
    "hang": ("一直不回", "no answer for long", "seconds"),
    "drop_after": ("做完了但断开连接", "done, but the connection breaks", ""),
    "kill_token": ("让这次的 token 失效", "the token of the call dies", ""),
}
CALLBACK_KINDS = {
    "cb_lose": ("丢失", "lost", ""),
    "cb_double": ("重复", "twice", ""),
    "cb_late": ("迟到", "late", "seconds"),
    "cb_reverse": ("倒序", "reversed", ""),
}
ERRCODES = (-1, 45009, 45033, 40014, 42001, 48002, 60020, 41063)
EVENTS = (
    "change_external_contact",
    "change_external_contact/add_external_contact",
    "change_external_contact/add_half_external_contact",
    "change_external_contact/edit_external_contact",
    "change_external_contact/del_external_contact",
    "change_external_contact/del_follow_user",
    "change_external_contact/transfer_fail",
    "change_external_chat",
    "change_external_chat/create",
    "change_external_chat/update",
    "change_external_chat/dismiss",
    "change_external_tag",
    "change_contact",
    "customer_acquisition",
    "template_card_event",
)


def words_of(kind: str) -> tuple[str, str]:
    """A kind in both languages."""
    found = KINDS.get(kind) or CALLBACK_KINDS.get(kind) or (kind, kind, "")
    return found[0], found[1]


@page
def trouble(request: HttpRequest, corp: Corp) -> HttpResponse:
    """What can go wrong, to order."""
    context = frame(request, corp, "trouble")
    settings = store.settings()
    context |= {
        "settings": settings,
        "faults": [
            (row, words_of(row["kind"])) for row in faults.active() if row["corpid"] in ("", corp.corpid)
        ],
        "kinds": [(kind, *words) for kind, words in KINDS.items()],
        "callback_kinds": [(kind, *words) for kind, words in CALLBACK_KINDS.items()],
        "apis": sorted(TABLE),
        "events": EVENTS,
        "errcodes": ERRCODES,
        "apps": App.objects.filter(corpid=corp.corpid).order_by("id"),
        "quirks": [_quirk(name, settings["quirks"][name]) for name in QUIRKS],
        "n_changed": sum(settings["quirks"][name] != row.default for name, row in QUIRKS.items()),
    }
    return render(request, "sandbox/trouble.html", context)


def _quirk(name: str, chosen: str) -> dict[str, Any]:
    row = QUIRKS[name]
    return {
        "name": name,
        "page": row.page,
        "title": row.title,
        "choices": [(value, *words, value == chosen) for value, words in row.choices.items()],
        "changed": chosen != row.default,
    }
