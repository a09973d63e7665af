"""The product album (商品图册) that members send from in the client. Page 95096."""

import re
from collections.abc import Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_bytes, at_most_chars, needed
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import InvalidMessage

_API = "externalcontact"
MAX_PRICE_FEN = 5_000_000


class Product(TypedDict, total=False):
    product_id: str
    description: str
    price: int  # fen
    create_time: int
    product_sn: str
    attachments: list[dict[str, Any]]  # {"type": "image", "image": {"media_id": …}}


def add_product(
    client: WeComClient, *, description: str, price_fen: int, media_ids: Sequence[str], number: str = ""
) -> str:
    """Put a product into the album; gives its product_id.

    Args:
        description: ≤ 300 characters.
        price_fen: ≤ 5,000,000.
        media_ids: 1 to 9 pictures from `media.upload_attachment(…, album=True)`.
        number: the shop's own, ≤ 128 letters and digits.

    Raises:
        LostAnswer: perhaps made; look with `products` and compare.
    """
    needed(_("Description"), description)
    needed(_("Pictures"), media_ids)
    body = _body(description, price_fen, media_ids, number or None)
    api = f"{_API}/add_product_album"
    return answered(client.call("POST", api, body=body), api, "product_id")


def product(client: WeComClient, product_id: str) -> Product:
    answer = client.call(
        "POST", f"{_API}/get_product_album", body={"product_id": product_id}, repeatable=True
    )
    return cast(Product, answer.get("product") or {})


def products(client: WeComClient) -> list[Product]:
    return cast(
        list[Product], list(rows(client, f"{_API}/get_product_album_list", {"limit": 100}, "product_list"))
    )


def update_product(
    client: WeComClient,
    product_id: str,
    *,
    description: str | None = None,
    price_fen: int | None = None,
    media_ids: Sequence[str] | None = None,
    number: str | None = None,
) -> None:
    """Change what is given; pictures are replaced as a whole."""
    body = {"product_id": product_id, **_body(description, price_fen, media_ids, number)}
    client.call("POST", f"{_API}/update_product_album", body=body, repeatable=True)


def delete_product(client: WeComClient, product_id: str) -> None:
    """Take a product out of the album."""
    client.call("POST", f"{_API}/delete_product_album", body={"product_id": product_id}, repeatable=True)


def _body(
    description: str | None, price_fen: int | None, media_ids: Sequence[str] | None, number: str | None
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if description is not None:
        at_most_chars(_("Description"), description, 300)
        body["description"] = description
    if price_fen is not None:
        if not 0 <= price_fen <= MAX_PRICE_FEN:
            raise InvalidMessage(_("The price is between 0 and 50,000 yuan"))
        body["price"] = price_fen
    if media_ids is not None:
        needed(_("Pictures"), media_ids)
        at_most(_("Pictures"), media_ids, 9)
        body["attachments"] = [{"type": "image", "image": {"media_id": id}} for id in media_ids]
    if number is not None:
        at_most_bytes(_("Product number"), number, 128)
        if not re.fullmatch(r"[A-Za-z0-9]*", number):
            raise InvalidMessage(_("A product number has letters and digits only"))
        body["product_sn"] = number
    return body
