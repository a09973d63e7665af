"""What a test of a broadcast or of an SOP's message says, and of whom (content/services/trial.py sends it)."""

from typing import Any

from campaigns.graph.shape import Node, tidy
from campaigns.models import Broadcast, Sop
from campaigns.services.graphs import graphs
from campaigns.services.journeys import slots
from campaigns.services.sending import senders
from contacts.models import Contact
from content.services import library, trial
from content.services.trial import Draft
from org.models import Staff
from scrm.errors import InvalidError, NotFoundError
from tagging.conditions import ConditionError
from tagging.services.segments import audience
from tagging.services.segments.audience import Audience
from tenants.models import Brand

EVERYBODY: dict[str, Any] = {"condition": {"kind": "follow", "values": ["reachable"]}}


def of_audience(brand: Brand, given: dict[str, Any], staff: Staff | None) -> list[int]:
    """Some customers of a broadcast's audience whom a person may see; none where it cannot be read, and of everybody."""
    if "contacts" in given:
        return list(given["contacts"][: trial.FOUND])
    if "segment" in given:
        raw: Any = {"kind": "segment", "mode": "any", "ids": [given["segment"]]}
    else:
        raw = given.get("condition")
    if raw == EVERYBODY["condition"]:
        return []
    try:
        return Audience(brand, audience.read(brand, raw), staff=staff).count_and_sample(trial.FOUND)[1]
    except ConditionError:
        return []


def guide_of(brand: Brand, contact: Contact) -> Staff | None:
    """From whom a customer would hear: as the brand chooses among several guides."""
    chosen = senders.choose(brand, [contact.pk]).get(contact.pk)
    return Staff.objects.select_related("store").get(pk=chosen.staff_id) if chosen else None


def content_of(brand: Brand, broadcast: Broadcast, letter: str) -> Draft:
    """A content of a broadcast.

    Raises:
        NotFoundError: it has none of this letter.
    """
    row = broadcast.variants.filter(letter=letter).first()
    if row is None:
        raise NotFoundError()
    return Draft(row.text, row.attachments)


def node_of(sop: Sop, node_id: str) -> Node:
    """A node of the draft.

    Raises:
        NotFoundError
    """
    nodes = tidy(sop.draft or graphs.EMPTY)["nodes"]
    found = next((node for node in nodes if node["id"] == node_id), None)
    if found is None:
        raise NotFoundError()
    return found


def message_of(brand: Brand, node: Node) -> Draft:
    """What a node of the canvas would say now.

    Raises:
        InvalidError: it sends no message, or what it would send cannot be sent.
        NotFoundError: the library does not have it any more.
    """
    if node["kind"] in slots.CONTENTS:
        if (said := slots.content_of(brand, node)) is None:
            raise InvalidError(trial.nothing_to_send())
        return Draft(*said)
    if node["kind"] != "touch":
        raise InvalidError(trial.nothing_to_send())
    if node.get("content_id"):
        found = library.usable(brand, node["content_id"])
        return Draft(found.text, found.attachments)
    return Draft(node.get("text") or "", node.get("attachments") or [])
