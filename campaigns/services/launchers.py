"""Whoever launched something hears in WeCom what became of it."""

from campaigns.models import Broadcast, Moment
from org.models import Staff
from tenants.models import Brand
from wecom.services.notices import notify_staff


def tell(brand: Brand, what: Broadcast | Moment, *, key: str, text: str, url: str) -> None:
    """A notice to who launched it, else to who wrote it, once for a key; to nobody where that was an SOP or an API key."""
    tell_user(brand, what.launched_by_user_id or what.created_by_user_id, key=key, text=text, url=url)


def tell_user(brand: Brand, user_id: int | None, *, key: str, text: str, url: str) -> None:
    """A notice to a user, once for a key; to nobody where it is none of them."""
    person = Staff.objects.select_related("corp").filter(user_id=user_id).first() if user_id else None
    if person is not None:
        notify_staff(brand, staff=person, key=key, text=text, url=url)
