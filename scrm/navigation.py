"""The entries of the side navigation, in order; an entry shows only to people with its right."""

from typing import Any

from django.utils.translation import gettext_lazy as _

NAVIGATION: list[dict[str, Any]] = [
    {"url": "/", "label": _("Overview"), "icon": "layout-dashboard", "right": "overview.view"},
    {"url": "/contacts/", "label": _("Contacts"), "icon": "users", "right": "contacts.view"},
    {"url": "/tags/", "label": _("Tags"), "icon": "tags", "right": "tags.edit"},
    {"url": "/codes/", "label": _("Channel codes"), "icon": "qr-code", "right": "codes.view"},
    {"url": "/sops/", "label": _("SOPs"), "icon": "route", "right": "sops.view"},
    {"url": "/touches/", "label": _("Touches"), "icon": "send", "right": "sops.view"},
    {"url": "/sync/", "label": _("Sync and inbox"), "icon": "refresh-cw", "right": "sync.view"},
    {"url": "/setup/", "label": _("WeCom set-up"), "icon": "stethoscope", "right": "corps.edit"},
    {"url": "/staff/", "label": _("Staff and roles"), "icon": "id-card", "right": "staff.view"},
    {"url": "/settings/", "label": _("Brand settings"), "icon": "settings", "right": "brand.edit"},
    {"url": "/audit/", "label": _("Audit log"), "icon": "scroll-text", "right": "audit.view"},
]
