"""行为: kinds of behaviour that a brand has named itself, and behaviour of people who are not known yet."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from tenants.base import TenantModel


class BehaviourKind(TenantModel):
    """A kind of behaviour of the brand's own; an event of type CUSTOM names it in `object_id`."""

    key = models.CharField(_("Key"), max_length=40)  # in files, conditions and the API; never changes
    label = models.CharField(_("Name"), max_length=40)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "key"], name="behaviour_kind_key")]

    def __str__(self) -> str:
        return self.label


class WaitingBehaviour(TenantModel):
    """Behaviour of an identity that belongs to nobody yet; becomes an Event when the identity appears."""

    kind = models.CharField(max_length=16)  # the identity's: Identity.kind, scope, value
    scope = models.CharField(max_length=64, blank=True)
    value = models.CharField(max_length=64)
    type = models.SmallIntegerField()  # EventType
    at = models.DateTimeField()
    object_id = models.BigIntegerField(null=True)
    source = models.CharField(max_length=20)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [
            models.Index(fields=["brand", "kind", "scope", "value"], name="behaviour_waiting"),
            models.Index(fields=["brand", "created_at"], name="behaviour_waiting_old"),
        ]
