"""The entries of the side navigation, in order and in groups; each shows only to people with its right."""

from typing import Any

from django.utils.translation import gettext_lazy as _

# address, group, label, icon (lucide), right
_ENTRIES: list[tuple[str, Any, Any, str, str]] = [
    ("/", "", _("Overview"), "layout-dashboard", "overview.view"),
    ("/contacts/", _("Customers"), _("Contacts"), "users", "contacts.view"),
    ("/reminders/", _("Customers"), _("Reminders"), "alarm-clock", "contacts.view"),
    ("/orders/", _("Customers"), _("Orders"), "shopping-bag", "orders.view"),
    ("/products/", _("Customers"), _("Products"), "package", "orders.view"),
    ("/tags/", _("Customers"), _("Tags"), "tags", "tags.edit"),
    ("/groups/", _("Customers"), _("Customer groups"), "messages-square", "groups.view"),
    ("/handover/", _("Customers"), _("Hand-over"), "arrow-right-left", "handover.view"),
    ("/segments/", _("Customers"), _("Segments"), "funnel", "segments.view"),
    ("/value/", _("Customers"), _("Value"), "gem", "segments.view"),
    ("/codes/", _("Growth"), _("Channel codes"), "qr-code", "codes.view"),
    ("/content/", _("Growth"), _("Content library"), "library", "content.view"),
    ("/cards/", _("Growth"), _("Business cards"), "contact", "content.view"),
    ("/sops/", _("Growth"), _("SOPs"), "route", "sops.view"),
    ("/broadcasts/", _("Growth"), _("Broadcasts"), "megaphone", "broadcasts.view"),
    ("/tasks/", _("Growth"), _("Guides' tasks"), "list-todo", "tasks.view"),
    ("/leads/", _("Growth"), _("Numbers to add"), "user-plus", "leads.view"),
    ("/moments/", _("Growth"), _("Moments"), "images", "broadcasts.view"),
    ("/alerts/", _("Growth"), _("Alerts"), "bell-ring", "sops.view"),
    ("/calendar/", _("Growth"), _("Calendar"), "calendar-days", "sops.view"),
    ("/touches/", _("Growth"), _("Touches"), "send", "sops.view"),
    ("/sync/", _("WeCom"), _("Sync and inbox"), "refresh-cw", "sync.view"),
    ("/setup/", _("WeCom"), _("WeCom set-up"), "stethoscope", "corps.edit"),
    ("/imports/", _("Administration"), _("Imports"), "file-up", "imports.run"),
    ("/exports/", _("Administration"), _("Exports"), "file-down", "exports.run"),
    ("/staff/", _("Administration"), _("Staff and roles"), "id-card", "staff.view"),
    ("/fields/", _("Administration"), _("Fields and stages"), "list-checks", "fields.edit"),
    ("/settings/", _("Administration"), _("Brand settings"), "settings", "brand.edit"),
    ("/audit/", _("Administration"), _("Audit log"), "scroll-text", "audit.view"),
]
NAVIGATION: list[dict[str, Any]] = [
    {"url": url, "group": group, "label": label, "icon": icon, "right": right}
    for url, group, label, icon, right in _ENTRIES
]
