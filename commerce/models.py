"""商品与订单: what a brand sells, what its customers bought and what they got back."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact, Identity
from org.models import Staff, Store
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class Product(TenantModel):
    """商品. `usage_days` says for how long one lasts (a 90-day pack): the next purchase is expected then."""

    sku = models.CharField(_("Product number"), max_length=64)
    name = models.CharField(_("Name"), max_length=200)
    category = models.CharField(_("Category"), max_length=60, blank=True)
    price_fen = models.BigIntegerField(_("Price"), default=0)
    usage_days = models.SmallIntegerField(_("Lasts for days"), null=True)
    is_active = models.BooleanField(_("On sale"), default=True)
    updated_at = models.DateTimeField(default=clock.now)  # of the newest telling: older ones change nothing
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "sku"], name="product_sku")]
        indexes = [models.Index(fields=["brand", "category", "-id"], name="product_category")]

    def __str__(self) -> str:
        return self.name


class Order(TenantModel):
    """订单. Written by commerce/services/orders.py only, which keeps `is_sale`, `refunded_fen` and the
    customer's ContactStat with it.

    While nobody is known by the buyer's identity (`buyer_*`), `contact` is empty: the order waits.
    """

    class State(models.IntegerChoices):
        UNPAID = 1, _("Not paid")
        PAID = 2, _("Paid")
        SHIPPED = 3, _("Shipped")
        DONE = 4, _("Done")
        CLOSED = 5, _("Closed")

    source = models.CharField(max_length=20)  # of the numbers: api, import, mini-program, pos …
    order_no = models.CharField(_("Order number"), max_length=64)
    # without keys in Postgres: whoever gives an order a customer holds the customer's row (services/owners.py), staff is
    # never deleted
    contact = BrandForeignKey(
        Contact, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    buyer_kind = models.CharField(max_length=16, choices=Identity.Kind, blank=True)
    buyer_scope = models.CharField(max_length=64, blank=True)
    buyer_value = models.CharField(max_length=64, blank=True)
    placed_at = models.DateTimeField(_("Ordered"))
    paid_at = models.DateTimeField(_("Paid"), null=True)
    amount_fen = models.BigIntegerField(_("Amount"))  # paid or to be paid, before refunds
    refunded_fen = models.BigIntegerField(_("Refunded"), default=0)
    n_items = models.IntegerField(default=0)
    state = models.SmallIntegerField(_("State"), choices=State)
    # paid, not closed, not wholly refunded: what counts in every figure; net = amount_fen - refunded_fen
    is_sale = models.BooleanField(default=False)
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False)
    store = BrandForeignKey(Store, on_delete=models.PROTECT, null=True, related_name="+")
    channel = models.CharField(
        _("Channel"), max_length=30, blank=True
    )  # where it was sold, the source's word
    is_told = models.BooleanField(default=False)  # its ORDER_PAID is on the customer's timeline
    updated_at = models.DateTimeField()  # the source's time of the newest telling
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "order_no", "source"], name="order_once")]
        indexes = [
            models.Index(
                fields=["brand", "paid_at"],
                include=["contact", "amount_fen", "refunded_fen", "is_sale"],
                name="order_paid",
            ),
            models.Index(fields=["brand", "contact", "-paid_at"], name="order_contact"),
            models.Index(fields=["brand", "-placed_at", "-id"], name="order_newest"),
            models.Index(
                fields=["brand", "staff", "-placed_at", "-id"],
                name="order_staff",
                condition=Q(staff__isnull=False),
            ),
            models.Index(
                fields=["brand", "buyer_kind", "buyer_scope", "buyer_value"],
                name="order_buyer",
                condition=Q(contact__isnull=True),
            ),
            models.Index(
                fields=["brand", "-placed_at", "-id"], name="order_waiting", condition=Q(contact__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.order_no


class OrderLine(KeyedTenantModel):
    """订单明细: one product of an order. `product` is empty for a number that the brand has not told us."""

    pk = models.CompositePrimaryKey("brand", "order", "n")
    order = BrandForeignKey(Order, on_delete=models.CASCADE, related_name="+")
    n = models.SmallIntegerField()
    product = BrandForeignKey(Product, on_delete=models.PROTECT, null=True, related_name="+")
    sku = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=200, blank=True)
    quantity = models.IntegerField(default=1)
    amount_fen = models.BigIntegerField(default=0)  # of the whole line

    class Meta:
        indexes = [
            models.Index(
                fields=["brand", "product", "order"], name="line_product", condition=Q(product__isnull=False)
            ),
            # lines that wait for their product to be told
            models.Index(
                fields=["brand", "sku"], name="line_sku", condition=Q(product__isnull=True) & ~Q(sku="")
            ),
        ]


class Refund(TenantModel):
    """退款. One that comes before its order waits with `order` empty."""

    source = models.CharField(max_length=20)
    refund_no = models.CharField(_("Refund number"), max_length=64)
    order_no = models.CharField(_("Order number"), max_length=64)
    order = BrandForeignKey(Order, on_delete=models.PROTECT, null=True, related_name="+")
    amount_fen = models.BigIntegerField(_("Amount"))
    refunded_at = models.DateTimeField(_("Refunded"))
    reason = models.CharField(_("Reason"), max_length=200, blank=True)
    is_cancelled = models.BooleanField(default=False)  # taken back by the source: the money stayed
    is_told = models.BooleanField(default=False)  # its ORDER_REFUNDED is on the customer's timeline
    updated_at = models.DateTimeField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "source", "refund_no"], name="refund_once")]
        indexes = [
            models.Index(fields=["brand", "order"], name="refund_order", condition=Q(order__isnull=False)),
            models.Index(
                fields=["brand", "source", "order_no"],
                name="refund_waiting",
                condition=Q(order__isnull=True),
            ),
        ]
