"""The inbox: every event of WeCom is stored once before WeCom gets its answer; then handled, tried again,
replayed.

A claim is a short transaction that gives the event a lease (`next_try_at`), so a killed worker loses nothing:
when the lease is over the sweep starts the event again. Events of one customer are handled one at a time; in
which order is the handlers' business, by `happened_at`.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.db import connection, transaction
from django.db.models import F, Max, Min, Q
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError as BrokerError

from org import audit
from org.access import Actor
from org.models import Corp, Staff
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand
from wecom.callbacks import HANDLERS, NOTED, VERIFY
from wecom.crypto import Event, parse_event
from wecom.errors import WeComForbidden, WeComRejected
from wecom.models import CallbackEvent
from wecom.services.staff_sync import fetch_member
from wecom.services.turns import Busy, turn

log = logging.getLogger(__name__)

Handler = Callable[[Brand, Corp, Event, CallbackEvent], None]
State = CallbackEvent.State
OPEN = (State.NEW, State.RETRY)
LEASE = timedelta(seconds=60)  # longer than a handler takes: its calls to WeCom end after 20 s
# an event whose task got lost (Redis was down) is found by the sweep after this
SWEEP_AFTER = timedelta(seconds=15)
REQUEUED = timedelta(seconds=60)  # what the sweep has queued once is not queued again before this
PAUSES_S = (5, 30, 120, 600, 3600, 3600, 3 * 3600, 6 * 3600)  # after so many tries a person has to look
TURN_WAIT_S, BUSY_PAUSE_S = 1.0, 1
QUEUE_AT_ONCE = 200  # a larger replay is left to the sweep, so that new arrivals do not queue behind it
CODE_LIFE = timedelta(seconds=20)  # of a WelcomeCode
# places in the queue, smaller first: a customer who waits for a welcome has 20 s, whatever a hand-over of thousands,
# tags put in the console or a replay have brought before
WELCOME_FIRST, IN_TURN = 0, 9  # the latter is the queue's own (scrm/schedule.py)

_STORE = """
    INSERT INTO wecom_callbackevent AS e
           (brand_id, corp_id, digest, event, change_type, happened_at, received_at, body, n_repeats, state,
            n_tries, next_try_at, done_at, error)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, %s, 0, %s, %s, %s)
    ON CONFLICT (brand_id, digest) DO UPDATE SET n_repeats = e.n_repeats + 1
    RETURNING id, n_repeats
