"""Whether WeCom has put the app of a corp to sleep: noted from its events, from its answers, and from the set-up doctor."""

from datetime import datetime

from django.db.models import Q

from org.models import Corp
from scrm import clock

ASLEEP = 48006  # errcode of every call meanwhile
State = Corp.AppState


def note(corp: Corp, state: str, *, at: datetime | None = None) -> bool:
    """What is true of the app since `at` (now, if not given): a State, or empty. An older word changes nothing. Gives
    whether anything did. A warning counts from the last one; it is said for some days (org/templatetags/app_state.py)."""
    at = at or clock.now()
    older = Q(app_state_at=None) | Q(app_state_at__lte=at)
    news = Corp.objects.filter(older, pk=corp.pk)
    if state != State.WARNED:
        news = news.exclude(app_state=state)
    return bool(news.update(app_state=state, app_state_at=at))


def note_answer(corp: Corp, errcode: int | None) -> None:
    """After a call: WeCom refused it because the app sleeps, or (None) did what was asked. Costs a statement only where
    that is news to `corp` as it was read."""
    if errcode == ASLEEP and corp.app_state != State.ASLEEP:
        note(corp, State.ASLEEP)
    elif errcode is None and corp.app_state == State.ASLEEP:
        note(corp, "")
