"""Every address of the product; each app brings its own list."""

from django.urls import include, path

from scrm.views import error_404, error_500, healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/v1/", include("scrm.api_urls")),
    path("", include("org.urls")),
    path("", include("wecom.urls")),
    path("", include("contacts.urls")),
    path("", include("commerce.urls")),
    path("", include("tagging.urls")),
    path("", include("content.urls")),
    path("", include("campaigns.urls")),
    path("", include("groups.urls")),
    path("", include("handover.urls")),
    path("", include("livecodes.urls")),
    path("", include("datafiles.urls")),
    path("", include("drift.urls")),
    path("", include("guides.urls")),
    path("", include("insights.urls")),
]

handler404 = error_404
handler500 = error_500
