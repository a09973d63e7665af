"""Addresses of this app."""

from django.urls import path, re_path

from org.views import jobs, platform, session

urlpatterns = [
    path("login/", session.log_in, name="login"),
    path("login/find/", session.find_brand, name="find_brand"),
    path("login/<slug:slug>/", session.log_in, name="login_brand"),
    path("logout/", session.log_out, name="logout"),
    path("switch/", session.switch, name="switch"),
    path("i18n/", session.set_language, name="set_language"),
    path("account/", session.account, name="account"),
    path("jobs/<int:job_id>/", jobs.job, name="job"),
    re_path(r"^jobs/(?P<job_id>\d+)/(?P<act>pause|resume|cancel)/$", jobs.job_act, name="job_act"),
    path("platform/", platform.brand_list, name="platform"),
    path("platform/new/", platform.brand_open, name="platform_open"),
    path("platform/log/", platform.platform_log, name="platform_log"),
    path("platform/<int:brand_id>/", platform.brand_detail, name="platform_brand"),
    path("platform/<int:brand_id>/quota/", platform.brand_quota, name="platform_quota"),
    path("platform/<int:brand_id>/state/", platform.brand_state, name="platform_state"),
]
