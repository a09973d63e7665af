"""What a guide reads: one message of all that is due, customer by customer, the newest first."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.models import Alert
from contacts.models import Event
from contacts.sentences import Line, lines

SHOWN = 8  # customers in one message
PER_PERSON = 3  # things of one customer
CUSTOMER_URL, LIST_URL = "/g/customers/{}/", "/g/customers/"  # of guides/urls.py


@dataclass
class Words:
    """A message: its first line is the title of the card, `url` what the card opens.

    Attributes:
        titles: {contact: what is said of them}, for their timelines.
    """

    text: str = ""
    url: str = ""
    titles: dict[int, str] = field(default_factory=dict)


def texts(sends: Mapping[int, Sequence[Alert]]) -> dict[int, Words]:
    """{guide: message}; a constant number of queries however many."""
    everything = [alert for alerts in sends.values() for alert in alerts]
    said = {alert.event_id: _one(line) for alert, line in zip(everything, lines_of(everything), strict=True)}
    found = {}
    for staff_id, alerts in sends.items():
        by_contact: dict[int, list[Alert]] = defaultdict(list)
        for alert in sorted(alerts, key=lambda a: a.at, reverse=True):
            by_contact[alert.contact_id].append(alert)
        found[staff_id] = _message(by_contact, said)
    return found


def lines_of(alerts: Sequence[Alert]) -> list[Line]:
    """What happened, a sentence for each alert."""
    events = [
        Event(
            pk=alert.event_id, at=alert.at, contact_id=alert.contact_id, type=alert.type, staff_id=alert.staff_id,
            object_id=alert.object_id, source="", data=alert.data,
        )
        for alert in alerts
    ]  # fmt: skip
    return lines(events)


def _one(line: Line) -> str:
    return f"{line.text} ({line.detail[:60]})" if line.detail else line.text


def _message(by_contact: Mapping[int, Sequence[Alert]], said: Mapping[int, str]) -> Words:
    words = Words()
    for contact_id, alerts in by_contact.items():
        once = list(dict.fromkeys(said[alert.event_id] for alert in alerts))
        more = f" +{len(once) - PER_PERSON}" if len(once) > PER_PERSON else ""
        words.titles[contact_id] = "; ".join(once[:PER_PERSON]) + more
    names = {
        contact_id: alerts[0].contact.name or _("A customer") for contact_id, alerts in by_contact.items()
    }
    if len(by_contact) == 1:
        ((contact_id, title),) = words.titles.items()
        words.text = f"{names[contact_id]}\n{title}"
        words.url = CUSTOMER_URL.format(contact_id)
        return words
    n = len(by_contact)
    head = ngettext("%(n)s customer is active", "%(n)s customers are active", n) % {"n": n}
    rows = [f"{names[contact_id]}: {title}" for contact_id, title in list(words.titles.items())[:SHOWN]]
    if n > SHOWN:
        rows.append(_("and %(n)s more") % {"n": n - SHOWN})
    words.text = "\n".join([head, *rows])
    words.url = LIST_URL
    return words
