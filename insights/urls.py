"""Addresses of this app."""

from django.urls import path

from insights import views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("overview/today/", views.overview_today, name="overview_today"),
    path("overview/arrivals/", views.arrivals, name="overview_arrivals"),
]
