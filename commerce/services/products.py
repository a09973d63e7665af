"""商品: what is known of products."""

from collections.abc import Sequence

from commerce.models import Product


def names_of(product_ids: Sequence[int]) -> dict[int, str]:
    """Names of products by id."""
    return dict(Product.objects.filter(pk__in=product_ids).values_list("pk", "name"))
