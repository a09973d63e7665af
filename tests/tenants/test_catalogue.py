"""What Postgres says of the schema: each query returns the tables that break a law, so each must return none."""

import pytest
from django.db import connection

LAWS = {
    "row-level security on, not forced, exactly one policy": """
        SELECT c.relname FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'brand_id' AND NOT a.attisdropped
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'tenants_%'
           AND (NOT c.relrowsecurity OR c.relforcerowsecurity
                OR (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) <> 1)""",
    "unique indexes hold the brand": """
        SELECT i.indexrelid::regclass::text FROM pg_index i
          JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'brand_id'
         WHERE i.indisunique AND c.relname NOT LIKE 'tenants_%' AND NOT a.attnum = ANY(i.indkey::int[])""",
    "foreign keys between tenant tables hold the brand": """
        SELECT k.conname FROM pg_constraint k
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = 'brand_id'
          JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attname = 'brand_id'
         WHERE k.contype = 'f' AND k.conrelid::regclass::text NOT LIKE 'tenants_%'
           AND k.confrelid::regclass::text NOT LIKE 'tenants_%' AND NOT a.attnum = ANY(k.conkey)""",
    "no foreign key from a global table to a tenant table": """
        SELECT k.conname FROM pg_constraint k
          JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attname = 'brand_id'
         WHERE k.contype = 'f' AND k.confrelid::regclass::text NOT LIKE 'tenants_%'
           AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attname = 'brand_id')""",
    "the application's role owns nothing and bypasses nothing": """
        SELECT rolname FROM pg_roles r WHERE rolname = current_user
           AND (rolsuper OR rolbypassrls OR EXISTS (SELECT 1 FROM pg_class WHERE relowner = r.oid))""",
    "keys begin with the brand": """
        SELECT i.indrelid::regclass::text FROM pg_index i
          JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'brand_id'
         WHERE i.indisprimary AND c.relname NOT LIKE 'tenants_%' AND i.indkey[0] <> a.attnum""",
}


@pytest.mark.django_db
@pytest.mark.parametrize("law", LAWS)
def test_law(law: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LAWS[law])
        assert cursor.fetchall() == []


@pytest.mark.django_db
def test_the_laws_look_at_something() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_policy")
        assert cursor.fetchone()[0] > 40
