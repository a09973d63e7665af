"""客户: one module for each topic; import the models from here."""

from contacts.models.people import (
    BrandCounter,
    Contact,
    ContactGram,
    ContactQuerySet,
    Event,
    EventKey,
    EventType,
    Follow,
    Identity,
    OutboxPosition,
    SavedView,
    visible_follows,
)

__all__ = [
    "BrandCounter",
    "Contact",
    "ContactGram",
    "ContactQuerySet",
    "Event",
    "EventKey",
    "EventType",
    "Follow",
    "Identity",
    "OutboxPosition",
    "SavedView",
    "visible_follows",
]
