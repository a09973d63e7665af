"""The question before a broadcast goes out: how many people get how many messages, when, and from how many guides."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.models import Broadcast
from campaigns.services.broadcasts.dry_run import DryRun
from campaigns.services.governance.rules import policy_of
from scrm import clock
from tenants.models import Brand

NIGHT, MORNING = time(22), time(8)
_REPEATS = {
    "day": gettext_lazy(
        "Every day it goes out again, until %(on)s; who gets it is worked out anew each time."
    ),
    "week": gettext_lazy(
        "Every week it goes out again, until %(on)s; who gets it is worked out anew each time."
    ),
    "month": gettext_lazy(
        "Every month it goes out again, until %(on)s; who gets it is worked out anew each time."
    ),
}


def launch_words(brand: Brand, broadcast: Broadcast, run: DryRun) -> str:
    """What a launch (or an approval) would do, a sentence a line; the figures are those of the dry run beside it."""
    if run.problem:
        return str(run.problem)
    if not run.planned:
        return "\n".join([_("Nobody would get it now: below it says why."), *_waiting(brand, run)])
    said = [
        _who(run),
        when_words(brand, run.at, is_held=run.is_held),
        *at_night(brand, run.at),
        *_held(brand, run),
        *_compared(broadcast),
        *_later(brand, broadcast),
    ]
    said += run.warnings
    if broadcast.state == Broadcast.State.DRAFT and policy_of(brand).needs_approval:
        said.append(_("A second person has to approve it first."))
    said.append(_("Guides confirm it by hand in WeCom; what is sent cannot be taken back."))
    return "\n".join(said)


def _who(run: DryRun) -> str:
    people = ngettext(
        "%(n)s customer gets one message", "%(n)s customers get one message each", run.planned
    ) % {"n": f"{run.planned:,}"}
    guides = ngettext("from %(n)s guide", "from %(n)s guides", run.n_guides) % {"n": f"{run.n_guides:,}"}
    tasks = ngettext("%(n)s send task to confirm", "%(n)s send tasks to confirm", run.n_tasks) % {
        "n": f"{run.n_tasks:,}"
    }
    return _("%(people)s %(guides)s (%(tasks)s).") % {"people": people, "guides": guides, "tasks": tasks}


def when_words(brand: Brand, at: datetime, *, is_held: bool) -> str:
    """At once, at a moment, or behind quiet hours."""
    local = f"{at.astimezone(ZoneInfo(brand.timezone)):%Y-%m-%d %H:%M}"
    if is_held:
        return _("Quiet hours hold it until %(at)s.") % {"at": local}
    if at <= clock.now():
        return _("It goes out at once.")
    return _("It goes out at %(at)s.") % {"at": local}


def at_night(brand: Brand, at: datetime) -> list[str]:
    """Where the brand has set no quiet hours at all, or others: a phone that rings at night is remembered."""
    local = max(at, clock.now()).astimezone(ZoneInfo(brand.timezone)).time()
    if MORNING <= local < NIGHT:
        return []
    return [_("That is %(at)s, at night, and no quiet hours hold it.") % {"at": f"{local:%H:%M}"}]


def _held(brand: Brand, run: DryRun) -> list[str]:
    if not run.n_held:
        return []
    return [
        ngettext(
            "%(n)s more of the audience is left out; the reasons are on the page.",
            "%(n)s more of the audience are left out; the reasons are on the page.",
            run.n_held,
        )
        % {"n": f"{run.n_held:,}"},
        *_waiting(brand, run),
    ]


def _waiting(brand: Brand, run: DryRun) -> list[str]:
    if not run.n_busy or run.waits_until is None:
        return []
    words = ngettext(
        "%(n)s of these waits until %(at)s or a later day: the guide has enough to confirm.",
        "%(n)s of these wait until %(at)s or a later day: their guides have enough to confirm.",
        run.n_busy,
    )
    local = f"{run.waits_until.astimezone(ZoneInfo(brand.timezone)):%Y-%m-%d %H:%M}"
    return [words % {"n": f"{run.n_busy:,}", "at": local}]


def _compared(broadcast: Broadcast) -> list[str]:
    percent = broadcast.test.get("percent") or 100
    if percent >= 100:
        return []
    return [_("These are the %(n)s %% in the comparison; the rest gets the winner.") % {"n": percent}]


def _later(brand: Brand, broadcast: Broadcast) -> list[str]:
    """Later waves and repetitions: at most one more message each, to whom it is decided then."""
    zone, said = ZoneInfo(brand.timezone), []
    if later := [wave.at for wave in broadcast.waves.order_by("n") if wave.n > 1]:
        moments = _(", ").join(f"{at.astimezone(zone):%m-%d %H:%M}" for at in later)
        said.append(
            ngettext(
                "%(n)s wave follows (%(moments)s): at most one more message for each, to whom is decided then.",
                "%(n)s waves follow (%(moments)s): at most one more message each time, to whom is decided then.",
                len(later),
            )
            % {"n": len(later), "moments": moments}
        )
    if every := broadcast.repeat.get("every"):
        until = datetime.fromisoformat(broadcast.repeat["until"]).astimezone(zone)
        said.append(str(_REPEATS[every]) % {"on": f"{until:%Y-%m-%d}"})
    return said
