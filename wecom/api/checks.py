"""WeCom's documented limits, checked before a call, so that a person hears of them while they write."""

from collections.abc import Mapping, Sized
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from scrm import clock
from wecom.errors import InvalidMessage, LostAnswer


def at_most_bytes(name: Any, text: str, limit: int) -> None:
    """WeCom counts bytes of UTF-8 here: a Chinese character is three."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        raise InvalidMessage(
            _(
                "%(name)s is too long by about %(n)d Chinese characters: %(size)d bytes, WeCom allows %(limit)d"
                " (a Chinese character counts 3)"
            )
            % {"name": name, "size": size, "limit": limit, "n": -(-(size - limit) // 3)}
        )


def at_most_chars(name: Any, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InvalidMessage(
            _("%(name)s is too long: %(size)d characters, WeCom allows %(limit)d")
            % {"name": name, "size": len(text), "limit": limit}
        )


def at_most(name: Any, items: Sized, limit: int) -> None:
    if len(items) > limit:
        raise InvalidMessage(
            _("%(name)s: %(size)d given, WeCom allows %(limit)d")
            % {"name": name, "size": len(items), "limit": limit}
        )


def needed(name: Any, value: Any) -> None:
    if not value:
        raise InvalidMessage(_("%(name)s is missing") % {"name": name})


def link(name: Any, url: str, limit: int = 2048) -> None:
    """A link that WeCom accepts: with its scheme, at most 2048 bytes."""
    if not url.startswith(("https://", "http://")):
        raise InvalidMessage(_("%(name)s must begin with https:// or http://") % {"name": name})
    at_most_bytes(name, url, limit)


def in_order(number: int | None) -> None:
    """The number by which WeCom puts tags and departments in order: 0 to 2³² - 1."""
    if number is not None and not 0 <= number < 2**32:
        raise InvalidMessage(_("The order is a number from 0 to 4,294,967,295"))


SHANGHAI = ZoneInfo("Asia/Shanghai")


def span(start_at: datetime, end_at: datetime, days: int) -> dict[str, int]:
    """`start_time` and `end_time` of a list that WeCom gives for at most so many days at once."""
    _in_order(start_at, end_at, days)
    return {"start_time": int(start_at.timestamp()), "end_time": int(end_at.timestamp())}


def whole_days(since: date, until: date, days: int, back: int) -> tuple[int, int]:
    """Seconds of 0:00 of two days, both counted, as WeCom's statistics want them: its days are Shanghai's, and it has
    those of the last `back` days."""
    _in_order(since, until, days)
    if since < clock.today(SHANGHAI.key) - timedelta(days=back):
        raise InvalidMessage(_("WeCom has these figures for the last %(days)d days") % {"days": back})
    first, last = (
        datetime(on.year, on.month, on.day, tzinfo=SHANGHAI).astimezone(UTC) for on in (since, until)
    )
    return int(first.timestamp()), int(last.timestamp())


def _in_order(start: date, end: date, days: int) -> None:
    if end < start:
        raise InvalidMessage(_("The end is before the beginning"))
    if end - start > timedelta(days=days):
        raise InvalidMessage(_("WeCom gives at most %(days)d days at once") % {"days": days})


def answered(answer: Mapping[str, Any], api: str, name: str) -> str:
    """A field without which the call cannot be told from one whose answer was lost."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise LostAnswer(api=api, errmsg=f"no {name} in the answer")
    return value
