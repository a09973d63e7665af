"""Addresses of the guides' pages on the phone and of the sidebar of the chat."""

from django.urls import path, re_path

from guides.views import asking, cards, customer, leads, pages, sidebar

urlpatterns = [
    path("g/", pages.today, name="guide_today"),
    path("g/waiting/", pages.waiting, name="guide_waiting"),
    path("g/customers/", pages.customers, name="guide_customers"),
    path("g/me/", pages.me, name="guide_me"),
    path("g/tasks/<int:task_id>/done/", pages.task_done, name="guide_task_done"),
    path("g/tasks/<int:task_id>/reopen/", pages.task_reopen, name="guide_task_reopen"),
    path("g/reminders/<int:reminder_id>/done/", pages.reminder_done, name="guide_reminder_done"),
    path("g/card/", cards.my_card, name="guide_card"),
    path("g/leads/", asking.leads, name="guide_leads"),
    re_path(
        r"^g/leads/(?P<lead_id>\d{1,18})/(?P<act>asked|not_found|refused|back)/$",
        asking.lead_act,
        name="guide_lead",
    ),
    path("g/leads/<int:lead_id>/note/", asking.lead_note, name="guide_lead_note"),
    path("g/leads/<int:lead_id>/person/", asking.lead_person, name="guide_lead_person"),
    path("g/customers/<int:contact_id>/", customer.customer, name="guide_customer"),
    path("g/customers/<int:contact_id>/cards/<slug:name>/", customer.card, name="guide_customer_card"),
    path("g/customers/<int:contact_id>/note/", customer.note, name="guide_note"),
    path("g/customers/<int:contact_id>/stage/", customer.stage, name="guide_stage"),
    path("g/customers/<int:contact_id>/tags/", customer.tags, name="guide_tags"),
    path("g/customers/<int:contact_id>/fields/", customer.fields, name="guide_fields"),
    path("g/customers/<int:contact_id>/reminder/", customer.reminder, name="guide_reminder"),
    path("g/customers/<int:contact_id>/scripts/", customer.scripts, name="guide_scripts"),
    path("g/customers/<int:contact_id>/prepare/", sidebar.prepare, name="guide_prepare"),
    path("g/customers/<int:contact_id>/sent/", sidebar.sent, name="guide_sent"),
    path("g/sidebar/", sidebar.sidebar, name="guide_sidebar"),
    path("g/sidebar/signature/", sidebar.signature, name="guide_signature"),
    path("g/sidebar/customer/", sidebar.customer_of_chat, name="guide_chat_customer"),
    path("c/<slug:key>/", cards.business_card, name="business_card"),
    path("cards/", cards.card_list, name="business_cards"),
    path("cards/make/", cards.card_make, name="business_cards_make"),
    path("cards/style/", cards.card_style, name="business_card_style"),
    path("cards/<int:staff_id>/", cards.card_edit, name="business_card_edit"),
    path("leads/", leads.lead_lists, name="leads"),
    path("leads/new/", leads.lead_list_new, name="lead_list_new"),
    path("leads/of-file/<int:file_id>/", leads.of_file, name="leads_of_file"),
    path("leads/<int:list_id>/", leads.lead_list, name="lead_list"),
    path("leads/<int:list_id>/edit/", leads.lead_list_edit, name="lead_list_edit"),
    path("leads/<int:list_id>/give/", leads.give, name="lead_list_give"),
    re_path(
        r"^leads/(?P<list_id>\d{1,18})/(?P<act>take|move|out|remind|close|open)/$",
        leads.act,
        name="lead_list_act",
    ),
]
