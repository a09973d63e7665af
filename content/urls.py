"""Addresses of this app."""

from django.urls import path

from content.views import approvals, items, library, picker, words

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
    path("content/<int:content_id>/archive/", items.content_archive, name="content_archive"),
    path("content/<int:content_id>/restore/", items.content_restore, name="content_restore"),
    path("content/<int:content_id>/v/<int:no>/compare/", items.content_compare, name="content_compare"),
    path("content/<int:content_id>/v/<int:no>/again/", items.content_again, name="content_again"),
    path("content/<int:content_id>/v/<int:no>/look/", approvals.approval_look, name="content_look"),
    path("content/<int:content_id>/v/<int:no>/decide/", approvals.approval_decide, name="content_decide"),
]
