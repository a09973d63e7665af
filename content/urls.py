"""Addresses of this app."""

from django.urls import path

from content.views import answers, approvals, items, library, links, picker, public, public_form, words

urlpatterns = [
    path("content/", library.content_list, name="content"),
    path("content/upload/", library.content_upload, name="content_upload"),
    path("content/many/", library.content_many, name="content_many"),
    path("content/folders/new/", library.folder_edit, name="content_folder_new"),
    path("content/folders/<int:folder_id>/", library.folder_edit, name="content_folder"),
    path("content/folders/<int:folder_id>/delete/", library.folder_delete, name="content_folder_delete"),
    path("content/picker/", picker.picker, name="content_picker"),
    path("content/new/", items.content_edit, name="content_new"),
    path("content/check/", items.content_check, name="content_check"),
    path("content/page-preview/", items.page_preview, name="content_page_preview"),
    path("content/approvals/", approvals.approvals, name="content_approvals"),
    path("content/approvals/rule/", approvals.approval_rule, name="content_approval_rule"),
    path("content/words/", words.word_list, name="content_words"),
    path("content/words/add/", words.words_add, name="content_words_add"),
    path("content/words/remove/", words.words_remove, name="content_words_remove"),
    path("content/words/try/", words.words_try, name="content_words_try"),
    path("content/<int:content_id>/", items.content_detail, name="content_item"),
    path("content/<int:content_id>/edit/", items.content_edit, name="content_edit"),
    path("content/<int:content_id>/answers/", answers.answers, name="content_answers"),
    path("content/<int:content_id>/archive/", items.content_archive, name="content_archive"),
    path("content/<int:content_id>/restore/", items.content_restore, name="content_restore"),
    path("content/<int:content_id>/v/<int:no>/compare/", items.content_compare, name="content_compare"),
    path("content/<int:content_id>/v/<int:no>/again/", items.content_again, name="content_again"),
    path("content/<int:content_id>/v/<int:no>/look/", approvals.approval_look, name="content_look"),
    path("content/<int:content_id>/v/<int:no>/decide/", approvals.approval_decide, name="content_decide"),
    path("links/", links.link_list, name="links_tracked"),
    path("links/new/", links.link_edit, name="link_new"),
    path("links/<int:link_id>/", links.link_detail, name="tracked_link"),
    path("links/<int:link_id>/edit/", links.link_edit, name="tracked_link_edit"),
    path("links/<int:link_id>/archive/", links.link_archive, name="tracked_link_archive"),
    path("links/<int:link_id>/qr.png", links.link_qr, name="tracked_link_qr"),
    # what customers open
    path("l/<slug:key>/", public.follow, name="link"),
    path("l/<slug:key>/who/", public.who, name="link_who"),
    path("l/<slug:key>/beat/", public.beat, name="link_beat"),
    path("l/<slug:key>/<slug:token>/", public.follow, name="link_sent"),
    path("p/<slug:key>/", public.page, name="page"),
    path("p/<slug:key>/answer/", public_form.answer, name="page_answer"),
    path("p/<slug:key>/i/<int:file_id>/", public.picture, name="page_picture"),
]
