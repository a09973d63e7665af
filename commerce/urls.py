"""Addresses of this app."""

from django.urls import path

from commerce.views import orders, products

urlpatterns = [
    path("products/", products.product_list, name="products"),
    path("products/new/", products.product_edit, name="product_new"),
    path("products/<int:product_id>/", products.product_detail, name="product"),
    path("products/<int:product_id>/figures/", products.product_figures, name="product_figures"),
    path("products/<int:product_id>/edit/", products.product_edit, name="product_edit"),
    path("orders/", orders.order_list, name="orders"),
    path("orders/<int:order_id>/", orders.order_detail, name="order"),
]
