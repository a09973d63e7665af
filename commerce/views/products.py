"""Products: the list, one product with its buyers, its form."""

from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from commerce.models import Order, OrderLine, Product
from commerce.services import product_numbers, products
from commerce.services.orders import visible_orders
from commerce.views.orders import looked
from org.access import staff_can
from org.forms import add_errors
from scrm.errors import NotFoundError, SCRMError
from scrm.keyset import keyset_page
from scrm.responses import go


class ProductForm(forms.Form):
    sku = forms.CharField(label=gettext_lazy("Product number"), max_length=64)
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    category = forms.CharField(label=gettext_lazy("Category"), max_length=60, required=False)
    price = forms.DecimalField(
        label=gettext_lazy("Price (yuan)"), min_value=0, max_value=10**9, decimal_places=2
    )
    usage_days = forms.IntegerField(
        label=gettext_lazy("Lasts for days"),
        min_value=1,
        max_value=3650,
        required=False,
        help_text=gettext_lazy("How long one lasts: the next purchase is expected then. Empty: not used up."),
    )
    is_active = forms.BooleanField(label=gettext_lazy("On sale"), required=False, initial=True)


@require_GET
@staff_can("orders.view")
@vary_on_headers("HX-Request")
def product_list(request: Any) -> HttpResponse:
    """The catalogue, newest first."""
    q, category = " ".join(request.GET.get("q", "").split())[:64], request.GET.get("category", "")[:60]
    rows = Product.objects.all()
    if q:
        rows = rows.filter(Q(sku=q) | Q(name__icontains=q))
    if category:
        rows = rows.filter(category=category)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"))
    context: dict[str, Any] = {"page": page}
    if request.htmx:
        return render(request, "commerce/products/_rows.html", context)
    names = Product.objects.exclude(category="").order_by("category").values_list("category", flat=True)
    context |= {
        "q": q,
        "category": category,
        "categories": [(n, n) for n in names.distinct()[:200]],
        "is_filtered": bool(q or category),
    }
    return render(request, "commerce/products/list.html", context)


def _product(product_id: int) -> Product:
    found = Product.objects.filter(pk=product_id).first()
    if found is None:
        raise NotFoundError()
    return found


@require_GET
@staff_can("orders.view")
@vary_on_headers("HX-Request")
def product_detail(request: Any, product_id: int) -> HttpResponse:
    """One product and the orders that hold it, those told last first."""
    product = _product(product_id)
    lines = OrderLine.objects.filter(product=product)
    orders = visible_orders(Order.objects.all(), request.staff)
    lines = lines.filter(order__in=orders.values("pk")) if request.staff.role.scope != "brand" else lines
    page = keyset_page(lines, order=("-order_id", "-n"), after=request.GET.get("after"), size=20)
    found = Order.objects.filter(pk__in=[line.order_id for line in page])
    by_id = {o.pk: o for o in looked(found.select_related("contact", "staff", "store"))}
    context = {"page": page, "lines": [(line, by_id[line.order_id]) for line in page], "product": product}
    if request.htmx:
        return render(request, "commerce/products/_buyers.html", context)
    return render(request, "commerce/products/detail.html", context)


@require_GET
@staff_can("orders.view")
def product_figures(request: Any, product_id: int) -> HttpResponse:
    """What it has brought lately: a fragment, because it takes a moment for what sells most."""
    found = product_numbers.numbers_of(request.brand, _product(product_id), staff=request.staff)
    chart = {
        "kind": "bar",
        "x": [f"{day:%m-%d}" for day, _n in found.days],
        "series": [{"name": _("Pieces"), "data": [n for _day, n in found.days], "color": "blue"}],
    }
    context = {"found": found, "chart": chart, "days": product_numbers.DAYS}
    return render(request, "commerce/products/_figures.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("orders.edit")
def product_edit(request: Any, product_id: int | None = None) -> HttpResponse:
    """A modal: a new product, or one changed."""
    product = _product(product_id) if product_id else None
    initial: dict[str, Any] = {"is_active": True}
    if product:
        names = ("sku", "name", "category", "usage_days", "is_active")
        initial = {name: getattr(product, name) for name in names} | {
            "price": f"{product.price_fen / 100:.2f}"
        }
    form = ProductForm(request.POST or None, initial=initial)
    if product:
        form.fields["sku"].disabled = True
    if request.method == "POST" and form.is_valid():
        values = dict(form.cleaned_data)
        values["price_fen"] = int(values.pop("price") * 100)
        try:
            saved = products.save_product(request.brand, product=product, by=request.actor, **values)
        except SCRMError as error:
            add_errors(form, error)
        else:
            return go(request, f"/products/{saved.pk}/", _("Saved"))
    context = {"form": form, "product": product}
    return render(request, "commerce/products/edit.html", context, status=422 if form.errors else 200)
