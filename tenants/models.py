"""Global tables (brands, users) and local ones (look-ups); rows of customers live in other apps, one brand each."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock


class Brand(models.Model):
    """品牌: the tenant. Everything below belongs to exactly one. Rarely written: on Citus it is a reference table."""

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        SUSPENDED = "suspended", _("Suspended")
        CLOSED = "closed", _("Closed")

    name = models.CharField(_("Name"), max_length=60)
    slug = models.SlugField(unique=True, max_length=40)
    timezone = models.CharField(_("Time zone"), max_length=40, default="Asia/Shanghai")
    state = models.CharField(_("State"), max_length=10, choices=State, default=State.ACTIVE)
    contact_quota = models.IntegerField(_("Contact quota"), default=1_000_000)
    staff_quota = models.IntegerField(_("Staff quota"), default=1_000)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, password: str | None = None, **extra: Any) -> "User":
        """A person who can sign in; `username` is kept in lower case."""
        user = self.model(username=username.strip().lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username=(username or "").strip().lower())


class User(AbstractBaseUser):
    """A person who signs in; what they may do in a brand is their `org.Staff` there. Sessions live in Redis, so that
    signing in writes nothing here (no `last_login`)."""

    last_login = None

    username = models.CharField(_("User name"), max_length=100, unique=True)
    name = models.CharField(_("Name"), max_length=60)
    is_platform_owner = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    language = models.CharField(max_length=10, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    USERNAME_FIELD = "username"
    objects = UserManager()

    def __str__(self) -> str:
        return self.name or self.username


class UserBrand(models.Model):
    """Local: which brands a user may enter, and as which staff member there (a plain id: no key into a tenant table)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="brands")
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="+")
    staff_id = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "brand"], name="user_brand_once")]


class BrandLookup(models.Model):
    """Local: finds the brand of something that arrives without one (callback path, corp id, API key, short link)."""

    class Kind(models.TextChoices):
        CORP = "corp"
        CALLBACK = "callback"
        API_KEY = "api_key"
        SHORT_LINK = "short_link"

    kind = models.CharField(max_length=12, choices=Kind)
    key = models.CharField(max_length=128)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="+")
    target_id = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="lookup_once")]


class BrandHealth(models.Model):
    """Local: what the platform owner may know of a brand; written each minute by the brand's own task. No customers."""

    brand = models.OneToOneField(Brand, on_delete=models.CASCADE, related_name="health")
    checked_at = models.DateTimeField()
    n_contacts = models.BigIntegerField(default=0)
    n_staff = models.IntegerField(default=0)
    inbox_waiting = models.IntegerField(default=0)
    inbox_dead = models.IntegerField(default=0)
    inbox_lag_s = models.FloatField(default=0)
    last_callback_at = models.DateTimeField(null=True)
    last_sync_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=200, blank=True)


class PlatformEntry(models.Model):
    """Local: what a platform owner did to brands (opened, suspended, changed quota)."""

    at = models.DateTimeField(default=clock.now)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    brand = models.ForeignKey(Brand, null=True, on_delete=models.SET_NULL, related_name="+")
    action = models.CharField(max_length=40)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
