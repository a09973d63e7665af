"""Tables made before BrandField went without a foreign key lose theirs."""

from django.db import migrations

DROP = """
DO $$
DECLARE k record;
BEGIN
    FOR k IN SELECT c.conrelid::regclass AS name, c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
              WHERE c.contype = 'f' AND c.confrelid = 'tenants_brand'::regclass AND c.conparentid = 0 AND t.relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.name, k.conname);
    END LOOP;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]
    operations = [migrations.RunSQL(DROP, migrations.RunSQL.noop)]
