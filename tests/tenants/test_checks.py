"""The checks that keep new models and new deployments inside the law."""

import pytest
from django.apps import apps
from django.db import models
from django.test.utils import isolate_apps

from org.models import Staff
from tenants import checks
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


def test_models_of_the_product_pass() -> None:
    assert checks.tenant_models(None) == []


@isolate_apps("org")
def test_bad_models_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bad(TenantModel):
        staff = models.ForeignKey(Staff, on_delete=models.CASCADE, related_name="+")
        code = models.CharField(max_length=3, unique=True)
        other = BrandForeignKey(Staff, on_delete=models.CASCADE, related_name="+")

        class Meta:
            app_label = "org"
            constraints = [models.UniqueConstraint(fields=["other"], name="bad_other")]

    monkeypatch.setattr(apps, "get_models", lambda **kwargs: [Bad])
    assert sorted(e.id for e in checks.tenant_models(None)) == [
        "tenants.E001",
        "tenants.E002",
        "tenants.E003",
    ]


@pytest.mark.django_db(databases=["default", "owner"])
def test_only_the_bound_role_may_serve() -> None:
    assert checks.refuse_privileged_role("default") is None
    assert "app_owner" in (checks.refuse_privileged_role("owner") or "")
