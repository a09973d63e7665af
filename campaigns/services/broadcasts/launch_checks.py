"""What keeps a broadcast from being launched or approved, and a wave from going out, that was right when it was written:
content that has been put away, has expired or says what is refused by now; later waves whose time is over, or that ask
about a wave which quiet hours hold until after them. What is only warned of: asking who opened what nobody can be seen to
open."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from campaigns import governance
from campaigns.models import Broadcast, Wave
from campaigns.services.governance import rules
from content.services import library, links, sensitive
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand


def check_launch(brand: Brand, broadcast: Broadcast) -> None:
    """Whether it may be launched or approved now.

    Raises:
        InvalidError: its content may not be sent now, or will not when a wave goes out; a later wave would go out
            together with the first one, because it was launched later than meant; or it goes to those who did (not) do
            something about a wave that nobody has got by then.
    """
    check_content(brand, broadcast)
    now, before_at = clock.now(), clock.now()
    for wave in Wave.objects.filter(broadcast=broadcast).order_by("n"):
        if wave.n > 1 and wave.at <= now:
            text = _(
                "The time of wave %(n)s is over: it would go out together with the first one. Give it a later time."
            ) % {"n": wave.n}
            raise InvalidError(text, code="wave_over", fields={"waves": text})
        if wave.condition.get("after") and wave.at <= before_at:
            held = f"{before_at.astimezone(ZoneInfo(brand.timezone)):%m-%d %H:%M}"
            text = _(
                "Quiet hours hold wave %(before)s until %(at)s: nobody would have got it when wave %(n)s asks who did."
                " Give wave %(n)s a later time."
            ) % {"before": wave.n - 1, "at": held, "n": wave.n}
            raise InvalidError(text, code="wave_held", fields={"waves": text})
        before_at = at = goes_out_at(brand, wave.at)
        if at > now:
            try:
                check_content(brand, broadcast, at)
            except InvalidError as error:
                words = {"n": wave.n, "error": error.message}
                text = _("When wave %(n)s goes out: %(error)s") % words
                raise InvalidError(text, code=error.code, fields={"variants": text}) from error


def goes_out_at(brand: Brand, at: datetime) -> datetime:
    """When the messages of a wave planned for `at` are handed over: not in the past, and behind quiet hours."""
    allowed = rules.rules_of(brand)
    return governance.release_at(max(clock.now(), at), allowed.quiet, allowed.zone)


def problem_of(brand: Brand, broadcast: Broadcast) -> str:
    """Why `check_launch` would refuse it now, in words; "" where it would not, or was launched."""
    if broadcast.state not in (Broadcast.State.DRAFT, Broadcast.State.APPROVAL):
        return ""
    try:
        check_launch(brand, broadcast)
    except InvalidError as error:
        return str(error.message)
    return ""


def warnings_of(brand: Brand, broadcast: Broadcast) -> list[str]:
    """What may be launched and will not do what is meant: waves and comparisons that ask who opened a message without a
    tracked link, of which nobody ever hears that it was opened."""
    condition = {wave.n: wave.condition.get("after") for wave in broadcast.waves.order_by("n")}
    asking = {n: after for n, after in condition.items() if after in ("opened", "not_opened")}
    compares = broadcast.test.get("goal") == "opened"
    if not asking and not compares:
        return []
    blind = [
        variant.letter
        for variant in broadcast.variants.order_by("letter")
        if not links.names_openers(variant.text, variant.attachments)
    ]
    if not blind:
        return []
    said = []
    for n, after in asking.items():
        words = {"letters": _(", ").join(blind), "n": n}
        if after == "opened":
            text = _("Content %(letters)s has no tracked link: nobody who gets it comes into wave %(n)s.")
        else:
            text = _(
                "Content %(letters)s has no tracked link, so nobody is seen to open it: wave %(n)s goes to everybody who got"
                " it, also to those who have read it."
            )
        said.append(text % words)
    if compares:
        text = _(
            "The comparison asks who opens it, and content %(letters)s has no tracked link: it cannot win."
        )
        said.append(text % {"letters": _(", ").join(blind)})
    return said


def check_content(brand: Brand, broadcast: Broadcast, at: datetime | None = None) -> None:
    """Whether what was written may be sent at `at` (default: now).

    Raises:
        InvalidError: what comes from the library has expired or was put into the archive meanwhile; or the brand refuses
            words of it by now.
    """
    for letter, version in broadcast.variants.exclude(content_id=None).values_list("letter", "content_id"):
        try:
            library.usable_version(brand, version or 0, at)
        except InvalidError as error:
            text = _("Content %(letter)s: %(error)s") % {"letter": letter, "error": error.message}
            raise InvalidError(text, code=error.code, fields={"variants": text}) from error
    for variant in broadcast.variants.all():
        if said := sensitive.refused_now(brand, variant.text, variant.attachments):
            text = _("Content %(letter)s: %(error)s") % {"letter": variant.letter, "error": said}
            raise InvalidError(text, code="sensitive_words", fields={"variants": text})
