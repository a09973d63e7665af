from django.db import migrations

# months that are there already get the room of those that are to come (Touch.partition_fillfactor)
FILL = """
    DO $$ DECLARE month regclass; BEGIN
        FOR month IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'campaigns_touch'::regclass LOOP
            EXECUTE format('ALTER TABLE %s SET (fillfactor = 47)', month);
        END LOOP;
    END $$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0024_direct_use'),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
