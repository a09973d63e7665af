"""System checks: laws of tenant models, and the database role that web and workers run as."""

from typing import Any

from django.apps import apps
from django.core.checks import Error, Tags, register
from django.db import connections, models

from tenants.fields import BrandForeignKey, brand_column


@register(Tags.models)
def tenant_models(app_configs: Any, **kwargs: Any) -> list[Error]:
    """References inside a brand are BrandForeignKey; unique constraints begin with the brand; no unique columns."""
    errors = []
    for model in apps.get_models():
        if brand_column(model) is None:
            continue
        for field in model._meta.local_fields:
            target = field.related_model if isinstance(field, models.ForeignKey) else None
            tenant = isinstance(target, type) and brand_column(target) is not None
            if tenant and not isinstance(field, BrandForeignKey):
                errors.append(Error(f"{field} must be a BrandForeignKey", obj=model, id="tenants.E001"))
            if field.unique and not field.primary_key:
                errors.append(Error(f"{field} is unique over all brands", obj=model, id="tenants.E002"))
        for constraint in model._meta.constraints:
            if isinstance(constraint, models.UniqueConstraint):
                first = (constraint.fields or [getattr(e, "name", "") for e in constraint.expressions])[0]
                if first != "brand":
                    errors.append(
                        Error(f"{constraint.name} must begin with brand", obj=model, id="tenants.E003")
                    )
        for many in model._meta.local_many_to_many:
            errors.append(
                Error(f"{many}: use an explicit TenantModel in between", obj=model, id="tenants.E004")
            )
    return errors


def refuse_privileged_role(alias: str = "default") -> str | None:
    """Why this process must not serve requests with this connection, or None when the role is bound by the policies."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT r.rolname, r.rolsuper OR r.rolbypassrls, EXISTS (SELECT 1 FROM pg_class c WHERE c.relowner = r.oid"
            " AND c.relname = 'contacts_contact') FROM pg_roles r WHERE r.rolname = current_user"
        )
        name, unbound, owner = cursor.fetchone()
    if unbound or owner:
        return f"database role {name} is not bound by row-level security; DATABASE_URL must be app_rw"
    return None
