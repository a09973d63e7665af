"""A/B/n: the contents of a broadcast compared by a rule stated before the launch, and the winner sent to the rest.

The rule: of the people whose message was delivered `hours` ago, how many did within these hours what was hoped for
(opened, replied, bought). Each person counts once the hours are over, so that a guide who confirmed early gives no content
a start. The comparison may be looked at all the time (campaigns/sequential.py).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from campaigns import sequential
from campaigns.models import Broadcast, SendTask, Touch, Variant, Wave
from campaigns.sequential import Look, Share
from campaigns.services.governance import gate
from org import audit
from org.access import SYSTEM, Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

GOALS = {"opened": "opened_at", "replied": "replied_at", "bought": "converted_at"}
LOOKED_FOR = timedelta(days=45)  # after the last plan of a wave nothing is compared any more
MAX_HOURS, MAX_LEAST = 24 * 14, 100_000
BY_RULE, BY_TIME = "rule", "time"


@dataclass(frozen=True)
class Rule:
    """How contents are compared.

    Attributes:
        goal: one of GOALS.
        hours: after the delivery, within which it has to happen.
        least: people of each content whose hours are over, before anything is said.
        confidence: per cent.
        percent: of the audience in the test; the rest waits for the winner. 100: there is no rest.
        auto: the rest gets the winner by itself; otherwise somebody presses a button.
        wait_hours: with `auto`: when so many hours have gone by without a winner since the comparison went out, the rest
            gets the content that leads.
    """

    goal: str = "opened"
    hours: int = 24
    least: int = 200
    confidence: int = 95
    percent: int = 100
    auto: bool = True
    wait_hours: int = 72


def rule_of(broadcast: Broadcast) -> Rule | None:
    """None: its contents are not compared."""
    return Rule(**broadcast.test) if broadcast.test else None


def check(given: Mapping[str, Any] | None, n_variants: int, wrong: dict[str, str]) -> dict[str, Any]:
    """A rule as it is stored; {} without one. What is not right is put into `wrong`, by field."""
    if not given:
        return {}
    try:
        rule = Rule(**given)
    except TypeError:
        wrong["test"] = _("Unknown setting of the comparison")
        return {}
    if n_variants < 2:
        wrong["test"] = _("There is one content only: nothing to compare")
    if rule.goal not in GOALS:
        wrong["test_goal"] = _("Unknown goal")
    limits = {
        "hours": (1, MAX_HOURS),
        "least": (50, MAX_LEAST),
        "confidence": (80, 99),
        "percent": (1, 100),
        "wait_hours": (rule.hours if isinstance(rule.hours, int) else 1, 24 * 30),
    }
    for name, (low, high) in limits.items():
        value = getattr(rule, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            wrong[f"test_{name}"] = _("Between %(low)s and %(high)s") % {"low": low, "high": high}
    if not isinstance(rule.auto, bool):
        wrong["test_auto"] = _("Yes or no")
    return asdict(rule)


# ---- look

_SHARES = """
    SELECT t.variant_id, count(*), count(*) FILTER (WHERE t.{mark} <= t.done_at + %(hours)s::interval)
      FROM campaigns_touch t
     WHERE t.brand_id = %(b)s AND t.at = ANY(%(moments)s) AND t.broadcast_id = %(broadcast)s AND t.wave_id = ANY(%(waves)s)
       AND t.state = %(delivered)s AND t.done_at <= %(until)s
     GROUP BY 1
