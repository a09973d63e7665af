"""REST API of products, orders and refunds: batches in, keyset pages out."""

from collections.abc import Sequence
from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from commerce.models import Order, OrderLine, Product, Refund
from commerce.services import orders, products
from contacts.identities import readable
from scrm.api_batch import BatchOut, BuyerIn, answer, batch_in, rows_of, source_of, with_buyer
from scrm.api_body import Body, Id
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_moment, asked_number, asked_word
from scrm.errors import NotFoundError

SIZE = 50
MAX_FEN = 10**11
STATES = {state.name.lower(): state for state in Order.State}


class ProductIn(Body):
    """What is not given stays as it is."""

    sku = serializers.CharField(max_length=64)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    category = serializers.CharField(max_length=60, required=False, allow_blank=True)
    price_fen = serializers.IntegerField(min_value=0, max_value=MAX_FEN, required=False)
    usage_days = serializers.IntegerField(min_value=1, max_value=3650, required=False, allow_null=True)
    is_active = serializers.BooleanField(required=False)
    updated_at = serializers.DateTimeField(required=False, help_text="the source's time of this state")


class ProductOut(serializers.Serializer):
    id = serializers.IntegerField()
    sku = serializers.CharField()
    name = serializers.CharField()
    category = serializers.CharField()
    price_fen = serializers.IntegerField()
    usage_days = serializers.IntegerField(allow_null=True, help_text="for how long one lasts")
    is_active = serializers.BooleanField()
    updated_at = serializers.DateTimeField()


class LineIn(Body):
    sku = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    name = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    quantity = serializers.IntegerField(min_value=0, max_value=1_000_000, default=1)
    amount_fen = serializers.IntegerField(
        min_value=0, max_value=MAX_FEN, default=0, help_text="of the whole line"
    )


class OrderIn(Body):
    """The whole state of an order as the source has it now."""

    order_no = serializers.CharField(max_length=64)
    buyer = BuyerIn(required=False, help_text="or contact_id")
    contact_id = Id(required=False)
    placed_at = serializers.DateTimeField(required=False)
    paid_at = serializers.DateTimeField(required=False, allow_null=True)
    amount_fen = serializers.IntegerField(
        min_value=0, max_value=MAX_FEN, help_text="paid or to be paid, before refunds"
    )
    n_items = serializers.IntegerField(min_value=0, max_value=1_000_000, required=False)
    state = serializers.ChoiceField(
        choices=list(STATES), required=False, help_text="if not given: paid when there is a paid_at"
    )
    guide = serializers.CharField(
        max_length=64, required=False, allow_blank=True, help_text="userid; else the customer's guide then"
    )
    store = serializers.CharField(
        max_length=60, required=False, allow_blank=True, help_text="number or name; else the guide's"
    )
    channel = serializers.CharField(max_length=30, required=False, allow_blank=True)
    updated_at = serializers.DateTimeField(
        required=False, help_text="the source's time of this state: an older one does not overwrite a newer"
    )
    lines = serializers.ListField(child=LineIn(), required=False, max_length=200)


class LineOut(serializers.Serializer):
    n = serializers.IntegerField()
    product_id = serializers.IntegerField(allow_null=True)
    sku = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    amount_fen = serializers.IntegerField()


class RefundOut(serializers.Serializer):
    id = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    refund_no = serializers.CharField()
    order_no = serializers.CharField()
    order_id = serializers.IntegerField(allow_null=True, help_text="empty: it waits for its order")
    amount_fen = serializers.IntegerField()
    refunded_at = serializers.DateTimeField()
    reason = serializers.CharField()
    is_cancelled = serializers.BooleanField()


class OrderOut(serializers.Serializer):
    id = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    order_no = serializers.CharField()
    contact_id = serializers.IntegerField(allow_null=True, help_text="empty: it waits for its buyer")
    buyer_kind = serializers.CharField()
    buyer_scope = serializers.CharField()
    buyer_value = serializers.CharField(
        help_text="of a phone number masked without the right `contacts.phones`"
    )
    placed_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    amount_fen = serializers.IntegerField()
    refunded_fen = serializers.IntegerField()
    n_items = serializers.IntegerField()
    state = serializers.ChoiceField(choices=list(STATES))
    is_sale = serializers.BooleanField(help_text="paid, not closed, not wholly refunded: counts in figures")
    staff_id = serializers.IntegerField(allow_null=True)
    store_id = serializers.IntegerField(allow_null=True)
    channel = serializers.CharField()
    updated_at = serializers.DateTimeField()


class OrderDetailOut(OrderOut):
    lines = LineOut(many=True)
    refunds = RefundOut(many=True)


class RefundIn(Body):
    refund_no = serializers.CharField(max_length=64)
    order_no = serializers.CharField(max_length=64)
    amount_fen = serializers.IntegerField(min_value=0, max_value=MAX_FEN)
    refunded_at = serializers.DateTimeField(required=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)
    is_cancelled = serializers.BooleanField(required=False, help_text="it was taken back: the money stayed")
    updated_at = serializers.DateTimeField(required=False)


def _page(request: Any, rows: Any, order: Sequence[str], shape: Any) -> JsonResponse:
    page = asked_page(request, rows, order, SIZE)
    return page_answer(shape(page.rows), page)


