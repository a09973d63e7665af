"""敏感词: words that must not stand in what the brand writes to customers."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from tenants.base import TenantModel


class SensitiveWord(TenantModel):
    """敏感词. `plain` is what is compared: without case, width and spaces (content/words.py)."""

    class Level(models.TextChoices):
        REFUSE = "refuse", _("Forbidden")
        WARN = "warn", _("Warned of")

    word = models.CharField(_("Word"), max_length=40)
    plain = models.CharField(max_length=40, editable=False)
    level = models.CharField(_("When it is found"), max_length=6, choices=Level, default=Level.REFUSE)
    note = models.CharField(_("Why, or what to say instead"), max_length=100, blank=True)
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "plain"], name="sensitive_word_once")]

    def __str__(self) -> str:
        return self.word