"""


def shares(brand: Brand, broadcast: Broadcast, rule: Rule) -> dict[int, Share]:
    """{content: people whose hours are over, and those who did it}; of waves in which all contents went out."""
    rows = Wave.objects.filter(broadcast=broadcast).values_list("pk", "condition")
    given: dict[str, Any] = {
        "b": brand.pk,
        "broadcast": broadcast.pk,
        "moments": moments_of(broadcast.pk),
        "waves": [pk for pk, condition in rows if not condition.get("winner")],
        "hours": timedelta(hours=rule.hours),
        "delivered": int(Touch.State.DELIVERED),
        "until": clock.now() - timedelta(hours=rule.hours),
    }
    with connection.cursor() as cursor:
        cursor.execute(_SHARES.format(mark=GOALS[rule.goal]), given)
        found = {variant: Share(n, hits) for variant, n, hits in cursor.fetchall()}
    ids = Variant.objects.filter(broadcast=broadcast).values_list("pk", flat=True)
    return {pk: found.get(pk, Share(0, 0)) for pk in ids}


def moments_of(broadcast_id: int) -> list[datetime]:
    """The few moments for which its touches were planned: with them the ledger is read once, not once for each task."""
    rows = SendTask.objects.filter(broadcast=broadcast_id).order_by().values_list("at", flat=True)
    return list(rows.distinct())


def compare(rule: Rule, found: Mapping[int, Share]) -> Look:
    """What the rule says of these numbers."""
    return sequential.look(
        found,
        spread=sequential.USUAL_DIFFERENCE[rule.goal],
        confidence=rule.confidence / 100,
        least=rule.least,
    )


@dataclass(frozen=True)
class Test:
    """A comparison as a page shows it.

    Attributes:
        rows: (content, its share, whether it is the winner).
        rest: the wave that waits for the winner or has got it; None: everybody was in the test.
        is_to_come: the comparison itself has not gone out yet, so nobody chooses.
    """

    rule: Rule
    look: Look
    rows: list[tuple[Variant, Share, bool]]
    rest: Wave | None
    winner: Variant | None
    leader: Variant | None
    is_to_come: bool

    @property
    def certainty(self) -> float:
        """Per cent; what the confidence is compared with."""
        return max(0.0, 100 * (1 - self.look.p))

    @property
    def points(self) -> tuple[float, float]:
        """By how many per cent points the leader is better."""
        return 100 * self.look.low, 100 * self.look.high


def test_of(brand: Brand, broadcast: Broadcast) -> Test | None:
    """How the comparison stands; None: there is none."""
    rule = rule_of(broadcast)
    if rule is None:
        return None
    found = shares(brand, broadcast, rule) if broadcast.launched_at else {}
    variants = {v.pk: v for v in Variant.objects.filter(broadcast=broadcast).order_by("letter")}
    seen = compare(rule, found)
    rest = Wave.objects.filter(broadcast=broadcast, condition__winner=True).first()
    rows = [(v, found.get(pk, Share(0, 0)), pk == broadcast.winner_id) for pk, v in variants.items()]
    winner, leader = variants.get(broadcast.winner_id or 0), variants.get(seen.leader or 0)
    return Test(rule, seen, rows, rest, winner, leader, _is_to_come(broadcast.pk))


# ---- decide


def look_at_all(brand: Brand) -> int:
    """Name winners that the rules have found, and send them to the rest where that is wished; gives how many."""
    now = clock.now()
    with transaction.atomic():
        lately = Wave.objects.filter(broadcast=OuterRef("pk"), planned_at__gt=now - LOOKED_FOR)
        rows = Broadcast.objects.filter(
            Exists(lately), state__in=[Broadcast.State.ON, Broadcast.State.DONE], winner_id=None
        )
        waiting = list(rows.exclude(test={}).order_by("pk").values_list("pk", flat=True))
    return sum(_look_at(brand, broadcast_id, now) for broadcast_id in waiting)


@transaction.atomic
def _look_at(brand: Brand, broadcast_id: int, now: datetime) -> bool:
    broadcast = Broadcast.objects.get(pk=broadcast_id)
    rule = rule_of(broadcast)
    if rule is None:
        return False
    seen = compare(rule, shares(brand, broadcast, rule))
    variant_id, why = seen.winner, BY_RULE
    rest_waits = Wave.objects.filter(broadcast=broadcast, state=Wave.State.HELD).exists()
    if variant_id is None and rule.auto and rest_waits and _is_over(broadcast, rule, now):
        first = (
            Variant.objects.filter(broadcast=broadcast)
            .order_by("letter")
            .values_list("pk", flat=True)
            .first()
        )
        variant_id, why = seen.leader or first, BY_TIME
    if variant_id is None:
        return False
    gate.enter_gate(brand)
    if not Broadcast.objects.filter(pk=broadcast_id, winner_id=None).exists():
        return False  # somebody has chosen meanwhile
    return _name(brand, broadcast_id, variant_id, why, by=SYSTEM, release=rule.auto)


def _is_over(broadcast: Broadcast, rule: Rule, now: datetime) -> bool:
    """Counted from the moment for which the comparison was planned: a launch may be days before it, quiet hours hold it."""
    first = Wave.objects.get(broadcast=broadcast, n=1)
    went_out = min(moments_of(broadcast.pk), default=first.planned_at)
    return went_out is not None and now >= went_out + timedelta(hours=rule.wait_hours)


def _is_to_come(broadcast_id: int) -> bool:
    """Whether the comparison is not planned yet. Its people would be among the rest then, and get both."""
    return Wave.objects.filter(broadcast=broadcast_id, n=1, state=Wave.State.WAITING).exists()


@transaction.atomic
def choose(brand: Brand, *, broadcast_id: int, variant_id: int, by: Actor) -> None:
    """Somebody says which content the rest gets, before the rule has spoken or after it.

    Raises:
        ConflictError: nobody waits for it any more, or the comparison is still to come.
    """
    gate.enter_gate(brand)
    if not Broadcast.objects.filter(pk=broadcast_id).exists():
        raise NotFoundError()
    if not Variant.objects.filter(broadcast=broadcast_id, pk=variant_id).exists():
        raise InvalidError(_("Unknown content"), fields={"variant": _("Unknown content")})
    if not Wave.objects.filter(broadcast=broadcast_id, state=Wave.State.HELD).exists():
        raise ConflictError(_("Nobody waits for the winner any more"))
    if _is_to_come(broadcast_id):
        raise ConflictError(_("The comparison has not gone out yet. Its winner is chosen afterwards."))
    _name(brand, broadcast_id, variant_id, by.name, by=by, release=True)


def _name(brand: Brand, broadcast_id: int, variant_id: int, why: str, *, by: Actor, release: bool) -> bool:
    from campaigns.tasks import plan_waves

    now = clock.now()
    broadcast = Broadcast.objects.select_for_update().get(pk=broadcast_id)
    if broadcast.state not in (Broadcast.State.ON, Broadcast.State.PAUSED, Broadcast.State.DONE):
        return False
    broadcast.winner_id, broadcast.winner_at, broadcast.winner_by = variant_id, now, why[:64]
    broadcast.save(update_fields=["winner_id", "winner_at", "winner_by"])
    letter = Variant.objects.values_list("letter", flat=True).get(pk=variant_id)
    audit.record(by, "broadcast.winner", broadcast, after={"content": letter, "why": why})
    if release:
        Wave.objects.filter(broadcast=broadcast, state=Wave.State.HELD).update(
            state=Wave.State.WAITING, at=now
        )
        plan_waves.delay_on_commit(brand_id=brand.pk)
    return True