class ProductViewSet(viewsets.ViewSet):
    capabilities = {"list": "orders.view", "retrieve": "orders.view", "create": "orders.edit"}

    @extend_schema(
        operation_id="products_list",
        responses=page_out("ProductPage", ProductOut),
        parameters=[
            OpenApiParameter("sku", str, description="exactly this number"),
            OpenApiParameter("category", str, description="exactly this category"),
            *paged(SIZE),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/products/: newest first."""
        rows = Product.objects.all()
        for name in ("sku", "category"):
            if name in request.query_params:
                rows = rows.filter(**{name: request.query_params[name].replace("\x00", "")})
        return _page(request, rows, ("-pk",), lambda found: ProductOut(found, many=True).data)

    @extend_schema(operation_id="products_retrieve", responses=ProductOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/products/<id>/."""
        found = Product.objects.filter(pk=pk).first()
        if found is None:
            raise NotFoundError()
        return JsonResponse(ProductOut(found).data)

    @extend_schema(
        operation_id="products_record",
        request=batch_in("ProductBatch", ProductIn, with_source=False),
        responses=BatchOut,
    )
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/products/: products as they are now; safe to repeat."""
        return answer(
            rows_of(request), ProductIn, dict, lambda rows: products.record_products(request.brand, rows)
        )


class OrderViewSet(viewsets.ViewSet):
    capabilities = {"list": "orders.view", "retrieve": "orders.view", "create": "orders.edit"}

    @extend_schema(
        operation_id="orders_list",
        responses=page_out("OrderPage", OrderOut),
        parameters=[
            OpenApiParameter("contact", int),
            OpenApiParameter("guide", int, description="id of a staff member"),
            OpenApiParameter("store", int, description="id of a store"),
            OpenApiParameter("state", str, enum=list(STATES)),
            OpenApiParameter("source", str),
            OpenApiParameter("order_no", str, description="exactly this number, of any source"),
            OpenApiParameter("waiting", str, enum=["1"], description="only those whose buyer is not known"),
            OpenApiParameter("placed_after", str, description="ordered later than this moment"),
            OpenApiParameter("placed_before", str, description="ordered earlier than this moment"),
            *paged(SIZE),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/orders/: newest first. All filters given must hold."""
        rows = orders.filtered(
            contact_id=asked_number(request.query_params, "contact"),
            staff_id=asked_number(request.query_params, "guide"),
            store_id=asked_number(request.query_params, "store"),
            state=STATES.get(asked_word(request.query_params, "state", STATES)),
            source=request.query_params.get("source", ""),
            order_no=request.query_params.get("order_no", ""),
            is_waiting=bool(asked_word(request.query_params, "waiting", ["1"])),
            since=asked_moment(request.query_params, "placed_after"),
            until=asked_moment(request.query_params, "placed_before"),
        )
        return _page(request, rows, ("-placed_at", "-pk"), lambda found: [_order(request, o) for o in found])

    @extend_schema(operation_id="orders_retrieve", responses=OrderDetailOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/orders/<id>/: with lines and refunds."""
        found = Order.objects.filter(pk=pk).first()
        if found is None:
            raise NotFoundError()
        lines = OrderLine.objects.filter(order=found).order_by("n")
        refunds = Refund.objects.filter(order=found).order_by("refunded_at", "pk")
        more = {"lines": LineOut(lines, many=True).data, "refunds": RefundOut(refunds, many=True).data}
        return JsonResponse(_order(request, found) | more)

    @extend_schema(operation_id="orders_record", request=batch_in("OrderBatch", OrderIn), responses=BatchOut)
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/orders/: orders as they are now, in any order; safe to repeat. An order of an unknown person is
        accepted (`unknown_person`) and waits for the identity."""
        source = source_of(request)
        return answer(
            rows_of(request),
            OrderIn,
            _given,
            lambda rows: orders.record_orders(request.brand, rows, source=source, told_by="api"),
        )


def _given(row: dict[str, Any]) -> dict[str, Any]:
    row = with_buyer(row)
    state = row.pop("state", None)
    return {
        **row,
        "state": STATES[state].value if state else None,
        "staff_userid": row.pop("guide", None),
        "store_code": row.pop("store", None),
    }


def _order(request: Any, order: Order) -> dict[str, Any]:
    may_phones = request._request.actor.can("contacts.phones")
    return {
        **OrderOut(order).data,
        "buyer_value": readable(order.buyer_kind, order.buyer_value, may_phones),
        "state": Order.State(order.state).name.lower(),
    }


class RefundViewSet(viewsets.ViewSet):
    capabilities = {"list": "orders.view", "create": "orders.edit"}

    @extend_schema(
        operation_id="refunds_list",
        responses=page_out("RefundPage", RefundOut),
        parameters=[OpenApiParameter("order", int, description="id of an order"), *paged(SIZE)],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/refunds/: as they came in, newest first."""
        rows = Refund.objects.all()
        if (order_id := asked_number(request.query_params, "order")) is not None:
            rows = rows.filter(order=order_id)
        return _page(request, rows, ("-pk",), lambda found: RefundOut(found, many=True).data)

    @extend_schema(
        operation_id="refunds_record", request=batch_in("RefundBatch", RefundIn), responses=BatchOut
    )
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/refunds/: refunds as they are now; safe to repeat. One that comes before its order is accepted
        (`unknown_order`) and waits. `source` is that of the orders."""
        source = source_of(request)
        return answer(
            rows_of(request),
            RefundIn,
            dict,
            lambda rows: orders.record_refunds(request.brand, rows, source=source, told_by="api"),
        )