"""


@dataclass(frozen=True)
class Received:
    """`to_handle`: new, and there is a handler: its task has to be started after the commit, with this priority."""

    event_id: int
    to_handle: bool
    priority: int = IN_TURN


def receive(brand_id: int, corp_id: int, xml: str) -> Received:
    """Store a decrypted event once, in the caller's transaction: one statement. A repeat is counted.

    Raises:
        BadCallback: not the XML of an event.
    """
    payload = parse_event(xml)
    # a message that a member writes to the app has no Event
    kind = (
        str(payload.get("Event") or payload.get("MsgType") or "?")[:40],
        str(payload.get("ChangeType") or "")[:40],
    )
    return _store(brand_id, corp_id, xml, kind, _created(payload))


def receive_verification(brand_id: int, corp_id: int, echo: str) -> None:
    """Remember that WeCom has checked the callback address: the set-up doctor tells the admin."""
    _store(brand_id, corp_id, echo, VERIFY, clock.now())


def _store(brand_id: int, corp_id: int, body: str, kind: tuple[str, str], happened_at: datetime) -> Received:
    now, has_handler = clock.now(), kind in HANDLERS
    digest = hashlib.sha1(body.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    state = State.NEW if has_handler else State.NOTED
    error = "" if has_handler or kind in NOTED else "unknown event"
    due_at, done_at = (now + SWEEP_AFTER, None) if has_handler else (None, now)
    body = body.replace("\x00", "")  # Postgres keeps no NUL
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE,
            [brand_id, corp_id, digest, *kind, happened_at, now, body, state, due_at, done_at, error],
        )
        event_id, n_repeats = cursor.fetchone()
    return Received(event_id, has_handler and n_repeats == 0, priority_of(body, happened_at))


def priority_of(body: str, happened_at: datetime) -> int:
    """Place in the queue of the event with this decrypted body: one whose customer waits for a welcome goes first, as
    long as its code lives."""
    lives = clock.now() - happened_at < CODE_LIFE
    return WELCOME_FIRST if lives and "<WelcomeCode>" in body else IN_TURN


def urgent_among(event_ids: Sequence[int]) -> set[int]:
    """Those of the events whose customer waits for a welcome."""
    if not event_ids:
        return set()
    with transaction.atomic():
        young = CallbackEvent.objects.filter(pk__in=event_ids, happened_at__gt=clock.now() - CODE_LIFE)
        waiting = young.filter(body__contains="<WelcomeCode>")
        return set(waiting.values_list("pk", flat=True))


def _created(payload: Event) -> datetime:
    try:
        return datetime.fromtimestamp(int(payload["CreateTime"]), UTC)
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        return clock.now()


def process(brand: Brand, event_id: int, *, orphaned: bool = False) -> str | None:
    """Handle one event; gives its state afterwards, or None when somebody else has it or it is finished.

    Never raises for what a handler raises: that is written to the event, and decides when it is tried again.

    Args:
        orphaned: whoever had it was killed or lost the database: its lease and its turn are taken over, because a customer
            waits for a welcome 20 seconds and not until the lease is over.
    """
    event = _claim(event_id, orphaned=orphaned)
    if event is None:
        return None
    path = HANDLERS.get((event.event, event.change_type))
    if path is None:
        return _finish(event, State.NOTED)
    payload = parse_event(event.body)
    try:
        with turn(
            brand,
            "inbox",
            _subject(event, payload),
            wait_s=TURN_WAIT_S,
            hold_s=LEASE.total_seconds(),
            me=f"event {event.pk}",
        ):
            _handle(brand, import_string(path), payload, event)
    except Busy:
        return _again(brand, event, BUSY_PAUSE_S, "", counted=False)
    except Exception as error:
        log.exception(
            "event %s (%s/%s) failed, try %s", event.pk, event.event, event.change_type, event.n_tries
        )
        return _failed(brand, event, error)
    return _finish(event, State.DONE)


def _handle(brand: Brand, handler: Handler, payload: Event, event: CallbackEvent) -> None:
    """Run the handler; where it names a member whom we do not know yet, fetch them and run it once more."""
    try:
        handler(brand, event.corp, payload, event)
    except Staff.DoesNotExist:
        fetch_member(brand, event.corp, str(payload.get("UserID") or ""))
        handler(brand, event.corp, payload, event)


def _subject(event: CallbackEvent, payload: Event) -> str:
    subject = payload.get("ExternalUserID") or payload.get("ChatId") or payload.get("UserID") or event.event
    return f"{event.corp_id}:{subject}"


def _claim(event_id: int, *, orphaned: bool = False) -> CallbackEvent | None:
    now = clock.now()
    with transaction.atomic():
        waits = Q(state=State.RETRY) if orphaned else Q(state=State.RETRY, next_try_at__lte=now)
        free = CallbackEvent.objects.filter(Q(state=State.NEW) | waits, pk=event_id)
        if not free.update(state=State.RETRY, n_tries=F("n_tries") + 1, next_try_at=now + LEASE):
            return None
        return CallbackEvent.objects.select_related("corp").get(pk=event_id)


def _write(event: CallbackEvent, **values: Any) -> bool:
    """Write the outcome, unless the lease ran out and somebody else has claimed the event meanwhile."""
    with transaction.atomic():
        mine = CallbackEvent.objects.filter(pk=event.pk, state=State.RETRY, next_try_at=event.next_try_at)
        return bool(mine.update(**values))


def _finish(event: CallbackEvent, state: str, error: str = "") -> str | None:
    done = _write(event, state=state, done_at=clock.now(), next_try_at=None, error=error[:500])
    return state if done else None


def _failed(brand: Brand, event: CallbackEvent, error: Exception) -> str | None:
    text = f"{type(error).__name__}: {error}"
    final = isinstance(error, WeComRejected) and not isinstance(error, WeComForbidden)
    if final or event.n_tries > len(PAUSES_S):
        return _finish(event, State.DEAD, text)
    pause = PAUSES_S[event.n_tries - 1]
    return _again(brand, event, max(pause, getattr(error, "retry_after_s", 0)), text)


def _again(
    brand: Brand, event: CallbackEvent, pause_s: float, error: str, *, counted: bool = True
) -> str | None:
    from wecom.tasks import handle_callback

    values = {
        "state": State.RETRY,
        "next_try_at": clock.now() + timedelta(seconds=pause_s),
        "error": error[:500],
    }
    if not counted:
        values |= {"n_tries": event.n_tries - 1, "error": event.error}
    if not _write(event, **values):
        return None
    if pause_s <= 30:  # a welcome waits 20 s at most; the sweep finds the others in time
        try:
            handle_callback.apply_async(
                kwargs={"brand_id": brand.pk, "event_id": event.pk},
                countdown=pause_s + 0.1,
                priority=priority_of(event.body, event.happened_at),
            )
        except (BrokerError, redis.RedisError, OSError) as error:
            log.warning("event %s waits for the sweep, the queue is not there: %r", event.pk, error)
    return State.RETRY


def due(limit: int) -> list[int]:
    """Ids of the events whose task is lost or whose pause is over, taken so that no other sweep takes them
    too."""
    now = clock.now()
    with transaction.atomic():
        waiting = CallbackEvent.objects.filter(state__in=OPEN, next_try_at__lte=now).order_by("next_try_at")
        ids = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
        CallbackEvent.objects.filter(pk__in=ids).update(state=State.NEW, next_try_at=now + REQUEUED)
    return ids


@transaction.atomic
def replay(
    brand: Brand,
    *,
    by: Actor,
    event_ids: Sequence[int] = (),
    dead: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Handle events again: some by id, all dead ones, or all received in a span. Gives how many.

    Handlers absorb repeats, so what was done already is not done twice.
    """
    from wecom.tasks import handle_callback

    events = CallbackEvent.objects.all()
    if event_ids:
        events = events.filter(pk__in=list(event_ids))
    elif dead:
        events = events.filter(state=State.DEAD)
    elif since is not None:
        events = events.filter(received_at__gte=since, received_at__lte=until or clock.now())
    else:
        raise InvalidError(_("Choose which events to replay"))
    now = clock.now()
    handled = Q()
    for name, change_type in HANDLERS:
        handled |= Q(event=name, change_type=change_type)
    events = events.filter(handled)
    ids = list(events.order_by("pk").values_list("pk", flat=True)[: QUEUE_AT_ONCE + 1])
    few = len(ids) <= QUEUE_AT_ONCE
    changed = events.filter(pk__in=ids) if few else events
    n = changed.update(
        state=State.NEW, n_tries=0, error="", done_at=None, next_try_at=now + SWEEP_AFTER if few else now
    )
    if few:
        for event_id in ids:
            handle_callback.delay_on_commit(brand_id=brand.pk, event_id=event_id)
    audit.record(
        by,
        "inbox.replay",
        after={"n": n, "dead": dead, "since": since, "until": until},
        name=str(event_ids or "")[:100],
    )
    return n


@dataclass(frozen=True)
class Figures:
    """`lag_s`: age of the oldest event that waits for its first try; 0 when nothing waits."""

    waiting: int
    retrying: int
    dead: int
    lag_s: float
    last_hour: int
    last_at: datetime | None


def figures(brand: Brand) -> Figures:
    """How the inbox is doing, from its indexes; in the caller's transaction."""
    now = clock.now()
    open_ = CallbackEvent.objects.filter(state__in=OPEN)
    fresh = open_.filter(n_tries=0)
    oldest = fresh.aggregate(at=Min("received_at"))["at"]
    newest = CallbackEvent.objects.exclude(event=VERIFY[0]).aggregate(at=Max("received_at"))["at"]
    return Figures(
        waiting=fresh.count(),
        retrying=open_.filter(n_tries__gt=0).count(),
        dead=CallbackEvent.objects.filter(state=State.DEAD).count(),
        lag_s=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        last_hour=CallbackEvent.objects.filter(received_at__gt=now - timedelta(hours=1)).count(),
        last_at=newest,
    )
