"""客户: one module for each topic; import the models from here."""

from contacts.models.behaviour import BehaviourKind, WaitingBehaviour
from contacts.models.events import Event, EventKey, EventType, OutboxPosition
from contacts.models.merges import Merge, NotSame
from contacts.models.people import (
    BrandCounter,
    Contact,
    ContactGram,
    ContactQuerySet,
    Follow,
    Identity,
    SavedView,
    Stage,
    visible_follows,
)
from contacts.models.profile import CustomField, CustomValue, Reminder
from contacts.models.stats import ContactStat

__all__ = [
    "BehaviourKind",
    "BrandCounter",
    "Contact",
    "ContactGram",
    "ContactQuerySet",
    "ContactStat",
    "CustomField",
    "CustomValue",
    "Event",
    "EventKey",
    "EventType",
    "Follow",
    "Identity",
    "Merge",
    "NotSame",
    "OutboxPosition",
    "Reminder",
    "SavedView",
    "Stage",
    "WaitingBehaviour",
    "visible_follows",
]
