"""The entries of the side navigation, in order and in groups; an entry shows only to people with its right."""

from typing import Any

from django.utils.translation import gettext_lazy as _

NAVIGATION: list[dict[str, Any]] = [
    {"url": "/", "group": "", "label": _("Overview"), "icon": "layout-dashboard", "right": "overview.view"},
    {"url": "/contacts/", "group": _("Customers"), "label": _("Contacts"), "icon": "users", "right": "contacts.view"},
    {"url": "/tags/", "group": _("Customers"), "label": _("Tags"), "icon": "tags", "right": "tags.edit"},
    {"url": "/codes/", "group": _("Growth"), "label": _("Channel codes"), "icon": "qr-code", "right": "codes.view"},
    {"url": "/sops/", "group": _("Growth"), "label": _("SOPs"), "icon": "route", "right": "sops.view"},
    {"url": "/touches/", "group": _("Growth"), "label": _("Touches"), "icon": "send", "right": "sops.view"},
    {"url": "/sync/", "group": _("WeCom"), "label": _("Sync and inbox"), "icon": "refresh-cw", "right": "sync.view"},
    {"url": "/setup/", "group": _("WeCom"), "label": _("WeCom set-up"), "icon": "stethoscope", "right": "corps.edit"},
    {"url": "/staff/", "group": _("Administration"), "label": _("Staff and roles"), "icon": "id-card", "right": "staff.view"},
    {"url": "/settings/", "group": _("Administration"), "label": _("Brand settings"), "icon": "settings", "right": "brand.edit"},
    {"url": "/audit/", "group": _("Administration"), "label": _("Audit log"), "icon": "scroll-text", "right": "audit.view"},
]
