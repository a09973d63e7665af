from typing import Any

from django.db.backends.postgresql.features import DatabaseFeatures as PostgresFeatures

from tenants.fields import brand_column


class DatabaseFeatures(PostgresFeatures):
    def allows_group_by_selected_pks_on_model(self, model: Any) -> bool:
        # the real key is (brand_id, id): GROUP BY id alone does not cover the other columns
        return brand_column(model) is None and super().allows_group_by_selected_pks_on_model(model)
