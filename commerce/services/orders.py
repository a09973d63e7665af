"""订单: orders and refunds as they are told, by whoever tells them, as often as they are told."""

from collections.abc import Sequence

from commerce.models import OrderLine

MAX_WORDS = 3


def words_of(order_ids: Sequence[int]) -> dict[int, str]:
    """What was bought, by order id: the first products of each with their quantity."""
    found: dict[int, list[str]] = {}
    lines = OrderLine.objects.filter(order__in=order_ids, n__lte=MAX_WORDS + 1).order_by("order", "n")
    for order_id, name, sku, quantity in lines.values_list("order_id", "name", "sku", "quantity"):
        words = name or sku
        if words:
            found.setdefault(order_id, []).append(f"{words} ×{quantity}" if quantity != 1 else words)
    return {
        order_id: "、".join(words[:MAX_WORDS]) + ("…" if len(words) > MAX_WORDS else "")
        for order_id, words in found.items()
    }
