"""What a guide sends from the chat: content of the library in the form of the JS SDK's sendChatMessage."""

from collections.abc import Sequence
from typing import Any

from contacts.models import Contact
from content import variables
from content.models import Poster
from content.services import poster_pictures, posters, sensitive
from content.services.poster_pictures import Drawing
from org.models import Corp, Staff
from tenants.models import Brand
from tenants.scoping import tenant_scope
from wecom.api import media
from wecom.client import client_for
from wecom.services import attachments


def filled(brand: Brand, text: str, *, contact: Contact, staff: Staff) -> str:
    """A text as this customer gets it from this guide. The staff's store has to be loaded."""
    return variables.render(text, variables.values_for(brand=brand, staff=staff, customer=contact.name))


def drawn(brand: Brand, poster: Poster, *, staff: Staff, contact: Contact | None = None) -> Drawing:
    """A poster with the guide's code, or with that of the customer who is to pass it on, for poster_pictures.draw.

    Raises:
        InvalidError: it says what the brand refuses by now, or a channel code on it was deleted.
    """
    sensitive.check(brand, posters.words_of(poster))
    return poster_pictures.plan(brand, poster, staff=staff, contact=contact)


def picture_message(corp: Corp, name: str, data: bytes) -> dict[str, Any]:
    """A drawn picture as a message of sendChatMessage. Calls WeCom: outside a transaction."""
    return {
        "msgtype": "image",
        "image": {"mediaid": media.upload(client_for(corp), "image", f"{name}.jpg", data)},
    }


def messages_of(
    brand: Brand, attached: Sequence[dict[str, Any]], *, text: str, corp: Corp
) -> list[dict[str, Any]]:
    """Text and attachments as messages of sendChatMessage, text first, files uploaded where needed. Calls WeCom:
    outside a transaction.

    Source: developer.work.weixin.qq.com/document/path/94347 (sendChatMessage)
    """
    found: list[dict[str, Any]] = [{"msgtype": "text", "text": {"content": text}}] if text else []
    if not attached:
        return found
    with tenant_scope(brand):  # without a transaction: it opens its own short ones
        ready = attachments.to_wecom(corp, client_for(corp), attached)
    for given in ready:
        kind = given["msgtype"]
        fields: dict[str, Any] = dict(given[kind])
        if kind == "link":
            news = {"link": fields["url"], "title": fields["title"]}
            news |= {"desc": fields.get("desc", ""), "imgUrl": fields.get("picurl", "")}
            found.append({"msgtype": "news", "news": news})
        elif kind == "miniprogram":
            # the chat wants a picture's address where a mass message wants a file; without one WeCom shows the logo
            card = {"appid": fields["appid"], "title": fields["title"], "page": fields["page"], "imgUrl": ""}
            found.append({"msgtype": kind, kind: card})
        else:
            found.append({"msgtype": kind, kind: {"mediaid": fields["media_id"]}})
    return found
